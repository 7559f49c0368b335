"""The rider's QR code: a certificate by the issuer, and in it the key with which the phone signs the moment.

Both are CBOR Web Tokens (RFC 8392) in COSE_Sign1; the certificate travels in the protected header of the
phone's token (kcwt, RFC 9528), so the phone signs it as well. docs/formats/qr-code.md has the layout.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import base45

from clearing.wire import cose

PREFIX = "OC1:"
MAX_TEXT = 700
SERIAL_BYTES = NONCE_BYTES = 8
KEY_BYTES = 32
HOLDER_CLASSES = (1, 2, 3)
CODE_LIFE = timedelta(seconds=60)
"""A phone makes a new code before this has passed."""
CLOCK_SKEW = timedelta(seconds=30)
"""How far a phone's clock may be ahead of a validator's."""

_ISS, _SUB, _EXP, _IAT, _CTI, _CNF = 1, 2, 4, 6, 7, 8
_TERMS = -70001
"""Private claim: [limit in fen, holder class]."""
_COSE_KEY = 1
_MOST_SECONDS = 253_402_300_799
_HEADER = {cose.ALG: cose.EDDSA}


class QrError(Exception):
    """A code or certificate that cannot be read: `field` holds `value`; `remedy` what to do."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field} is {value}: {remedy}")
        self.field, self.value, self.remedy = field, value, remedy


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the issuer vouches for, until `expires_at`, to whoever signs with `device_key` (Ed25519, 32 bytes).

    `limit_fen` is the most that one ride may take; `serial` has 8 bytes; instants are whole seconds.
    """

    issuer: str
    holder: str
    serial: bytes
    device_key: bytes
    limit_fen: int
    holder_class: int
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A certificate as it was read, its signature not checked; `raw` is the COSE_Sign1."""

    certificate: Certificate
    key_version: int
    signed: bytes
    signature: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class QrCode:
    """A presented code as it was read, neither signature checked."""

    signed_certificate: SignedCertificate
    made_at: datetime
    nonce: bytes
    signed: bytes
    signature: bytes

    @property
    def certificate(self) -> Certificate:
        """What the issuer says of the holder."""
        return self.signed_certificate.certificate

    @property
    def key(self) -> tuple[bytes, bytes]:
        """What the code is known by: serial of the certificate and nonce. It is good for one ride."""
        return self.certificate.serial, self.nonce


class CodeRefusal(StrEnum):
    """Why a readable code is not good, in order of precedence: the first that applies."""

    ISSUER_KEY_UNKNOWN = "issuer_key_unknown"
    CERTIFICATE_FORGED = "certificate_forged"
    DEVICE_SIGNATURE_WRONG = "device_signature_wrong"
    NOT_YET_VALID = "not_yet_valid"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CODE_STALE = "code_stale"


FORGERIES = frozenset(
    {CodeRefusal.ISSUER_KEY_UNKNOWN, CodeRefusal.CERTIFICATE_FORGED, CodeRefusal.DEVICE_SIGNATURE_WRONG}
)
"""Refusals after which nothing that the code says may be believed."""


def certificate_to_sign(certificate: Certificate) -> bytes:
    """Write what the issuer signs; raises QrError for a value that has no place in a certificate."""
    return cose.to_be_signed(_HEADER, _claims(certificate))


def write_certificate(certificate: Certificate, key_version: int, signature: bytes) -> bytes:
    """Write the certificate that the phone keeps; `key_version` names the issuer's key, 1 to 255."""
    return cose.write_sign1(_HEADER, {cose.KID: bytes([key_version])}, _claims(certificate), signature)


