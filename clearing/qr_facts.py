"""What decides over rides on codes: devices, the issuer's keys, wallets, losses, and what came before."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from card.tables import loss
from clearing.arrivals import NO_SUCH_KEY
from clearing.context import Night
from clearing.devices import Device
from clearing.online.parties import open_codes
from clearing.online.qr_tables import qr_ride
from clearing.qr_rides import PresentedRide, QrFacts
from clearing.tables import device
from clearing.verdict import Money
from clearing.wire.qr import QrCode, QrError, read_code
from clearing.wire.qr_record import QrRide
from clearing.wire.record import RecordError
from ledger.bulk import one_of


def suspended_rides(conn: Connection) -> list[PresentedRide]:
    """Rides whose money awaits a decision, to be judged by what is known now."""
    columns = qr_ride.c
    query = (
        select(columns.operator, columns.sequence, columns.position, columns.business_date, columns.record)
        .where(columns.money == Money.SUSPENDED.value)
        .order_by(columns.operator, columns.sequence, columns.position)
    )
    return [PresentedRide(*row[:4], True, row[4]) for row in conn.execute(query)]


def issuer_keys(hsm: Hsm, rides: Sequence[PresentedRide]) -> dict[int, bytes]:
    """The public keys that the rides name, by version; those that the HSM does not hold are left out.

    Raises HsmError where it cannot be asked.
    """
    versions = {code.signed_certificate.key_version for code in _readable_codes(rides)}
    keys = {}
    for version in sorted(versions):
        try:
            keys[version] = hsm.qr_public_key(version)[1]
        except HsmError as error:
            if error.code != NO_SUCH_KEY:
                raise
    return keys


def qr_facts(
    conn: Connection, rides: Sequence[PresentedRide], keys: dict[int, bytes], night: Night
) -> QrFacts:
    """Read what decides over rides: devices, wallets, losses, and what was presented or paid before."""
    codes = _readable_codes(rides)
    holders = sorted({code.certificate.holder for code in codes})
    serials = sorted({code.certificate.serial.hex() for code in codes})
    digests = sorted({presented.digest for presented in rides})
    ride, lost = qr_ride.c, loss.c
    wallets = [f"wallet:{holder}" for holder in holders]
    locks = select(lost.holder, lost.reported_at).where(
        one_of(conn, lost.holder, holders), lost.lifted_at.is_(None)
    )
    paid = select(ride.serial, ride.nonce).where(
        one_of(conn, ride.serial, serials), ride.money == Money.PAID.value
    )
    known = select(ride.operator, ride.digest).where(one_of(conn, ride.digest, digests))
    return QrFacts(
        [Device(*row) for row in conn.execute(select(device))],
        keys,
        {code.removeprefix("wallet:") for code in open_codes(conn, wallets)},
        {row.holder: row.reported_at for row in conn.execute(locks)},
        {(bytes.fromhex(serial), bytes.fromhex(nonce)) for serial, nonce in conn.execute(paid)},
        {(operator, digest) for operator, digest in conn.execute(known)},
        night.tariffs,
    )


def _readable_codes(rides: Sequence[PresentedRide]) -> list[QrCode]:
    """The codes of the rides that can be read; the others are judged malformed."""
    codes = []
    for presented in rides:
        try:
            codes.append(read_code(QrRide.unpack(presented.record).code))
        except (RecordError, QrError):
            continue
    return codes
