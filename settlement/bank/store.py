"""What is kept of the bank's files: written by whoever takes one, read by everybody who asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from settlement.bank.matching import SUSPENDED, Fate, Matched, difference
from settlement.bank.statement_checks import Kept
from settlement.bank.statement_file import Direction, Statement
from settlement.bank.tables import bank_file, bank_line, bank_statement


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of the bank's as it was read: taken, refused, or refused and explained since."""

    number: int
    digest: str
    name: str
    kind: str
    state: str
    message: str
    remedy: str
    read_at: datetime
    read_on: date


@dataclass(frozen=True, slots=True)
class KeptLine:
    """A line as it is kept, with the statement that it stands on; `open_fen` of it is in suspense."""

    statement: int
    statement_id: str
    booked_on: date
    position: int
    amount_fen: int
    direction: Direction
    bank_day: date
    end_to_end_id: str
    bank_reference: str
    party: str
    party_account: str
    remittance: str
    fate: Fate
    what: str
    instruction: str | None
    entry: str
    open_fen: int

    @property
    def id(self) -> str:
        """How people name it: the statement's number with us, and its place there."""
        return f"S{self.statement}:{self.position}"

    @property
    def moved_it(self) -> bool:
        """Whether it has paid or returned the instruction that it names, by itself or as two people decided."""
        return self.fate in (Fate.PAID, Fate.RETURNED) or self.open_fen < self.amount_fen


def files_where(conn: Connection, *where: ColumnElement[bool]) -> list[KeptFile]:
    """The files that fulfil conditions on `bank_file`, in the order they came."""
    query = select(bank_file).where(*where).order_by(bank_file.c.number)
    return [KeptFile(*row) for row in conn.execute(query)]


def statements_where(conn: Connection, *where: ColumnElement[bool]) -> list[Kept]:
    """The statements in the books that fulfil conditions on `bank_statement`, in the order they came."""
    query = select(*_KEPT).where(*where).order_by(bank_statement.c.number)
    return [Kept(*row) for row in conn.execute(query)]


def lines_where(conn: Connection, *where: ColumnElement[bool]) -> list[KeptLine]:
    """The lines that fulfil conditions on `bank_line` and `bank_statement`, by statement and position."""
    columns = bank_line.c
    query = (
        select(*(_COLUMNS[name] for name in _NAMES))
        .join(bank_statement, bank_statement.c.number == columns.statement)
        .where(*where)
        .order_by(columns.statement, columns.position)
    )
    return [_kept_line(row) for row in conn.execute(query)]


def keep_bank_file(conn: Connection, file: KeptFile) -> None:
    """Write a file down, or what became of it when it was read again."""
    values = {
        name: getattr(file, name) for name in ("kind", "state", "message", "remedy", "read_at", "read_on")
    }
    known = update(bank_file).where(bank_file.c.number == file.number)
    if not conn.execute(known.values(**values)).rowcount:
        conn.execute(
            insert(bank_file), {"number": file.number, "digest": file.digest, "name": file.name, **values}
        )


def next_file(conn: Connection) -> int:
    """The number of the next file."""
    return int(conn.execute(select(func.coalesce(func.max(bank_file.c.number), 0))).scalar_one()) + 1


def keep_statement(conn: Connection, file: int, statement: Statement, business_date: date) -> int:
    """Write a statement down as booked on a business date; its number."""
    number = int(conn.execute(select(func.coalesce(func.max(bank_statement.c.number), 0))).scalar_one()) + 1
    values = {
        "number": number,
        "file": file,
        "account_no": statement.account_no,
        "statement_id": statement.statement_id,
        "sequence": statement.sequence,
        "opening_on": statement.opening_on,
        "opening_fen": statement.opening_fen,
        "day": statement.day,
        "closing_fen": statement.closing_fen,
        "content": statement.content,
        "booked_on": business_date,
        "gap_explained": False,
    }
    conn.execute(insert(bank_statement), values)
    return number


def keep_lines(conn: Connection, statement: int, matched: Sequence[Matched], entries: Sequence[str]) -> None:
    """Write a statement's lines down with their fates and the references of what has them in the books."""
    rows = [
        {
            "statement": statement,
            "position": one.line.position,
            "amount_fen": one.line.amount_fen,
            "direction": one.line.direction,
            "reversal": one.line.reversal,
            "bank_day": one.line.bank_day,
            "value_on": one.line.value_on,
            "end_to_end_id": one.line.end_to_end_id,
            "bank_reference": one.line.bank_reference,
            "party": one.line.party,
            "party_account": one.line.party_account,
            "remittance": one.line.remittance,
            "fate": one.fate,
            "what": difference(one)[:500] if one.fate in SUSPENDED else "",
            "instruction": one.instruction.end_to_end_id if one.instruction else None,
            "entry": entry,
            "open_fen": one.line.amount_fen if one.fate in SUSPENDED else 0,
        }
        for one, entry in zip(matched, entries, strict=True)
    ]
    if rows:
        conn.execute(insert(bank_line), rows)


def _kept_line(row: Row[Any]) -> KeptLine:
    values = row._asdict()
    return KeptLine(**values | {"direction": Direction(row.direction), "fate": Fate(row.fate)})


_NAMES = tuple(KeptLine.__dataclass_fields__)
_COLUMNS = {
    **{column.name: column for column in bank_statement.c},
    **{column.name: column for column in bank_line.c},
}
_KEPT = tuple(bank_statement.c[name] for name in Kept.__dataclass_fields__)
