"""The books as they stand in the middle of a decision: what was loaded, and what the orders before have changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, NamedTuple

from ledger.accounts import Limit
from ledger.entry import Entry, Line, Reason, Refused, utc_text
from ledger.events import Event, Happened
from ledger.facts import AccountFacts, Booked, DayFacts, Facts, HoldFacts
from ledger.orders import Answer, Hold

MAX_TOTAL_FEN = 10**18
"""Where a running total ends, well inside 64 bits; the database holds the same bound."""

Sums = dict[str, int]
"""Fen by account code."""

Both = tuple[Sums, Sums]
"""What is debited and what is credited."""

DEBIT: Final = 0
CREDIT: Final = 1
_SIDES: Final = ((DEBIT, CREDIT), (CREDIT, DEBIT))
_LIMITED: Final = (Limit.NO_DEBIT_BALANCE, Limit.NO_CREDIT_BALANCE)
"""The limit under which the total of a side ends at that of the other."""


class Running:
    """An account in the middle of a decision: as it was, and its totals now, debits and credits in fen."""

    __slots__ = ("facts", "held_fen", "posted_fen")

    def __init__(self, facts: AccountFacts) -> None:
        self.facts = facts
        self.posted_fen = [facts.debits_fen, facts.credits_fen]
        self.held_fen = [facts.debits_held_fen, facts.credits_held_fen]

    def added_fen(self) -> tuple[int, int]:
        """What was posted since: debits and credits."""
        facts = self.facts
        return self.posted_fen[DEBIT] - facts.debits_fen, self.posted_fen[CREDIT] - facts.credits_fen

    def held_more_fen(self) -> tuple[int, int]:
        """What is held more than before, or with a minus less: debits and credits."""
        facts = self.facts
        return self.held_fen[DEBIT] - facts.debits_held_fen, self.held_fen[CREDIT] - facts.credits_held_fen


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
    """The answers in the order of the orders, what to write, and how accounts stand then, by code."""

    answers: list[Answer] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    moved: dict[str, Running] = field(default_factory=dict)
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
        self.at_text = utc_text(at)
        self.days: dict[date, DayFacts] = dict(facts.days)
        self.booked: dict[str, Booked] = dict(facts.booked)
        self.originals: dict[str, Booked] = dict(facts.originals)
        self.holds: dict[str, HoldFacts] = dict(facts.holds)
        self.forestalled: dict[str, str] = dict(facts.forestalled)
        self.next_hold_id = facts.last_hold_id + 1
        self._accounts: Mapping[str, AccountFacts] = facts.accounts

    def learn(
        self,
        accounts: Mapping[str, AccountFacts],
        booked: Mapping[str, Booked],
        forestalled: Mapping[str, str],
    ) -> None:
        """Take in facts about more orders, read before any of this call was written."""
        self._accounts = {**self._accounts, **accounts}
        self.booked.update(booked)
        self.forestalled.update(forestalled)

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

    def past_limit(self, what: str, reference: str, adding: Both, *, moves: bool) -> Refused | None:
        """Refuse by the first account past its limit: the debited ones first, in the order of the lines.

        Where money `moves`, what lines bring to an account counts for what they take from it. A hold moves
        none: what it is to bring in is not there yet.
        """
        moved = self.decision.moved
        for side, other in _SIDES:
            limited = _LIMITED[side]
            for code, amount_fen in adding[side].items():
                running = moved.get(code) or self._running(code)
                total_fen = running.posted_fen[side] + running.held_fen[side] + amount_fen
                most_fen = MAX_TOTAL_FEN
                if running.facts.limit is limited:
                    brought_in_fen = adding[other].get(code, 0) if moves else 0
                    most_fen = min(most_fen, running.posted_fen[other] + brought_in_fen)
                if total_fen > most_fen:
                    return _past_limit(what, reference, code, running.facts.limit, total_fen - most_fen)
        return None

    def post(self, adding: Both) -> None:
        """Add to what is posted."""
        moved = self.decision.moved
        for side in (DEBIT, CREDIT):
            for code, amount_fen in adding[side].items():
                running = moved.get(code) or self._running(code)
                running.posted_fen[side] += amount_fen

    def hold(self, lines: Sequence[Line], sign: int) -> None:
        """Add to what is held, or with -1 free it."""
        for side, amounts_fen in enumerate(sums(lines)):
            for code, amount_fen in amounts_fen.items():
                self._running(code).held_fen[side] += sign * amount_fen

    def _running(self, code: str) -> Running:
        moved = self.decision.moved
        found = moved.get(code)
        if found is None:
            found = moved[code] = Running(self._accounts[code])
        return found


def sums(lines: Sequence[Line]) -> Both:
    """What lines debit and what they credit, in fen by code, in the order of the lines."""
    if len(lines) == 1:
        return {lines[0].debit: lines[0].amount_fen}, {lines[0].credit: lines[0].amount_fen}
    debits_fen: Sums = {}
    credits_fen: Sums = {}
    for line in lines:
        debits_fen[line.debit] = debits_fen.get(line.debit, 0) + line.amount_fen
        credits_fen[line.credit] = credits_fen.get(line.credit, 0) + line.amount_fen
    return debits_fen, credits_fen


def _past_limit(what: str, reference: str, code: str, limit: Limit, short_fen: int) -> Refused:
    message = (
        f"{what} {reference!r}: account {code} would be past its limit ({limit.value}) by {short_fen} fen; "
        f"bring the money in first, or book less"
    )
    return Refused(reference, Reason.LIMIT_EXCEEDED, code, short_fen, message)
