"""Signatures by algorithm: what the standards publish, and what others verify."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hsm_sim import p256, sm2
from hsm_sim.box import Answer, Box
from hsm_sim.commands import answer
from hsm_sim.keys import KeyStore, Usage, demo_keys
from hsm_sim.wire import ErrorCode, Request
from hypothesis import given
from hypothesis import strategies as st

from card.algorithms import Algorithm
from card.signatures import verify

BOX = Box(demo_keys(), bytes, "0" * 16, "9.9")
RFC_6979_KEY = bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
SM2_KEY = bytes.fromhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")


def ask(command: str, fields: bytes, box: Box = BOX) -> Answer:
    return answer(box, Request(b"HEAD", command.encode(), fields))


def signed(algorithm: Algorithm, message: bytes, box: Box = BOX) -> bytes:
    found = ask("GC", bytes((algorithm, 0)) + message, box)
    assert isinstance(found, bytes) and len(found) == 65
    return found


def public(algorithm: Algorithm, version: int = 0, box: Box = BOX) -> bytes:
    found = ask("GE", bytes((algorithm, version)), box)
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            b"sample",
            (
                "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
                "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
            ),
        ),
        (
            b"test",
            (
                "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
                "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"
            ),
        ),
    ],
)
def test_a_p256_signature_is_that_of_rfc_6979(message: bytes, expected: str) -> None:
    assert p256.sign(RFC_6979_KEY, message).hex().upper() == expected


def test_the_public_keys_are_the_published_ones() -> None:
    # RFC 6979 A.2.5; GB/T 32918.5-2017, annex A.
    assert p256.public_key(RFC_6979_KEY).hex().upper() == (
        "0360FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    )
    assert sm2.public_key(SM2_KEY).hex().upper() == (
        "0309F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    )


def test_an_sm2_signature_verifies_as_the_published_one_does_and_no_two_are_alike() -> None:
    first, second = sm2.sign(SM2_KEY, b"message digest"), sm2.sign(SM2_KEY, b"message digest")
    assert first != second
    for signature in (first, second):
        assert verify(Algorithm.SM2, sm2.public_key(SM2_KEY), b"message digest", signature)
        assert not verify(Algorithm.SM2, sm2.public_key(SM2_KEY), b"message digest.", signature)


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("message", [b"m", bytes(4096)])
def test_what_is_signed_verifies_under_the_public_key_of_its_version(
    algorithm: Algorithm, message: bytes
) -> None:
    signature, key = signed(algorithm, message), public(algorithm)
    assert signature[0] == key[0] == 1
    assert verify(algorithm, key[1:], message, signature[1:])


def test_others_verify_what_ed25519_and_p256_sign() -> None:
    message = b"hotlist 7"
    Ed25519PublicKey.from_public_bytes(public(Algorithm.ED25519)[1:]).verify(
        signed(Algorithm.ED25519, message)[1:], message
    )
    raw = signed(Algorithm.P256, message)[1:]
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public(Algorithm.P256)[1:])
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    peer.verify(der, message, ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        peer.verify(der, message + b"!", ec.ECDSA(SHA256()))


@pytest.mark.parametrize(("usage", "algorithm"), [("SK", 0), ("SP", 1), ("S2", 2)])
def test_each_algorithm_signs_with_the_key_of_its_own_usage(usage: str, algorithm: int) -> None:
    slots = {slot: key for slot, key in demo_keys().slots.items() if slot[0] != usage}
    without = Box(KeyStore(slots), bytes, "", "")
    for other in Algorithm:
        expected = ErrorCode.KEY_UNKNOWN if other == algorithm else None
        found = ask("GC", bytes((other, 0)) + b"m", without)
        assert (found if isinstance(found, ErrorCode) else None) is expected


def test_an_old_version_keeps_its_public_key() -> None:
    rotated = Box(demo_keys().with_next_version(Usage.SM2_SIGNATURE, lambda n: b"\7" * n), bytes, "", "")
    assert public(Algorithm.SM2, 1, rotated) == public(Algorithm.SM2)
    assert public(Algorithm.SM2, 0, rotated)[:1] == signed(Algorithm.SM2, b"m", rotated)[:1] == b"\2"


@pytest.mark.parametrize(
    ("error", "command", "fields"),
    [
        ("80", "GC", b"\0\0"),
        ("80", "GC", b"\0\0" + bytes(4097)),
        ("80", "GE", b"\0"),
        ("26", "GC", b"\3\0m"),
        ("26", "GE", b"\xff\x09"),
        ("12", "GC", b"\1\x09m"),
        ("12", "GE", b"\2\x09"),
    ],
)
def test_what_cannot_be_signed_has_its_code(error: str, command: str, fields: bytes) -> None:
    assert ask(command, fields) == ErrorCode(error)


@given(
    st.binary(min_size=32, max_size=32)
    | st.sampled_from([0, 1, 2, p256.ORDER, sm2.ORDER, 2**256 - 1]).map(lambda number: number.to_bytes(32))
)
def test_any_32_bytes_make_a_key_of_either_curve(key: bytes) -> None:
    for order in (p256.ORDER, sm2.ORDER):
        number = p256.private_number(key, order)
        assert 1 <= number <= order - 2
        assert number == int.from_bytes(key) or not 1 <= int.from_bytes(key) <= order - 2
    assert verify(Algorithm.P256, p256.public_key(key), b"m", p256.sign(key, b"m"))
    assert verify(Algorithm.SM2, sm2.public_key(key), b"m", sm2.sign(key, b"m"))
