"""Verification of SM2 signatures with SM3 (GB/T 32918.2 clause 7), of public values only, so in plain arithmetic.

No library that we have verifies SM2 from Python. Nothing here is secret, so time may tell what it likes.
"""

from hmac import compare_digest

from cryptography.hazmat.primitives.hashes import SM3, Hash

SIGNER = b"1234567812345678"
"""The name of the signer that goes into the digest where none is agreed on (GM/T 0009)."""

# The curve y² = x³ + ax + b over the integers modulo P (GB/T 32918.5), its base point and that point's order.
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
BASE = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)

Point = tuple[int, int] | None
"""A point of the curve; None is the point at infinity."""


def verify(public_key: bytes, message: bytes, signature: bytes, signer: bytes = SIGNER) -> bool:
    """Whether the holder of the public key (33 bytes, SEC 1 compressed) signed the message; `r 32 ‖ s 32`."""
    key = point(public_key)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if key is None or len(signature) != 64 or not (1 <= r < N and 1 <= s < N):
        return False
    t = (r + s) % N
    if t == 0:
        return False
    found = _added(_times(s, BASE), _times(t, key))
    if found is None:
        return False
    expected = (int.from_bytes(digest(key, message, signer), "big") + found[0]) % N
    return compare_digest(expected.to_bytes(32, "big"), r.to_bytes(32, "big"))


def digest(key: tuple[int, int], message: bytes, signer: bytes = SIGNER) -> bytes:
    """What is signed: SM3 of `Z ‖ message`, where Z binds signer, curve and key (clause 5.5)."""
    numbers = (A, B, *BASE, *key)
    bits = (8 * len(signer)).to_bytes(2, "big")
    z = _sm3(bits + signer + b"".join(number.to_bytes(32, "big") for number in numbers))
    return _sm3(z + message)


def point(public_key: bytes) -> tuple[int, int] | None:
    """The point of a compressed public key, or None where it is none of the curve."""
    if len(public_key) != 33 or public_key[0] not in (2, 3):
        return None
    x = int.from_bytes(public_key[1:], "big")
    square = (x**3 + A * x + B) % P
    y = pow(square, (P + 1) // 4, P)
    if x >= P or y * y % P != square:
        return None
    return x, y if y & 1 == public_key[0] & 1 else P - y


def _added(left: Point, right: Point) -> Point:
    if left is None or right is None:
        return left or right
    (x1, y1), (x2, y2) = left, right
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    if left == right:
        slope = (3 * x1 * x1 + A) * pow(2 * y1, -1, P) % P
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    x3 = (slope * slope - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


def _times(factor: int, of: tuple[int, int]) -> Point:
    total: Point = None
    doubled: Point = of
    while factor:
        if factor & 1:
            total = _added(total, doubled)
        doubled = _added(doubled, doubled)
        factor >>= 1
    return total


def _sm3(data: bytes) -> bytes:
    made = Hash(SM3())
    made.update(data)
    return made.finalize()
