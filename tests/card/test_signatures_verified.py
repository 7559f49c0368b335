"""Signatures verified by public key alone: the published ones hold, and no changed bit does."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from card import sm2
from card.algorithms import Algorithm
from card.signatures import verify

H = bytes.fromhex
SM2_PUBLIC = H("0309F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020")
"""GB/T 32918.5-2017, annex A, as are its digest and signature; the signer is the default one."""
SM2_SIGNATURE = H(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)
P256_PUBLIC = H("0360FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6")
"""RFC 6979, A.2.5."""
P256_SIGNATURE = H(
    "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
)
ED25519_PUBLIC = H("3D4017C3E843895A92B70AA74D1B7EBC9C982CCF2EC4968CC0CD55F12AF4660C")
"""RFC 8032, 7.1, test 2."""
ED25519_SIGNATURE = H(
    "92A009A9F0D4CAB8720E820B5F642540A2B27B5416503F8FB3762223EBDB69DA"
    "085AC1E43E15996E458F3613D0F11D8C387B2EAEB4302AEEB00D291612BB0C00"
)
PUBLISHED = [
    (Algorithm.ED25519, ED25519_PUBLIC, b"\x72", ED25519_SIGNATURE),
    (Algorithm.P256, P256_PUBLIC, b"sample", P256_SIGNATURE),
    (Algorithm.SM2, SM2_PUBLIC, b"message digest", SM2_SIGNATURE),
]
EACH = pytest.mark.parametrize(("algorithm", "public", "message", "signature"), PUBLISHED)


@EACH
def test_a_published_signature_holds(
    algorithm: Algorithm, public: bytes, message: bytes, signature: bytes
) -> None:
    assert verify(algorithm, public, message, signature)
    assert not verify(algorithm, public, message + b"!", signature)


def test_what_sm2_signs_is_the_published_digest() -> None:
    key = sm2.point(SM2_PUBLIC)
    assert key is not None
    assert f"{key[1]:064X}" == "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
    assert sm2.digest(key, b"message digest").hex().upper() == (
        "F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640"
    )


@EACH
@given(bit=st.integers(0, 511))
def test_a_signature_with_any_bit_changed_does_not_hold(
    algorithm: Algorithm, public: bytes, message: bytes, signature: bytes, bit: int
) -> None:
    changed = (int.from_bytes(signature, "big") ^ (1 << bit)).to_bytes(64, "big")
    assert not verify(algorithm, public, message, changed)


@EACH
@given(bit=st.integers(0, 255))
def test_no_other_key_made_of_it_holds(
    algorithm: Algorithm, public: bytes, message: bytes, signature: bytes, bit: int
) -> None:
    changed = (int.from_bytes(public, "big") ^ (1 << bit)).to_bytes(len(public), "big")
    assert not verify(algorithm, changed, message, signature)


@given(st.sampled_from(Algorithm), st.binary(max_size=70), st.binary(max_size=20), st.binary(max_size=70))
def test_bytes_that_are_no_key_or_no_signature_do_not_hold(
    algorithm: Algorithm, public: bytes, message: bytes, signature: bytes
) -> None:
    assert not verify(algorithm, public, message, signature)


@pytest.mark.parametrize("signature", [bytes(64), sm2.N.to_bytes(32, "big") * 2, b"\1" * 63, b"\xff" * 64])
def test_an_sm2_signature_out_of_range_does_not_hold(signature: bytes) -> None:
    assert not verify(Algorithm.SM2, SM2_PUBLIC, b"message digest", signature)
    # r + s = n is refused by the standard, whatever the key.
    assert not sm2.verify(SM2_PUBLIC, b"m", (1).to_bytes(32, "big") + (sm2.N - 1).to_bytes(32, "big"))


def test_a_key_of_another_algorithm_never_serves() -> None:
    p256 = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = p256.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    assert not verify(Algorithm.SM2, point, b"message digest", SM2_SIGNATURE)
    edwards = Ed25519PrivateKey.generate()
    assert verify(Algorithm.ED25519, edwards.public_key().public_bytes_raw(), b"m", edwards.sign(b"m"))
    assert not verify(Algorithm.P256, SM2_PUBLIC, b"sample", P256_SIGNATURE)
