"""What the bank says, taken into the books: statuses move instructions, booked lines move money, each once.

All of a file is taken in one transaction: what it says, what becomes of instructions, the postings of its lines.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Final

from sqlalchemy import Connection, insert, or_, select, update

from clearing.context import StepRefused
from clearing.wire.bcd import CITY_ZONE
from ledger.accounts import open_accounts
from ledger.bulk import one_of
from ledger.chart import account
from ledger.entry import Entry, Line, Refused
from ledger.journal import of_references, read_entries
from ledger.post import post
from settlement.bank.matching import SUSPENDED, Booked, Fate, Matched, after, match
from settlement.bank.statement_file import BankLine, Direction, Statement
from settlement.bank.status_report import Meaning, StatusReport, answers
from settlement.bank.store import keep_lines, keep_statement
from settlement.bank.tables import bank_line, bank_status
from settlement.instructions import Instructed, State, instructions_where
from settlement.tables import instruction as instruction_table

RESERVE: Final = "bank:reserve"
SUSPENSE: Final = "suspense:bank"
"""Money that the bank moved and that nothing of ours explains, until two people say whose it is."""

PAYMENT, RETURN, SUSPENDING = "bank_payment", "bank_return", "bank_suspense"
"""Kinds of entries that lines of statements make."""

_KIND: Final[Mapping[Fate, str]] = {Fate.PAID: PAYMENT, Fate.RETURNED: RETURN}


def take_statuses(conn: Connection, file: int, report: StatusReport, business_date: date) -> Counter[str]:
    """Keep what a report says of each payment and move those that it moves; how many had which effect."""
    named = [end_to_end_id for block in report.blocks for end_to_end_id in block.payments]
    known = {one.end_to_end_id: one for one in _instructions(conn, named, report.original_message_id)}
    effects: Counter[str] = Counter()
    rows = []
    for position, answer in enumerate(answers(report, known.values()), 1):
        one = known.get(answer.end_to_end_id)
        state, effect = after_status(one, answer.said.meaning)
        if one is not None and state is not None:
            words = (
                f"{answer.said.reason_code} {answer.said.reason}".strip() if state is State.REJECTED else ""
            )
            set_state(conn, one.end_to_end_id, state, business_date, reason=words, paid_fen=one.paid_fen)
        effects[effect] += 1
        rows.append(
            {
                "file": file, "position": position, "end_to_end_id": answer.end_to_end_id, "level": answer.level,
                "status": answer.said.status, "reason_code": answer.said.reason_code,
                "reason": answer.said.reason, "effect": effect,
            }
        )  # fmt: skip
    if rows:
        conn.execute(insert(bank_status), rows)
    return effects


def after_status(one: Instructed | None, meaning: Meaning) -> tuple[State | None, str]:
    """The state that a status moves an instruction to, or None, and what it did: it never makes one paid or unpaid."""
    if one is None:
        return None, "unknown"
    if one.state == State.REJECTED:
        return None, "same" if meaning is not Meaning.ACCEPTED else "contradicts"
    if one.state in (State.PAID, State.RETURNED):
        return None, "contradicts" if meaning is Meaning.REJECTED else "same"
    if meaning is Meaning.REJECTED:
        return State.REJECTED, "moved"
    if meaning is Meaning.ACCEPTED and one.state == State.AWAITING_BANK:
        return State.ACCEPTED, "moved"
    return None, "same"


def book_statement(
    conn: Connection, file: int, statement: Statement, business_date: date, *, at: datetime
) -> Counter[str]:
    """Book every line of a statement that is in order on the open business date; how many had which fate.

    Raises StepRefused where the ledger refuses; then nothing of the file is taken.
    """
    number = keep_statement(conn, file, statement, business_date)
    names = {line.end_to_end_id for line in statement.lines} - {""}
    instructions = {one.end_to_end_id: one for one in _instructions(conn, sorted(names))}
    matched = match(statement.lines, instructions, _booked(conn, statement.lines), _suspended(conn, names))
    entries = [_entry(one, statement, business_date) for one in matched]
    codes = {code for entry in entries if entry for line in entry.lines for code in (line.debit, line.credit)}
    open_accounts(conn, [account(code) for code in sorted(codes)], at=at)
    post_or_refuse(conn, [entry for entry in entries if entry is not None], at=at)
    kept = [entry.reference if entry else one.known for one, entry in zip(matched, entries, strict=True)]
    keep_lines(conn, number, matched, kept)
    for found in matched:
        one = found.instruction
        if one is not None and found.fate in _KIND:
            then = after(one, found)
            words = found.line.remittance[:500] if found.fate is Fate.RETURNED else ""
            set_state(conn, one.end_to_end_id, State(then.state), business_date, words, then.paid_fen)
    return Counter(one.fate.value for one in matched)


def post_or_refuse(conn: Connection, entries: Sequence[Entry], *, at: datetime) -> None:
    """Post entries. Raises StepRefused where the ledger refuses one."""
    for answer in post(conn, entries, at=at):
        if isinstance(answer, Refused):
            reason = f"the ledger refuses {answer.reference}: {answer.message}"
            raise StepRefused("bank", reason, "put right what the ledger names, and do it again")


def set_state(
    conn: Connection, end_to_end_id: str, state: State, business_date: date, reason: str, paid_fen: int
) -> None:
    """Let an instruction be in a state since a business date."""
    values = {"state": state, "state_on": business_date, "reason": reason[:600], "paid_fen": paid_fen}
    conn.execute(
        update(instruction_table).where(instruction_table.c.end_to_end_id == end_to_end_id).values(**values)
    )


def reference_of(statement: Statement, line: BankLine) -> str:
    """The natural key of what a line books: account, statement and place are the bank's own."""
    return f"bank:{statement.account_no}:{statement.statement_id}:{line.position}"


