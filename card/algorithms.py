"""The algorithms that signatures are made by, and how wide keys and signatures are (docs/formats/hsm.md, GC and GE)."""

from enum import IntEnum

SIGNATURE_BYTES = 64


class Algorithm(IntEnum):
    """How something is signed, by the byte that says so on the wire."""

    ED25519 = 0
    P256 = 1
    SM2 = 2


PUBLIC_KEY_BYTES = {Algorithm.ED25519: 32, Algorithm.P256: 33, Algorithm.SM2: 33}
