"""Whether a statement can be believed: it is of our account, its sums are right, and it goes on from the one before it.

Statements are in the order of their days and of the bank's numbers. A number that is missing is no reason to turn the
next one away: its lines are booked, and the gap is listed until it is filled or explained. Two statements that say
different things of one balance, or under one name, are never both true: the later one is refused and kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise

from ledger.money import yuan
from settlement.bank.statement_file import Statement


class StatementFlaw(StrEnum):
    """Why a statement is not booked, in order of precedence: the first that applies is told."""

    ACCOUNT_OTHER = "account_other"
    SUMS_DIFFER = "sums_differ"
    REPEATED = "repeated"  # no fault: it is in the books already
    ID_TAKEN = "id_taken"
    SEQUENCE_TAKEN = "sequence_taken"
    OPENING_DIFFERS = "opening_differs"
    CLOSING_DIFFERS = "closing_differs"


@dataclass(frozen=True, slots=True)
class Kept:
    """A statement that is in the books; `number` is ours, `content` the digest of what it says."""

    number: int
    statement_id: str
    sequence: int
    opening_on: date
    opening_fen: int
    day: date
    closing_fen: int
    content: str
    booked_on: date
    gap_explained: bool


@dataclass(frozen=True, slots=True)
class Doubt:
    """A statement that is not booked: why, and what to do."""

    flaw: StatementFlaw
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that the bank has not sent, between two statements that it has."""

    before: Kept
    after: Kept
    first: int
    last: int

    def __str__(self) -> str:
        """As a sentence begins with it."""
        return (
            f"statement {self.first}"
            if self.first == self.last
            else f"statements {self.first} to {self.last}"
        )


def doubt_of(statement: Statement, known: Sequence[Kept], account_no: str) -> Doubt | None:
    """The first reason not to book a statement of the account, or None; `known` are those in the books."""
    name = f"statement {statement.statement_id}"
    if statement.account_no != account_no:
        message = f"{name} is of account {statement.account_no}, and the reserve is {account_no}"
        return Doubt(StatementFlaw.ACCOUNT_OTHER, message, "have the bank send the statement of the reserve")
    moved_fen = sum(line.signed_fen for line in statement.lines)
    if statement.opening_fen + moved_fen != statement.closing_fen:
        message = (
            f"{name} opens with {yuan(statement.opening_fen)} yuan and books {yuan(moved_fen)}, "
            f"and closes with {yuan(statement.closing_fen)}"
        )
        return Doubt(StatementFlaw.SUMS_DIFFER, message, "have the bank send it again, whole")
    for one in known:
        if one.statement_id == statement.statement_id:
            return _of_one_name(one, statement)
    return _in_line(statement, known)


def to_book(
    statements: Iterable[Statement], known: Sequence[Kept], account_no: str
) -> list[Statement] | Doubt:
    """Those of a file's statements that are to be booked, in order, or why the file is not taken.

    What is booked already is left out.
    """
    standing, found = list(known), []
    for statement in sorted(statements, key=lambda one: (one.day, one.sequence)):
        doubt = doubt_of(statement, standing, account_no)
        if doubt is not None and doubt.flaw is not StatementFlaw.REPEATED:
            return doubt
        if doubt is None:
            found.append(statement)
            standing.append(
                Kept(
                    0, statement.statement_id, statement.sequence, statement.opening_on, statement.opening_fen,
                    statement.day, statement.closing_fen, statement.content, statement.day, gap_explained=False,
                )
            )  # fmt: skip
    return found


def gaps(known: Iterable[Kept]) -> list[Gap]:
    """What is missing between statements and nobody has explained, in their order."""
    ordered = in_order(known)
    found = []
    for before, after in pairwise(ordered):
        numbers = _missing(before.sequence, before.day, after.sequence, after.day)
        if numbers is not None and not after.gap_explained:
            found.append(Gap(before, after, *numbers))
    return found


def in_order(known: Iterable[Kept]) -> list[Kept]:
    """Statements by their days and the bank's numbers."""
    return sorted(known, key=lambda one: (one.day, one.sequence))


def _of_one_name(one: Kept, statement: Statement) -> Doubt:
    name = f"statement {statement.statement_id}"
    if one.content == statement.content:
        return Doubt(
            StatementFlaw.REPEATED, f"{name} was booked on {one.booked_on} already", "nothing is to be done"
        )
    message = f"{name} was booked on {one.booked_on} and says something else now"
    remedy = "compare both in the archive with the bank; corrections come as lines of a later statement"
    return Doubt(StatementFlaw.ID_TAKEN, message, remedy)


def _in_line(statement: Statement, known: Sequence[Kept]) -> Doubt | None:
    """Whether it fits between its neighbours."""
    name, place = f"statement {statement.statement_id}", (statement.day, statement.sequence)
    ordered = in_order(known)
    same = [
        one for one in ordered if (one.sequence, one.day.year) == (statement.sequence, statement.day.year)
    ]
    if same:
        message = (
            f"{name} has number {statement.sequence} of {statement.day.year}, as {same[0].statement_id} has"
        )
        remedy = "find out with the bank which is right, and have the other sent under its own number"
        return Doubt(StatementFlaw.SEQUENCE_TAKEN, message, remedy)
    before = next((one for one in reversed(ordered) if (one.day, one.sequence) < place), None)
    after = next((one for one in ordered if (one.day, one.sequence) > place), None)
    remedy = "find out with the bank which of the two is right"
    follows = before is not None and _missing(before.sequence, before.day, *place[::-1]) is None
    if before is not None and follows and before.closing_fen != statement.opening_fen:
        balances = f"{yuan(statement.opening_fen)} yuan, and {before.statement_id} before it closed with"
        message = f"{name} opens with {balances} {yuan(before.closing_fen)}"
        return Doubt(StatementFlaw.OPENING_DIFFERS, message, remedy)
    leads = after is not None and _missing(*place[::-1], after.sequence, after.day) is None
    if after is not None and leads and after.opening_fen != statement.closing_fen:
        balances = f"{yuan(statement.closing_fen)} yuan, and {after.statement_id} after it opened with"
        message = f"{name} closes with {balances} {yuan(after.opening_fen)}"
        return Doubt(StatementFlaw.CLOSING_DIFFERS, message, remedy)
    return None


def _missing(before: int, before_on: date, after: int, after_on: date) -> tuple[int, int] | None:
    """The numbers left out between two neighbours; a bank may number anew from 1 every year."""
    if after == before + 1 or (after == 1 and after_on.year > before_on.year):
        return None
    return (before + 1, after - 1) if after > before else (1, max(1, after - 1))