def _entry(found: Matched, statement: Statement, business_date: date) -> Entry | None:
    """What a line moves in our books; None where they have it already."""
    line, one = found.line, found.instruction
    if found.fate is Fate.KNOWN:
        return None
    other = SUSPENSE if found.fate in SUSPENDED or one is None else f"payable:{one.participant}"
    debit, credit = (RESERVE, other) if line.direction is Direction.IN else (other, RESERVE)
    return Entry(
        reference=reference_of(statement, line),
        kind=_KIND.get(found.fate, SUSPENDING),
        business_date=business_date,
        event_at=datetime.combine(line.bank_day, time(), CITY_ZONE),
        lines=(Line(debit, credit, line.amount_fen, line.end_to_end_id),),
        narrative=f"statement {statement.statement_id}, line {line.position}",
    )


def _instructions(conn: Connection, names: Sequence[str], message_id: str | None = None) -> list[Instructed]:
    columns = instruction_table.c
    wanted = one_of(conn, columns.end_to_end_id, names)
    return instructions_where(
        conn, wanted if message_id is None else or_(wanted, columns.message_id == message_id)
    )


def _booked(conn: Connection, lines: Iterable[BankLine]) -> dict[str, Booked]:
    """Entries by the references that lines name, with what each moved on the reserve, that no line has spoken of."""
    names = sorted({name for line in lines for name in (line.end_to_end_id, line.bank_reference)} - {""})
    spoken = set(conn.scalars(select(bank_line.c.entry).where(one_of(conn, bank_line.c.entry, names))))
    found: dict[str, Booked] = {}
    for recorded in read_entries(conn, of_references(conn, names)):
        moved_fen = sum(
            line.amount_fen * ((line.debit == RESERVE) - (line.credit == RESERVE))
            for line in recorded.entry.lines
        )
        reference = recorded.entry.reference
        if moved_fen and reference not in spoken:
            found[reference] = Booked(reference, moved_fen)
    return found


def _suspended(conn: Connection, names: Iterable[str]) -> set[str]:
    """Instructions of which a line is in suspense."""
    columns = bank_line.c
    query = select(columns.instruction).where(
        columns.open_fen > 0, one_of(conn, columns.instruction, sorted(names))
    )
    return set(conn.scalars(query))