def read_certificate(raw: bytes) -> SignedCertificate:
    """Read a certificate; raises QrError. Its signature is not checked."""
    message = _sign1("certificate", raw)
    kid = message.unprotected.get(cose.KID)
    if not isinstance(kid, bytes) or len(kid) != 1 or kid == b"\0":
        raise QrError("certificate key id", kid, "it must name the issuer's key by one byte, from 1")
    claims = _map("certificate claims", message.payload, (_ISS, _SUB, _EXP, _IAT, _CTI, _CNF, _TERMS))
    device_key = _device_key(claims[_CNF])
    terms = claims[_TERMS]
    if not isinstance(terms, (list, tuple)) or len(terms) != 2:
        raise QrError("certificate terms", terms, "they must be limit and holder class")
    certificate = Certificate(
        claims[_ISS], claims[_SUB], claims[_CTI], device_key, terms[0], terms[1],
        _instant("issued at", claims[_IAT]), _instant("expires at", claims[_EXP]),
    )  # fmt: skip
    _check(certificate)
    return SignedCertificate(certificate, kid[0], message.signed, message.signature, raw)


def certificate_holds(signed: SignedCertificate, keys: Mapping[int, bytes]) -> bool:
    """Whether the issuer signed it, by the issuer's public keys by version."""
    key = keys.get(signed.key_version)
    return key is not None and cose.holds(key, signed.signed, signed.signature)


