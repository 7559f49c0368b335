"""What a statement's line is to us: a payment of ours, its return, what is in the books already, or none of these.

Tolerance is zero fen, and nothing is guessed: a line that does not agree to the fen with the one instruction that it
names is nobody's until two people have said whose it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from ledger.money import yuan
from settlement.bank.statement_file import BankLine, Direction
from settlement.instructions import UNDECIDED, Instructed, State


class Fate(StrEnum):
    """What becomes of a line; from DIFFERS on, its money stays in suspense until two people decide it."""

    PAID = "paid"
    RETURNED = "returned"
    KNOWN = "known"
    DIFFERS = "differs"
    TWICE = "twice"
    CONTRADICTS = "contradicts"
    THEIRS_ONLY = "theirs_only"


SUSPENDED: Final = (Fate.DIFFERS, Fate.TWICE, Fate.CONTRADICTS, Fate.THEIRS_ONLY)


@dataclass(frozen=True, slots=True)
class Booked:
    """An entry of the books that moved the reserve and that no line has spoken of; more than zero is money in."""

    reference: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Matched:
    """A line with its fate; `instruction` is the one it names, `known` the entry that has it in the books already."""

    line: BankLine
    fate: Fate
    instruction: Instructed | None = None
    known: str = ""


def match(
    lines: Iterable[BankLine],
    instructions: Mapping[str, Instructed],
    booked: Mapping[str, Booked],
    suspended: Iterable[str] = (),
) -> list[Matched]:
    """The fate of each line in turn: one line pays an instruction, and the next that names it pays it twice.

    `instructions` are by end-to-end id, `booked` by reference; `suspended` are instructions of which a line is in
    suspense, so that money which comes back may be the other line's.
    """
    standing, left, doubtful = dict(instructions), dict(booked), set(suspended)
    matched = []
    for line in lines:
        one = standing.get(line.end_to_end_id)
        if one is not None:
            found = Matched(line, _of_instruction(line, one, doubtful=one.end_to_end_id in doubtful), one)
            standing[one.end_to_end_id] = after(one, found)
            if found.fate in SUSPENDED:
                doubtful.add(one.end_to_end_id)
        else:
            found = _of_books(line, left)
            left.pop(found.known, None)
        matched.append(found)
    return matched


def after(one: Instructed, found: Matched) -> Instructed:
    """An instruction as it stands after a line that names it."""
    if found.fate is Fate.PAID:
        return replace(one, state=State.PAID, paid_fen=found.line.amount_fen)
    if found.fate is Fate.RETURNED:
        return replace(one, state=State.RETURNED, paid_fen=one.paid_fen - found.line.amount_fen)
    return one


def difference(found: Matched) -> str:
    """What is wrong with a line that stays in suspense, in a sentence without its end."""
    line, one = found.line, found.instruction
    moved = f"{yuan(line.amount_fen)} yuan {'came in' if line.direction is Direction.IN else 'went out'}"
    if one is None:
        named = f" under {line.end_to_end_id}" if line.end_to_end_id else ""
        whose = f" ({line.party})" if line.party else ""
        return f"{moved}{named}{whose}, which nothing of ours explains"
    if found.fate is Fate.TWICE:
        return f"{moved} for {one.end_to_end_id} again, which is {one.state} already"
    if found.fate is Fate.CONTRADICTS:
        return f"{moved} for {one.end_to_end_id}, which is {one.state}"
    if line.direction is Direction.OUT and line.party_account not in ("", one.account_no):
        return f"{moved} for {one.end_to_end_id} to account {line.party_account}, and not to {one.account_no}"
    if line.direction is Direction.OUT:
        return f"{moved} for {one.end_to_end_id}, of which {yuan(one.amount_fen)} were instructed"
    return f"{moved} for {one.end_to_end_id}, of which {yuan(one.paid_fen)} stood as paid"


def _of_instruction(line: BankLine, one: Instructed, *, doubtful: bool) -> Fate:
    if line.direction is Direction.IN:
        whole = one.state == State.PAID and line.amount_fen == one.paid_fen
        return Fate.RETURNED if whole and not doubtful else Fate.DIFFERS
    if one.state in (State.PAID, State.RETURNED):
        return Fate.TWICE
    if one.state == State.REJECTED:
        return Fate.CONTRADICTS
    assert one.state in UNDECIDED
    elsewhere = line.party_account not in ("", one.account_no)
    return Fate.DIFFERS if elsewhere or line.amount_fen != one.amount_fen else Fate.PAID


def _of_books(line: BankLine, booked: Mapping[str, Booked]) -> Matched:
    """A line that names no instruction: what we have booked under its reference, if that agrees to the fen."""
    for reference in (line.end_to_end_id, line.bank_reference):
        found = booked.get(reference)
        if found is not None and found.amount_fen == line.signed_fen:
            return Matched(line, Fate.KNOWN, known=reference)
    return Matched(line, Fate.THEIRS_ONLY)
