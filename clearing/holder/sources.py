"""Where a holder's happenings are kept: taps, rides on codes, payments, top-ups, loads; the rest is in the ledger.

Each source answers its newest rows before a place, so that one page never reads a whole history.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from card.holders import POCKETS
from card.tables import held_card
from clearing.holder.happening import OF_MONEY, Happening, Place, Sort, Standing
from clearing.online.payment_record import PaymentRecord, payments_by_reference
from clearing.online.qr_tables import qr_ride
from clearing.online.tables import payment, topup
from clearing.online.topup_record import TopUpState
from clearing.qr_verdict import NOBODYS
from clearing.tables import chip_load, tap
from clearing.verdict import Money, Verdict
from clearing.wire.ride import Ride

Source = Callable[[Connection, str, int, Place | None], list[Happening]]
_TOPUP = {
    TopUpState.PENDING: Standing.PENDING,
    TopUpState.FAILED: Standing.NOT_CHARGED,
    TopUpState.CONFIRMED: Standing.CLEARED,
}


def presented_taps() -> ColumnElement[bool]:
    """The condition on taps that somebody rode: not unreadable, and not the same once more."""
    return tap.c.verdict.not_in([Verdict.MALFORMED.value, Verdict.DUPLICATE.value])


def presented_rides() -> ColumnElement[bool]:
    """The condition on rides on codes that they are somebody's."""
    return qr_ride.c.verdict.not_in([verdict.value for verdict in NOBODYS])


def taps(conn: Connection, holder: str, limit: int, before: Place | None) -> list[Happening]:
    """Taps of cards while they were tied to the holder; what a card did before or after is not the holder's."""
    columns, tie = tap.c, held_card.c
    tied = and_(
        tie.holder == holder,
        columns.event_at >= tie.tied_at,
        or_(tie.untied_at.is_(None), columns.event_at < tie.untied_at),
    )
    query = (
        select(tap).join(held_card, tie.card_no == columns.card_no).where(tied, presented_taps()).distinct()
    )
    keys = (columns.operator, columns.sequence, columns.position)
    return [
        Happening(
            place_of(Sort.TAP, row.event_at, row.operator, row.sequence, row.position),
            kind=_ride_name(row.ride),
            amount_fen=-row.amount_fen,
            standing=OF_MONEY[Money(row.money)],
            party=row.operator,
            card_no=row.card_no,
            line=row.line,
            station=row.station,
            verdict=row.verdict,
            discount_fen=max(row.list_fare_fen - row.amount_fen, 0),
        )
        for row in newest(conn, query, Sort.TAP, columns.event_at, keys, limit, before)
    ]


def rides(conn: Connection, holder: str, limit: int, before: Place | None) -> list[Happening]:
    """The holder's rides on codes, as the nights have judged them."""
    columns = qr_ride.c
    query = select(qr_ride).where(columns.holder == holder, columns.event_at.is_not(None), presented_rides())
    keys = (columns.operator, columns.sequence, columns.position)
    return [
        Happening(
            place_of(Sort.RIDE, row.event_at, row.operator, row.sequence, row.position),
            kind=_ride_name(row.ride),
            amount_fen=-(row.paid_fen if row.money == Money.PAID.value else row.amount_fen),
            standing=OF_MONEY[Money(row.money)],
            party=row.operator,
            line=row.line,
            station=row.station,
            verdict=row.verdict,
            pockets=(("wallet", row.paid_fen - row.short_fen),) if row.paid_fen else (),
        )
        for row in newest(conn, query, Sort.RIDE, columns.event_at, keys, limit, before)
    ]


def payments(conn: Connection, holder: str, limit: int, before: Place | None) -> list[Happening]:
    """What the holder paid online: purchases, hospital and utility bills, contributions."""
    columns = payment.c
    query = select(columns.reference, columns.event_at, columns.entry_id).where(columns.holder == holder)
    rows = newest(conn, query, Sort.PAYMENT, columns.event_at, (columns.entry_id,), limit, before)
    records = payments_by_reference(conn, [row.reference for row in rows])
    return [_payment(records[row.reference]) for row in rows]


