"""Certificates for riders' codes: the issuer vouches for a phone's key, for a day and up to a limit.

The HSM holds the issuer's key, and no transaction waits for it: facts are read, the HSM signs, then the
certificate is written down, and only then does it leave.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, Engine, insert

from card.holders import ACTIVE, cards_of
from card.hsm.client import Hsm
from clearing.online.parties import locked_holders, open_codes, wallet
from clearing.online.qr_tables import qr_certificate
from clearing.qr_owed import owed_fen, wallets_fen
from clearing.wire.qr import (
    KEY_BYTES,
    SERIAL_BYTES,
    Certificate,
    certificate_to_sign,
    read_certificate,
    write_certificate,
)
from ledger.db import reading
from ledger.sharing import Alone, Writer

ISSUER = "ONECARD"
CERTIFICATE_LIFE = timedelta(hours=24)
LIMIT_FEN = 3_000
"""The most that one ride may take: more than any ride of the city costs."""
LEAST_WALLET_FEN = 200
"""A wallet with less is not sent on a ride that it could not pay."""


class CertificateRefusal(StrEnum):
    """Why no certificate is issued, in order of precedence: the first that applies."""

    DEVICE_KEY_MALFORMED = "device_key_malformed"
    HOLDER_UNKNOWN = "holder_unknown"
    HOLDER_LOCKED = "holder_locked"
    RIDES_OWED = "rides_owed"
    WALLET_TOO_LOW = "wallet_too_low"


@dataclass(frozen=True, slots=True)
class CertificateIssued:
    """A certificate for the phone to keep; `raw` is the signed CWT, `key_version` the issuer's key."""

    certificate: Certificate
    key_version: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class CertificateRefused:
    """No certificate was issued, and why."""

    reason: CertificateRefusal
    message: str


def issue_certificate(
    engine: Engine, hsm: Hsm, holder: str, device_key: bytes, *, at: datetime, writer: Writer | None = None
) -> CertificateIssued | CertificateRefused:
    """Issue a certificate for a phone's Ed25519 key of 32 bytes. Raises HsmError where the HSM is not there.

    Raises Busy, of a `writer` that is shared.
    """
    serial = hsm.random(SERIAL_BYTES)
    with reading(engine) as conn:
        terms = certificate_terms(conn, holder, device_key, serial=serial, at=at)
    if isinstance(terms, CertificateRefused):
        return terms
    key_version, signature = hsm.sign_message(certificate_to_sign(terms))
    raw = write_certificate(terms, key_version, signature)
    issued = CertificateIssued(read_certificate(raw).certificate, key_version, raw)

    def keep(conn: Connection) -> CertificateRefused | None:
        # A loss reported while the HSM signed still stops it.
        if (refused := _locked(conn, holder)) is None:
            keep_certificate(conn, issued)
        return refused

    return (writer or Alone(engine)).write(keep) or issued


def certificate_terms(
    conn: Connection, holder: str, device_key: bytes, *, serial: bytes, at: datetime
) -> Certificate | CertificateRefused:
    """Decide what a holder's certificate says, or why there is none.

    The class is the best one of the holder's cards in use; the limit is what the wallet holds, up to LIMIT_FEN.
    """
    if len(device_key) != KEY_BYTES:
        message = f"the device key has {len(device_key)} bytes; give the {KEY_BYTES} of an Ed25519 public key"
        return CertificateRefused(CertificateRefusal.DEVICE_KEY_MALFORMED, message)
    code = wallet(holder)
    if not open_codes(conn, [code]):
        message = f"holder {holder!r} has no wallet here; enrol the person, or look at the id again"
        return CertificateRefused(CertificateRefusal.HOLDER_UNKNOWN, message)
    if (refused := _locked(conn, holder)) is not None:
        return refused
    if owed := owed_fen(conn, holder):
        message = f"{owed} fen of earlier rides are not paid yet; top the wallet up, the night takes them"
        return CertificateRefused(CertificateRefusal.RIDES_OWED, message)
    held_fen = wallets_fen(conn, [holder]).get(code, 0)
    if held_fen < LEAST_WALLET_FEN:
        message = f"the wallet holds {held_fen} fen; top it up to {LEAST_WALLET_FEN} at least"
        return CertificateRefused(CertificateRefusal.WALLET_TOO_LOW, message)
    classes = [held.holder_class for held in cards_of(conn, holder) if held.status == ACTIVE]
    issued_at = at.replace(microsecond=0)
    return Certificate(
        ISSUER, holder, serial, device_key, min(LIMIT_FEN, held_fen), max(classes, default=1), issued_at,
        issued_at + CERTIFICATE_LIFE,
    )  # fmt: skip


def keep_certificate(conn: Connection, issued: CertificateIssued) -> None:
    """Write down what was issued."""
    certificate = issued.certificate
    conn.execute(
        insert(qr_certificate).values(
            serial=certificate.serial.hex(),
            holder=certificate.holder,
            device_key=certificate.device_key,
            key_version=issued.key_version,
            limit_fen=certificate.limit_fen,
            holder_class=certificate.holder_class,
            issued_at=certificate.issued_at,
            expires_at=certificate.expires_at,
        )
    )


def _locked(conn: Connection, holder: str) -> CertificateRefused | None:
    if not locked_holders(conn, [holder]):
        return None
    message = f"holder {holder} has reported a loss; lift the report first"
    return CertificateRefused(CertificateRefusal.HOLDER_LOCKED, message)
