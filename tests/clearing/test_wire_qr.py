"""The rider's code: published vectors, the round trip, who may sign what, and what no bytes may do."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from clearing.wire import cose
from clearing.wire.qr import (
    CLOCK_SKEW,
    CODE_LIFE,
    Certificate,
    CodeRefusal,
    QrCode,
    QrError,
    certificate_holds,
    certificate_to_sign,
    check_code,
    make_code,
    raw_of,
    read_certificate,
    read_code,
    text_of,
    write_certificate,
)

ISSUER, DEVICE, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3))
KEYS = {1: ISSUER.public_key().public_bytes_raw()}
NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
CERTIFICATE = Certificate(
    "ONECARD", "H0000000001", bytes(range(8)), DEVICE.public_key().public_bytes_raw(), 3000, 1,
    NOW - timedelta(hours=1), NOW + timedelta(hours=23),
)  # fmt: skip
NONCE = b"12345678"
NAIVE = NOW.replace(tzinfo=None)


def issued(
    certificate: Certificate = CERTIFICATE, *, by: Ed25519PrivateKey = ISSUER, version: int = 1
) -> bytes:
    return write_certificate(certificate, version, by.sign(certificate_to_sign(certificate)))


def shown(
    raw: bytes | None = None, *, at: datetime = NOW, by: Ed25519PrivateKey = DEVICE, nonce: bytes = NONCE
) -> QrCode:
    return read_code(make_code(raw or issued(), at=at, nonce=nonce, sign=by.sign))


def test_the_working_groups_own_message_holds_under_its_key() -> None:
    """cose-wg/Examples, eddsa-examples/eddsa-sig-01; the key is that of RFC 8032, section 7.1, test 1."""
    message = cose.read_sign1(
        bytes.fromhex(
            "D28445A201270300A10442313154546869732069732074686520636F6E74656E742E58407142FD2FF96D56DB85BEE905A7"
            "6BA1D0B7321A95C8C4D3607C5781932B7AFB8711497DFA751BF40B58B3BCC32300B1487F3DB34085EEF013BF08F4A44D"
            "6FEF0D"
        )
    )
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert (message.payload, message.protected) == (b"This is the content.", {1: -8, 3: 0})
    assert cose.holds(key, message.signed, message.signature)
    assert not cose.holds(key, message.signed + b"\0", message.signature)


def test_signing_the_working_groups_content_gives_its_message() -> None:
    key = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    protected, payload = {1: -8, 3: 0}, b"This is the content."
    signature = key.sign(cose.to_be_signed(protected, payload))
    written = cose.write_sign1(protected, {4: b"11"}, payload, signature)
    assert written.hex().upper().startswith("8445A201270300A1044231315454686973")
    assert written.hex().upper().endswith("3DB34085EEF013BF08F4A44D6FEF0D")


def test_the_claims_of_the_standards_example_are_read_as_it_means_them() -> None:
    """RFC 8392, appendix A.1: the example CWT claims set."""
    claims = cose.decode(
        bytes.fromhex(
            "a70175636f61703a2f2f61732e6578616d706c652e636f6d02656572696b77037818636f61703a2f2f6c696768742e6578"
            "616d706c652e636f6d041a5612aeb0051a5610d9f0061a5610d9f007420b71"
        )
    )
    assert (claims[2], claims[4], claims[6], claims[7]) == ("erikw", 1444064944, 1443944944, b"\x0bq")


@pytest.mark.parametrize(
    ("plain", "encoded"),
    [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0")],
)
def test_base45_is_that_of_the_standard(plain: bytes, encoded: str) -> None:
    """RFC 9285, sections 4.3 and 4.4."""
    assert text_of(plain) == f"OC1:{encoded}"
    assert raw_of(f"OC1:{encoded}") == plain


def test_a_code_says_what_was_put_into_it() -> None:
    raw = make_code(issued(), at=NOW, nonce=NONCE, sign=DEVICE.sign)
    code = read_code(raw_of(text_of(raw)))
    assert (code.certificate, code.made_at, code.key) == (CERTIFICATE, NOW, (bytes(range(8)), NONCE))
    assert code.signed_certificate.raw == issued()
    assert check_code(code, KEYS, at=NOW) is None
    assert len(raw) == 267


@given(
    holder=st.from_regex(r"H[0-9]{10}", fullmatch=True),
    serial=st.binary(min_size=8, max_size=8),
    limit_fen=st.integers(0, (1 << 32) - 1),
    holder_class=st.integers(1, 3),
    seconds=st.integers(1, 10**6),
)
@settings(max_examples=40)
def test_what_is_written_is_read_again(
    holder: str, serial: bytes, limit_fen: int, holder_class: int, seconds: int
) -> None:
    certificate = replace(
        CERTIFICATE, holder=holder, serial=serial, limit_fen=limit_fen, holder_class=holder_class,
        expires_at=CERTIFICATE.issued_at + timedelta(seconds=seconds),
    )  # fmt: skip
    raw = issued(certificate, version=7)
    again = read_certificate(raw)
    assert (again.certificate, again.key_version, again.raw) == (certificate, 7, raw)
    assert certificate_holds(again, {7: KEYS[1]})


@pytest.mark.parametrize(
    ("code", "at", "expected"),
    [
        (lambda: shown(issued(version=2)), NOW, CodeRefusal.ISSUER_KEY_UNKNOWN),
        (lambda: shown(issued(by=STRANGER)), NOW, CodeRefusal.CERTIFICATE_FORGED),
        (lambda: shown(issued(by=STRANGER), by=STRANGER), NOW, CodeRefusal.CERTIFICATE_FORGED),
        (lambda: shown(by=STRANGER), NOW, CodeRefusal.DEVICE_SIGNATURE_WRONG),
        (lambda: shown(by=STRANGER, at=NOW + timedelta(days=3)), NOW, CodeRefusal.DEVICE_SIGNATURE_WRONG),
        (lambda: shown(at=NOW + CLOCK_SKEW), NOW, None),
        (lambda: shown(at=NOW + CLOCK_SKEW + timedelta(seconds=1)), NOW, CodeRefusal.NOT_YET_VALID),
        (lambda: shown(), CERTIFICATE.issued_at - timedelta(minutes=1), CodeRefusal.NOT_YET_VALID),
        (lambda: shown(at=CERTIFICATE.expires_at), CERTIFICATE.expires_at, CodeRefusal.CERTIFICATE_EXPIRED),
        (lambda: shown(), CERTIFICATE.expires_at, CodeRefusal.CERTIFICATE_EXPIRED),
        (
            lambda: shown(at=CERTIFICATE.expires_at),
            CERTIFICATE.expires_at - timedelta(seconds=10),
            CodeRefusal.CERTIFICATE_EXPIRED,
        ),
        (lambda: shown(), NOW + CODE_LIFE, None),
        (lambda: shown(), NOW + CODE_LIFE + timedelta(seconds=1), CodeRefusal.CODE_STALE),
    ],
)
def test_a_code_is_refused_for_the_first_reason_that_applies(
    code: Callable[[], QrCode], at: datetime, expected: CodeRefusal | None
) -> None:
    assert check_code(code(), KEYS, at=at) is expected


def test_a_certificate_moved_under_another_phones_signature_does_not_hold() -> None:
    """The phone signs the certificate too: nobody can put a richer one over the token of a poorer one."""
    richer = issued(replace(CERTIFICATE, limit_fen=100_000))
    _, _, payload, signature = cbor2.loads(make_code(issued(), at=NOW, nonce=NONCE, sign=DEVICE.sign))
    protected = {cose.ALG: cose.EDDSA, cose.KCWT: cbor2.loads(richer)}
    forged = read_code(cose.write_sign1(protected, {}, payload, signature))
    assert check_code(forged, KEYS, at=NOW) is CodeRefusal.DEVICE_SIGNATURE_WRONG


@given(place=st.integers(0, 266), bit=st.integers(0, 7))
@settings(max_examples=150)
def test_no_bit_of_a_code_can_be_turned(place: int, bit: int) -> None:
    raw = bytearray(make_code(issued(), at=NOW, nonce=NONCE, sign=DEVICE.sign))
    raw[place] ^= 1 << bit
    try:
        code = read_code(bytes(raw))
    except QrError:
        return
    assert check_code(code, KEYS, at=NOW) is not None


@given(
    raw=st.binary(max_size=200) | st.binary(max_size=80).map(lambda tail: b"\x84\x43\xa1\x01\x27\xa0" + tail)
)
@settings(max_examples=200)
def test_whatever_the_bytes_only_the_modules_own_error_comes_out(raw: bytes) -> None:
    for read in (read_code, read_certificate):
        with pytest.raises(QrError):
            read(raw)


@given(value=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-9, 14), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
@settings(max_examples=150)
def test_whatever_is_signed_only_the_modules_own_error_comes_out(value: object) -> None:
    """Well-formed COSE around claims and headers of any shape."""
    payload = cbor2.dumps(value, canonical=True)
    inner = cose.write_sign1({1: -8}, {4: b"\1"}, payload, bytes(64))
    outer = cose.write_sign1({1: -8, 13: cbor2.loads(inner)}, {}, payload, bytes(64))
    odd = cose.write_sign1({1: -8, 13: value}, {}, payload, bytes(64))
    for raw in (inner, outer, odd):
        with pytest.raises(QrError):
            read_code(raw)
    with pytest.raises(QrError):
        read_certificate(inner)


@pytest.mark.parametrize(
    "text", ["", "OC1:", "OC2:BB8", "OC1:bb8", "OC1:A", "OC1:" + "0" * 700, "OC1:BB8 ", "OC1:最佳"]
)
def test_a_text_that_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(QrError):
        read_code(raw_of(text))


@pytest.mark.parametrize(
    "raw",
    [
        b"\xa1\x01\x02\x00",  # something follows
        b"\xa2\x01\x02\x01\x03",  # a key twice
        b"\x18\x01",  # a number longer than it need be
        b"\xbf\x01\x02\xff",  # no length in front
        b"\x81" * 20 + b"\x01",  # nested too deep
    ],
)
def test_only_deterministic_encoding_is_read(raw: bytes) -> None:
    with pytest.raises(cose.CoseError):
        cose.decode(raw)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"holder": "H 1"}, "holder"),
        ({"issuer": ""}, "issuer"),
        ({"serial": b"1234567"}, "serial"),
        ({"device_key": bytes(31)}, "device_key"),
        ({"limit_fen": -1}, "limit_fen"),
        ({"holder_class": 4}, "holder_class"),
        ({"expires_at": CERTIFICATE.issued_at}, "expires_at"),
        ({"issued_at": NAIVE, "expires_at": NAIVE + timedelta(days=1)}, "expires at"),
    ],
)
def test_a_certificate_that_cannot_be_is_not_written(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(QrError) as refused:
        certificate_to_sign(replace(CERTIFICATE, **wrong))  # type: ignore[arg-type]
    assert refused.value.field == field
