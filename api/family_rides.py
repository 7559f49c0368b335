"""The family's rides as the night cleared them: each with the line that it put into the books."""

from sqlalchemy import Connection, Engine, select

from card.holders import holder_of
from city.family import Event, Posting
from clearing.qr_register import rides_of_holder
from clearing.tables import tap
from clearing.verdict import Money
from clearing.wire.ride import Ride
from ledger.db import reading
from ledger.history import Movement, history

WAYS = {Ride.BUS: "a bus", Ride.METRO_ENTRY: "the metro", Ride.METRO_EXIT: "the metro", Ride.FERRY: "a ferry"}


def cleared_rides(engine: Engine, cards: tuple[str, ...]) -> list[Event]:
    """Every ride of these cards and of their holders' codes that was paid, in the order in which they were ridden."""
    with reading(engine) as conn:
        events = [event for card_no in cards for event in _rides_of(conn, card_no)]
    return sorted(events, key=lambda event: event.at)


def _rides_of(conn: Connection, card_no: str) -> list[Event]:
    columns = tap.c
    query = select(columns.counter, columns.event_at, columns.ride, columns.operator, columns.verdict)
    taps = {
        f"{card_no}:{row.counter}": row
        for row in conn.execute(query.where(columns.card_no == card_no, columns.money == Money.PAID.value))
    }
    events = []
    for moved in _cleared(conn, f"purse:{card_no}", "clearing"):
        row = taps[moved.item]
        said = f"on card {card_no}, cleared in the night: {row.verdict}"
        posting = Posting(f"purse:{card_no}", moved.counter_account, -moved.amount_fen)
        events.append(Event(row.event_at, f"{WAYS[Ride(row.ride)]} is ridden", said, (posting,)))
    holder = holder_of(conn, card_no)
    return events if holder is None else events + _rides_on_codes(conn, holder)


def _rides_on_codes(conn: Connection, holder: str) -> list[Event]:
    paid = [ride for ride in rides_of_holder(conn, holder) if ride.money is Money.PAID]
    moved = _cleared(conn, f"wallet:{holder}", "qr_clearing")
    return [
        Event(
            ride.event_at,
            "a bus is ridden on a code",
            f"of {holder}, cleared in the night: {ride.verdict.value}",
            (Posting(f"wallet:{holder}", line.counter_account, -line.amount_fen),),
        )
        for ride, line in zip(paid, moved, strict=True)
    ]


def _cleared(conn: Connection, code: str, kind: str) -> list[Movement]:
    """What a kind of entry took out of an account, newest first; a family's day has far fewer lines than asked for."""
    return [one for one in history(conn, code, limit=100) if one.kind == kind]