def make_code(certificate: bytes, *, at: datetime, nonce: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """Make a code of this moment; `sign` is the phone's Ed25519, `nonce` 8 bytes that it never used before."""
    if len(nonce) != NONCE_BYTES:
        raise QrError("nonce", nonce.hex(), f"it must have {NONCE_BYTES} bytes")
    protected = {**_HEADER, cose.KCWT: cose.decode(certificate)}
    payload = cose.encode({_IAT: _seconds("made at", at), _CTI: nonce})
    signature = sign(cose.to_be_signed(protected, payload))
    return cose.write_sign1(protected, {}, payload, signature)


def read_code(raw: bytes) -> QrCode:
    """Read a code; raises QrError. Neither signature is checked."""
    message = _sign1("code", raw)
    if set(message.protected) != {cose.ALG, cose.KCWT} or message.unprotected:
        raise QrError("code header", sorted(map(str, message.protected)), "it must hold the certificate only")
    signed_certificate = read_certificate(cose.encode(message.protected[cose.KCWT]))
    claims = _map("code claims", message.payload, (_IAT, _CTI))
    nonce = claims[_CTI]
    if not isinstance(nonce, bytes) or len(nonce) != NONCE_BYTES:
        raise QrError("nonce", nonce, f"it must have {NONCE_BYTES} bytes")
    made_at = _instant("made at", claims[_IAT])
    return QrCode(signed_certificate, made_at, nonce, message.signed, message.signature)


def check_code(code: QrCode, keys: Mapping[int, bytes], *, at: datetime) -> CodeRefusal | None:
    """Say what speaks against a code presented at an instant, or None; `keys` are the issuer's, by version."""
    certificate = code.certificate
    if code.signed_certificate.key_version not in keys:
        return CodeRefusal.ISSUER_KEY_UNKNOWN
    if not certificate_holds(code.signed_certificate, keys):
        return CodeRefusal.CERTIFICATE_FORGED
    if not cose.holds(certificate.device_key, code.signed, code.signature):
        return CodeRefusal.DEVICE_SIGNATURE_WRONG
    if at < certificate.issued_at - CLOCK_SKEW or code.made_at > at + CLOCK_SKEW:
        return CodeRefusal.NOT_YET_VALID
    if at >= certificate.expires_at or code.made_at >= certificate.expires_at:
        return CodeRefusal.CERTIFICATE_EXPIRED
    if at > code.made_at + CODE_LIFE:
        return CodeRefusal.CODE_STALE
    return None


def text_of(raw: bytes) -> str:
    """Write a code as the text in the QR symbol: `OC1:` and Base45 (RFC 9285)."""
    return f"{PREFIX}{base45.b45encode(raw).decode('ascii')}"


def raw_of(text: str) -> bytes:
    """Read the text of a QR symbol; raises QrError where it is not one of ours."""
    if not text.startswith(PREFIX):
        raise QrError("the beginning", repr(text[: len(PREFIX)]), f"a rider's code begins with {PREFIX}")
    if len(text) > MAX_TEXT:
        raise QrError("length", len(text), f"a rider's code has at most {MAX_TEXT} characters")
    try:
        return bytes(base45.b45decode(text[len(PREFIX) :]))
    except ValueError as error:
        raise QrError("text", repr(text[:40]), "it is not Base45; scan it again") from error


def _claims(certificate: Certificate) -> bytes:
    _check(certificate)
    return cose.encode(
        {
            _ISS: certificate.issuer,
            _SUB: certificate.holder,
            _EXP: _seconds("expires at", certificate.expires_at),
            _IAT: _seconds("issued at", certificate.issued_at),
            _CTI: certificate.serial,
            _CNF: {_COSE_KEY: {1: 1, -1: 6, -2: certificate.device_key}},  # OKP, Ed25519, x
            _TERMS: [certificate.limit_fen, certificate.holder_class],
        }
    )


def _check(certificate: Certificate) -> None:
    """Refuse values that a certificate cannot have, the same for reader and writer."""
    for field in ("issuer", "holder"):
        text = getattr(certificate, field)
        if not isinstance(text, str) or not 1 <= len(text) <= 16 or not text.isascii() or not text.isalnum():
            raise QrError(field, repr(text), "it must be 1 to 16 letters and digits")
    for field, width in (("serial", SERIAL_BYTES), ("device_key", KEY_BYTES)):
        value = getattr(certificate, field)
        if not isinstance(value, bytes) or len(value) != width:
            raise QrError(field, value, f"it must have {width} bytes")
    if type(certificate.limit_fen) is not int or not 0 <= certificate.limit_fen < 1 << 32:
        raise QrError("limit_fen", certificate.limit_fen, "it must be an amount in fen of four bytes")
    if type(certificate.holder_class) is not int or certificate.holder_class not in HOLDER_CLASSES:
        raise QrError("holder_class", certificate.holder_class, "it must be 1 standard, 2 half or 3 free")
    if certificate.expires_at <= certificate.issued_at:
        raise QrError("expires_at", certificate.expires_at, "it must lie after issued_at")


def _sign1(field: str, raw: bytes) -> cose.Sign1:
    try:
        return cose.read_sign1(raw)
    except cose.CoseError as error:
        raise QrError(field, f"{len(raw)} bytes", str(error)) from error


def _map(field: str, raw: bytes, labels: tuple[int, ...]) -> Mapping[Any, Any]:
    """Exactly these labels: an unknown claim could be one that limits the others."""
    try:
        value = cose.decode(raw)
    except cose.CoseError as error:
        raise QrError(field, f"{len(raw)} bytes", str(error)) from error
    if not isinstance(value, Mapping) or set(value) != set(labels):
        raise QrError(field, f"{len(raw)} bytes", f"they must be the labels {', '.join(map(str, labels))}")
    return value


def _device_key(confirmation: object) -> bytes:
    """Read `cnf` (RFC 8747): the COSE_Key of the device."""
    key = confirmation.get(_COSE_KEY) if isinstance(confirmation, Mapping) else None
    if not isinstance(key, Mapping) or set(key) != {1, -1, -2} or (key[1], key[-1]) != (1, 6):
        raise QrError("certificate cnf", confirmation, "it must be an Ed25519 key")
    found: bytes = key[-2]  # `_check` sees to its type and length
    return found


def _seconds(field: str, at: datetime) -> int:
    if at.tzinfo is None:
        raise QrError(field, at, "it must be an aware instant")
    return int(at.timestamp())


def _instant(field: str, seconds: object) -> datetime:
    if type(seconds) is not int or not 0 <= seconds <= _MOST_SECONDS:
        raise QrError(field, seconds, "it must be seconds since 1970")
    return datetime.fromtimestamp(seconds, UTC)
