"""One tap followed to the bank's line that paid it: file, verdict, books, netting, instruction, answers, statement."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, or_, select

from clearing.tables import batch_file, tap
from clearing.verdict import Money
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.names import batch_name
from ledger.archive import Archive
from ledger.journal import of_day, read_entries
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
    name = f"{row.operator} {row.sequence}:{row.position}"
    when = row.event_at.astimezone(CITY_ZONE) if row.event_at else None
    made = (
        f"card {row.card_no}, counter {row.counter}, {yuan(row.amount_fen)} yuan on terminal {row.terminal}"
    )
    clock = f" at {when:%H:%M:%S}" if when else ""
    yield Told(when.date() if when else None, f"tap {name}", f"{made}{clock}")
    columns = batch_file.c
    file = conn.execute(
        select(batch_file).where(columns.operator == row.operator, columns.sequence == row.sequence)
    ).one()
    yield file_told(file.collected_on, batch_name(row.operator, row.sequence), file)
    yield Told(
        row.decided_on, "verdict", f"{row.verdict}, {row.money}: {yuan(row.paid_fen)} yuan to {row.operator}"
    )
    if row.money != Money.PAID or not row.paid_fen:
        return
    yield from _booked(conn, row, archive)
    yield from settled(conn, row.operator, row.decided_on)


def file_told(on: date, name: str, file: Row[Any]) -> Told:
    """The file of a batch, and what came in it."""
    records = "1 record" if file.record_count == 1 else f"{file.record_count} records"
    return Told(on, f"file {name}", f"{records} of {yuan(file.amount_fen)} yuan, SHA-256 {file.digest}")


def _booked(conn: Connection, row: Row[Any], archive: Archive | None) -> Iterator[Told]:
    """The entry that credits the operator: its batch's, one after suspense, or that of a centre's results."""
    item = f"{row.card_no}:{row.counter}"
    stem = f"batch:{row.operator}:{row.sequence}"
    named = or_(
        entry.c.reference == stem,
        entry.c.reference.startswith(f"{stem}:", autoescape=True),
        entry.c.kind == "interop",
    )
    for recorded in read_entries(conn, of_day(row.decided_on), named, archive=archive):
        for line in recorded.entry.lines:
            if line.item == item and line.credit.endswith(f":{row.operator}"):
                what = f"{yuan(line.amount_fen)} yuan from {line.debit} to {line.credit}"
                yield Told(recorded.entry.business_date, f"entry {recorded.entry.reference}", what)


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
