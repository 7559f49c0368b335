"""One tap followed to the bank's line that paid it: file, verdict, books, netting, instruction, answers, statement."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, or_, select

from clearing.tables import batch_file, tap
from clearing.verdict import Money
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.names import batch_name
from ledger.archive import Archive
from ledger.entry import Line
from ledger.journal import of_day, read_entries, whole
from ledger.money import yuan
from ledger.tables import entry
from settlement.bank.story import Told, story_of
from settlement.instructions import instructions_where
from settlement.netting import Standing, net_reference
from settlement.tables import instruction as instruction_table
from settlement.tables import position

Place = tuple[str, int, int]
"""Operator, sequence of the batch, and position in it."""


def trace_tap(
    conn: Connection, operator: str, sequence: int, place: int, archive: Archive | None = None
) -> list[Told]:
    """Every step from a tap on, as far as it has come; nothing where no such tap was presented.

    Lines of archived months come from `archive`, and LinesArchived says that it is needed.
    """
    row = presented_at(conn, tap, operator, sequence, place)
    return [] if row is None else list(_steps(conn, row, archive))


def taps_of_card(conn: Connection, card_no: str, counter: int) -> list[Place]:
    """The places of what was presented under a card's counter, what is paid first."""
    return places_of(conn, tap, tap.c.card_no == card_no, tap.c.counter == counter)


def presented_at(conn: Connection, table: Table, operator: str, sequence: int, place: int) -> Row[Any] | None:
    """The row of `tap` or `qr_ride` that was presented at this place of a batch."""
    columns = table.c
    key = (columns.operator == operator, columns.sequence == sequence, columns.position == place)
    return conn.execute(select(table).where(*key)).one_or_none()


def places_of(conn: Connection, table: Table, *named: ColumnElement[bool]) -> list[Place]:
    """The places of the rows of `tap` or `qr_ride` that are named, what is paid first."""
    columns = table.c
    query = select(columns.operator, columns.sequence, columns.position, columns.money).where(*named)
    found = sorted(conn.execute(query), key=lambda row: (row.money != Money.PAID, *row[:3]))
    return [(row.operator, row.sequence, row.position) for row in found]


def _steps(conn: Connection, row: Row[Any], archive: Archive | None) -> Iterator[Told]:
    yield presented_told("tap", row, f"card {row.card_no}, counter {row.counter}")
    yield file_told(conn, row, batch_file, batch_file.c.collected_on, batch_name)
    yield verdict_told(row)
    if row.money != Money.PAID or not row.paid_fen:
        return
    item, stem = f"{row.card_no}:{row.counter}", f"batch:{row.operator}:{row.sequence}"
    # The entry that credits the operator: its batch's, one after suspense, or that of a centre's results.
    named = or_(of_batch(stem), entry.c.kind == "interop")
    for source, line in lines_booked(conn, row.decided_on, named, archive):
        if line.item == item and line.credit.endswith(f":{row.operator}"):
            what = f"{yuan(line.amount_fen)} yuan from {line.debit} to {line.credit}"
            yield Told(row.decided_on, source, what)
    yield from settled(conn, row.operator, row.decided_on)


def presented_told(kind: str, row: Row[Any], by: str) -> Told:
    """Where and when a tap or a ride was taken, and `by` what."""
    when = row.event_at.astimezone(CITY_ZONE) if row.event_at else None
    clock = f" at {when:%H:%M:%S}" if when else ""
    made = f"{by}, {yuan(row.amount_fen)} yuan on terminal {row.terminal}{clock}"
    return Told(when.date() if when else None, f"{kind} {row.operator} {row.sequence}:{row.position}", made)


def file_told(
    conn: Connection,
    row: Row[Any],
    files: Table,
    taken_on: ColumnElement[date],
    name: Callable[[str, int], str],
) -> Told:
    """The file in which it came, what came in it, and the night that took it in."""
    columns = files.c
    query = select(taken_on, columns.record_count, columns.amount_fen, columns.digest)
    own = columns.operator == row.operator, columns.sequence == row.sequence
    on, count, amount_fen, digest = conn.execute(query.where(*own)).one()
    records = "1 record" if count == 1 else f"{count} records"
    what = f"{records} of {yuan(amount_fen)} yuan, SHA-256 {digest}"
    return Told(on, f"file {name(row.operator, row.sequence)}", what)


def verdict_told(row: Row[Any]) -> Told:
    """What was decided of it."""
    what = f"{row.verdict}, {row.money}: {yuan(row.paid_fen)} yuan to {row.operator}"
    return Told(row.decided_on, "verdict", what)


def of_batch(stem: str) -> ColumnElement[bool]:
    """The condition on entries that they are a batch's, or of what of it came out of suspense later."""
    return or_(entry.c.reference == stem, entry.c.reference.startswith(f"{stem}:", autoescape=True))


def lines_booked(
    conn: Connection, business_date: date, named: ColumnElement[bool], archive: Archive | None
) -> Iterator[tuple[str, Line]]:
    """The lines of a date's entries that are named, each with its entry. Raises LinesArchived."""
    for recorded in map(whole, read_entries(conn, of_day(business_date), named, archive=archive)):
        for line in recorded.entry.lines:
            yield f"entry {recorded.entry.reference}", line


def settled(conn: Connection, party: str, since: date) -> Iterator[Told]:
    """The netting that took in what a participant was owed from a date on, and every payment of that."""
    columns = position.c
    netted = conn.execute(
        select(position)
        .where(
            columns.role == "participant",
            columns.party == party,
            columns.business_date >= since,
            columns.state == Standing.NETTED,
        )
        .order_by(columns.business_date)
        .limit(1)
    ).one_or_none()
    if netted is None:
        yield Told(None, "netting", f"not netted yet: {party} is paid by a later night")
        return
    what = f"{yuan(netted.gross_fen)} yuan gross, {yuan(netted.fee_fen)} fee, {yuan(netted.position_fen)} net"
    yield Told(netted.business_date, f"entry {net_reference(netted.business_date, party)}", what)
    table = instruction_table.c
    payments = instructions_where(
        conn, table.business_date == netted.business_date, table.participant == party
    )
    if not payments:
        yield Told(netted.business_date, "payment", "nothing was left to pay")
    for one in payments:
        for told in story_of(conn, one):
            yield Told(told.on, told.source, f"{one.end_to_end_id}: {told.what}")
