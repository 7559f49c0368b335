"""The register of rides on codes: each with its verdict, renewed while it is in suspense."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import BigInteger, Connection, and_, bindparam, insert, literal, or_, select, tuple_, update

from clearing.online.qr_tables import qr_ride
from clearing.qr_rides import JudgedRide, Place
from clearing.qr_verdict import NOBODYS, QrVerdict
from clearing.verdict import Money


def keep_rides(
    conn: Connection, judged: Sequence[JudgedRide], shorts_fen: Mapping[Place, int], business_date: date
) -> None:
    """Write rides that came tonight, and what was decided anew over those in suspense."""
    new = [_row(one, shorts_fen, business_date) for one in judged if not one.presented.retried]
    if new:
        conn.execute(insert(qr_ride), new)
    again = [
        {
            "of_operator": one.presented.operator,
            "of_sequence": one.presented.sequence,
            "of_position": one.presented.position,
            "decided_on": business_date,
            "verdict": one.verdict.value,
            "money": one.money.value,
            "price_fen": one.price_fen,
            "paid_fen": one.paid_fen,
            "short_fen": shorts_fen.get(one.presented.place, 0),
        }
        for one in judged
        if one.presented.retried
    ]
    if again:
        place = (
            qr_ride.c.operator == bindparam("of_operator"),
            qr_ride.c.sequence == bindparam("of_sequence"),
            qr_ride.c.position == bindparam("of_position"),
        )
        conn.execute(update(qr_ride).where(*place), again)


def _row(one: JudgedRide, shorts_fen: Mapping[Place, int], business_date: date) -> dict[str, object]:
    operator, sequence, position = one.presented.place
    ride, (serial, nonce) = one.ride, one.code_key
    return {
        "operator": operator,
        "sequence": sequence,
        "position": position,
        "business_date": one.presented.presented_on,
        "decided_on": business_date,
        "verdict": one.verdict.value,
        "money": one.money.value,
        "holder": one.holder,
        "serial": serial,
        "nonce": nonce,
        "terminal": "" if ride is None else ride.terminal,
        "terminal_sequence": 0 if ride is None else ride.terminal_sequence,
        "event_at": one.event_at,
        "ride": 0 if ride is None else ride.ride.value,
        "line": 0 if ride is None else ride.line,
        "station": 0 if ride is None else ride.station,
        "amount_fen": 0 if ride is None else ride.amount_fen,
        "price_fen": one.price_fen,
        "paid_fen": one.paid_fen,
        "short_fen": shorts_fen.get(one.presented.place, 0),
        "flaw": one.flaw[:300],
        "digest": one.presented.digest,
        "record": one.presented.record,
    }


@dataclass(frozen=True, slots=True)
class RideEntry:
    """A ride on a code as its holder may see it; `short_fen` is what the wallet still owes of `paid_fen`."""

    operator: str
    sequence: int
    position: int
    event_at: datetime
    verdict: QrVerdict
    money: Money
    line: int
    station: int
    amount_fen: int
    paid_fen: int
    short_fen: int

    @property
    def place(self) -> Place:
        """Where it was presented."""
        return self.operator, self.sequence, self.position


def rides_of_holder(
    conn: Connection, holder: str, *, limit: int = 50, before: tuple[datetime, Place] | None = None
) -> list[RideEntry]:
    """A holder's newest rides first. Rides whose signatures do not hold are nobody's and not shown.

    `before` is the instant of the last one seen, and where it was presented.
    """
    columns = qr_ride.c
    names = (
        columns.operator, columns.sequence, columns.position, columns.event_at, columns.verdict, columns.money,
        columns.line, columns.station, columns.amount_fen, columns.paid_fen, columns.short_fen,
    )  # fmt: skip
    query = (
        select(*names)
        .where(columns.holder == holder, columns.verdict.not_in([verdict.value for verdict in NOBODYS]))
        .order_by(columns.event_at.desc(), columns.operator, columns.sequence, columns.position)
        .limit(limit)
    )
    if before is not None:
        at, (operator, sequence, position) = before
        known = tuple_(literal(operator), literal(sequence, BigInteger), literal(position, BigInteger))
        later = tuple_(columns.operator, columns.sequence, columns.position) > known
        query = query.where(or_(columns.event_at < at, and_(columns.event_at == at, later)))
    return [RideEntry(*row[:4], QrVerdict(row[4]), Money(row[5]), *row[6:]) for row in conn.execute(query)]
