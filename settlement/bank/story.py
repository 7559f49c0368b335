"""Everything that is known of one payment to a participant, in the order in which it became known."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, or_, select

from ledger.money import yuan
from settlement.bank.matching import SUSPENDED, Fate
from settlement.bank.proposals import Proposal, proposal_of
from settlement.bank.store import KeptLine, lines_where
from settlement.bank.tables import bank_file, bank_line, bank_proposal, bank_status
from settlement.instructions import Instructed, instructions_where
from settlement.tables import instruction as instruction_table


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that is known: since when, from where, and what."""

    on: date | None
    source: str
    what: str


def instruction_of(conn: Connection, end_to_end_id: str) -> Instructed | None:
    """The instruction of an id."""
    return next(iter(instructions_where(conn, instruction_table.c.end_to_end_id == end_to_end_id)), None)


def story_of(conn: Connection, one: Instructed) -> list[Told]:
    """How an instruction left, what the bank said of it, what stands on statements, what people decided."""
    left = (
        f"{yuan(one.amount_fen)} yuan to {one.participant}, account {one.account_no} at {one.bank_code}, to be paid "
        f"on {one.value_date}"
    )
    before = f", as {one.replaces} had not arrived" if one.replaces else ""
    told = [Told(one.business_date, f"message {one.message_id}", f"{left}{before}")]
    told += _statuses(conn, one.end_to_end_id)
    told += [line_told(line) for line in lines_where(conn, bank_line.c.instruction == one.end_to_end_id)]
    told += _decisions(conn, one.end_to_end_id)
    later = instructions_where(conn, instruction_table.c.replaces == one.end_to_end_id)
    told += [
        Told(None, f"message {again.message_id}", f"paid again as {again.end_to_end_id}") for again in later
    ]
    return told


def line_told(line: KeptLine) -> Told:
    """A line of a statement, and what became of it."""
    moved = f"{yuan(line.amount_fen)} yuan {'came in' if line.direction == 'in' else 'went out'}"
    became = {
        Fate.PAID: "it pays this",
        Fate.RETURNED: "it came back",
        Fate.KNOWN: f"in the books as {line.entry}",
    }
    left = "" if line.fate not in SUSPENDED or line.open_fen else "; decided since"
    said = became.get(line.fate, line.what) + left
    return Told(line.bank_day, f"statement {line.statement_id}, line {line.position}", f"{moved}: {said}")


def decision_told(found: Proposal) -> Told:
    """A proposal, and what was said to it."""
    ended = "waits for a second person"
    if found.decided_by:
        ended = f"{found.state.replace('_', ' ')} by {found.decided_by}"
    why = f": {found.decided_why}" if found.decided_why else ""
    what = (
        f"{found.decision.replace('_', ' ')}, proposed by {found.proposed_by} ({found.reason}), {ended}{why}"
    )
    return Told(found.business_date, f"proposal {found.number}", what)


def _statuses(conn: Connection, end_to_end_id: str) -> Iterator[Told]:
    columns = bank_status.c
    query = (
        select(
            columns.status,
            columns.level,
            columns.reason_code,
            columns.reason,
            columns.effect,
            bank_file.c.read_on,
        )
        .join(bank_file, bank_file.c.number == columns.file)
        .where(columns.end_to_end_id == end_to_end_id)
        .order_by(columns.file, columns.position)
        .add_columns(bank_file.c.name)
    )
    for status, level, code, reason, effect, read_on, name in conn.execute(query):
        why = " ".join(part for part in (code, reason) if part)
        of = "" if level == "transaction" else f" for its {level}"
        odd = ", which contradicts what is known" if effect == "contradicts" else ""
        yield Told(read_on, name, f"{status}{of}{f': {why}' if why else ''}{odd}")


def _decisions(conn: Connection, name: str) -> Iterator[Told]:
    query = select(bank_proposal.c.number).where(
        or_(bank_proposal.c.point == name, bank_proposal.c.other == name)
    )
    for number in conn.scalars(query.order_by(bank_proposal.c.number)):
        found = proposal_of(conn, number)
        assert found is not None
        yield decision_told(found)


def decisions_about(conn: Connection, name: str) -> list[Told]:
    """What was proposed about a point, and decided."""
    return list(_decisions(conn, name))