def topups(conn: Connection, holder: str, limit: int, before: Place | None) -> list[Happening]:
    """Top-ups, when they were settled; those still ordered, when they were."""
    columns = topup.c
    at = func.coalesce(columns.settled_at, columns.ordered_at)
    query = select(topup, at.label("at")).where(columns.holder == holder)
    return [
        Happening(
            place_of(Sort.TOPUP, row.at, row.reference),
            kind="topup",
            amount_fen=row.amount_fen,
            standing=_TOPUP[TopUpState(row.state)],
            party=row.channel_id,
            pockets=(("wallet", row.amount_fen),),
        )
        for row in newest(conn, query, Sort.TOPUP, at, (columns.reference,), limit, before)
    ]


def loads(conn: Connection, holder: str, limit: int, before: Place | None) -> list[Happening]:
    """Loads onto a chip: out of the holder's wallet, or with cash onto a card tied to the holder then."""
    columns, tie = chip_load.c, held_card.c
    own_card = (
        select(tie.id)
        .where(
            tie.holder == holder,
            tie.card_no == columns.card_no,
            columns.ordered_at >= tie.tied_at,
            or_(tie.untied_at.is_(None), columns.ordered_at < tie.untied_at),
        )
        .exists()
    )
    query = select(chip_load).where(or_(columns.holder == holder, and_(columns.holder.is_(None), own_card)))
    return [
        Happening(
            place_of(Sort.LOAD, row.ordered_at, row.reference),
            kind="load_from_wallet" if row.holder else "load_with_cash",
            amount_fen=row.amount_fen,
            standing=_load_standing(row),
            party=row.agent,
            card_no=row.card_no,
            pockets=(("wallet", row.amount_fen),) if row.holder else (),
        )
        for row in newest(conn, query, Sort.LOAD, columns.ordered_at, (columns.reference,), limit, before)
    ]


SOURCES: Final[tuple[Source, ...]] = (loads, topups, payments, rides, taps)
"""All but `clearing.holder.movements`."""


def newest(
    conn: Connection,
    query: Select[Any],
    sort: Sort,
    at: ColumnElement[datetime],
    keys: Sequence[ColumnElement[Any]],
    limit: int,
    before: Place | None,
) -> list[Row[Any]]:
    """The newest `limit` rows of a source that stand after a place in the list."""
    if before is not None:
        query = query.where(_after(before, sort, at, keys))
    order = [at.desc(), *(key.desc() for key in keys)]
    return list(conn.execute(query.order_by(*order).limit(limit)))


def _after(
    place: Place, sort: Sort, at: ColumnElement[datetime], keys: Sequence[ColumnElement[Any]]
) -> ColumnElement[bool]:
    """The condition that a row of `sort` stands after a place: older, or at its instant and later in the order."""
    rank, places_rank = tuple(Sort).index(sort), tuple(Sort).index(place.sort)
    if rank < places_rank:
        return at < place.at
    if rank > places_rank:
        return at <= place.at
    # Numbers are bound wide, so that one beyond a narrow column is later than all in it, and no error.
    known = tuple_(*(literal(part, BigInteger if isinstance(part, int) else String) for part in place.key))
    return or_(at < place.at, and_(at == place.at, tuple_(*keys) < known))


def place_of(sort: Sort, at: datetime, *key: object) -> Place:
    """The place of a happening in the list."""
    return Place(at, sort, key)


def _payment(record: PaymentRecord) -> Happening:
    own = [leg for leg in record.legs if leg.account.partition(":")[0] in POCKETS]
    return Happening(
        place_of(Sort.PAYMENT, record.event_at, record.entry_id),
        kind=record.kind,
        amount_fen=-sum(leg.amount_fen for leg in own),
        standing=Standing.CLEARED if record.reversed_by is None else Standing.GIVEN_BACK,
        party=record.merchant,
        reference=record.reference,
        note=record.narrative,
        pockets=tuple((leg.account.partition(":")[0], leg.amount_fen) for leg in own),
        refunded_fen=record.refunded_fen,
    )


def _load_standing(row: Row[Any]) -> Standing:
    if row.confirmed_at is not None:
        return Standing.CLEARED
    return Standing.PENDING if row.returned_at is None else Standing.GIVEN_BACK


def _ride_name(ride: int) -> str:
    return Ride(ride).name.lower() if ride in tuple(Ride) else "ride"
