"""The books as they stand in the middle of a decision: what was loaded, and what the orders before have changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from ledger.accounts import Limit
from ledger.entry import Entry, Line, Reason, Refused
from ledger.events import Event, Happened
from ledger.facts import AccountFacts, Booked, DayFacts, Facts, HoldFacts
from ledger.orders import Answer, Hold

MAX_TOTAL_FEN = 10**18
"""Where a running total ends, well inside 64 bits; the database holds the same bound."""

Sums = dict[str, int]
"""Fen by account code."""


class Accepted(NamedTuple):
    """An entry that is to be booked under a number, with the running hash up to it."""

    entry_id: int
    first_line_id: int
    entry: Entry
    digest: bytes
    reverses_id: int | None
    settles_id: int | None
    chain: bytes


class Placed(NamedTuple):
    """A hold that is to be written under a number."""

    hold_id: int
    hold: Hold
    digest: bytes


@dataclass(slots=True)
class Decision:
    """The answers in the order of the orders, what to write, and what that adds to accounts, in fen by code."""

    answers: list[Answer] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    debits_fen: Sums = field(default_factory=dict)
    credits_fen: Sums = field(default_factory=dict)
    debits_held_fen: Sums = field(default_factory=dict)
    credits_held_fen: Sums = field(default_factory=dict)
    placed: list[Placed] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)
    forestalled: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


class Standing:
    """Facts and the decision so far, as one: what the next order meets."""

    def __init__(self, facts: Facts, *, closing: bool, at: datetime) -> None:
        self.decision = Decision()
        self.closing = closing
        self.at = at
        self.days: dict[date, DayFacts] = dict(facts.days)
        self.booked: dict[str, Booked] = dict(facts.booked)
        self.originals: dict[str, Booked] = dict(facts.originals)
        self.holds: dict[str, HoldFacts] = dict(facts.holds)
        self.forestalled: dict[str, str] = dict(facts.forestalled)
        self.next_hold_id = facts.last_hold_id + 1
        self._accounts: Mapping[str, AccountFacts] = facts.accounts

    def forestall(self, reference: str, *, by: str) -> None:
        """Remember that what comes under this reference was taken back already."""
        self.forestalled[reference] = self.decision.forestalled[reference] = by
        self.decision.events.append(Event(self.at, Happened.FORESTALLED, reference, by))

    def without_account(self, what: str, reference: str, lines: Iterable[Line]) -> Refused | None:
        """Refuse lines on an account that is unknown, or else on one that is closed."""
        accounts = self._accounts
        closed = ""
        for line in lines:
            for code in (line.debit, line.credit):
                account = accounts.get(code)
                if account is None:
                    message = f"{what} {reference!r}: there is no account {code}; open it first"
                    return Refused(reference, Reason.ACCOUNT_UNKNOWN, code, 0, message)
                if account.closed and not closed:
                    closed = code
        if closed:
            message = f"{what} {reference!r}: account {closed} is closed; reopen it or name another"
            return Refused(reference, Reason.ACCOUNT_CLOSED, closed, 0, message)
        return None

    def past_limit(
        self, what: str, reference: str, debits_fen: Sums, credits_fen: Sums, *, moves: bool
    ) -> Refused | None:
        """Refuse by the first account past its limit: the debited ones first, in the order of the lines.

        Where money `moves`, what lines bring to an account counts for what they take from it. A hold moves
        none: what it is to bring in is not there yet.
        """
        for limit, sums_fen, others_fen in (
            (Limit.NO_DEBIT_BALANCE, debits_fen, credits_fen),
            (Limit.NO_CREDIT_BALANCE, credits_fen, debits_fen),
        ):
            for code, amount_fen in sums_fen.items():
                total_fen, held_fen, other_fen = self._sides(code, limit)
                other_fen += others_fen.get(code, 0) if moves else 0
                own_limit = self._accounts[code].limit
                limited_to_fen = other_fen if own_limit is limit else None
                short_fen = _short_fen(total_fen + amount_fen, held_fen, limited_to_fen)
                if short_fen > 0:
                    return _past_limit(what, reference, code, own_limit, short_fen)
        return None

    def _sides(self, code: str, limit: Limit) -> tuple[int, int, int]:
        """What stands on the side that a limit is about, what is held there, and what stands on the other; in fen."""
        account, added = self._accounts[code], self.decision
        debits_fen = account.debits_fen + added.debits_fen.get(code, 0)
        credits_fen = account.credits_fen + added.credits_fen.get(code, 0)
        if limit is Limit.NO_DEBIT_BALANCE:
            return debits_fen, account.debits_held_fen + added.debits_held_fen.get(code, 0), credits_fen
        return credits_fen, account.credits_held_fen + added.credits_held_fen.get(code, 0), debits_fen

    def post(self, debits_fen: Sums, credits_fen: Sums) -> None:
        """Add to what is posted."""
        _add(self.decision.debits_fen, debits_fen, 1)
        _add(self.decision.credits_fen, credits_fen, 1)

    def hold(self, lines: Iterable[Line], sign: int) -> None:
        """Add to what is held, or with -1 free it."""
        debits_fen, credits_fen = sums(lines)
        _add(self.decision.debits_held_fen, debits_fen, sign)
        _add(self.decision.credits_held_fen, credits_fen, sign)


def sums(lines: Iterable[Line]) -> tuple[Sums, Sums]:
    """What lines debit and what they credit, in fen by code, in the order of the lines."""
    debits_fen: Sums = {}
    credits_fen: Sums = {}
    for line in lines:
        debits_fen[line.debit] = debits_fen.get(line.debit, 0) + line.amount_fen
        credits_fen[line.credit] = credits_fen.get(line.credit, 0) + line.amount_fen
    return debits_fen, credits_fen


def _short_fen(total_fen: int, held_fen: int, other_fen: int | None) -> int:
    """By how much a side would be past what it may be; 0 or less where it is not."""
    past_end_fen = total_fen + held_fen - MAX_TOTAL_FEN
    return past_end_fen if other_fen is None else max(past_end_fen, total_fen + held_fen - other_fen)


def _past_limit(what: str, reference: str, code: str, limit: Limit, short_fen: int) -> Refused:
    message = (
        f"{what} {reference!r}: account {code} would be past its limit ({limit.value}) by {short_fen} fen; "
        f"bring the money in first, or book less"
    )
    return Refused(reference, Reason.LIMIT_EXCEEDED, code, short_fen, message)


def _add(total: Sums, added: Sums, sign: int) -> None:
    for code, amount_fen in added.items():
        total[code] = total.get(code, 0) + sign * amount_fen
