"""The books as they stand in the middle of a decision: what was loaded, and what the orders before have changed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NamedTuple

from ledger.accounts import Limit
from ledger.entry import Entry, Line, Reason, Refused, utc_text
from ledger.events import Event, Happened
from ledger.facts import AccountFacts, Booked, DayFacts, Facts, HoldFacts
from ledger.orders import Answer, Hold

MAX_TOTAL_FEN = 10**18
"""Where a running total ends, well inside 64 bits; the database holds the same bound."""

Sums = dict[str, int]
"""Fen by account code."""


class Running:
    """An account in the middle of a decision: as it `was`, and its totals and its newest line now, in fen."""

    __slots__ = (
        "account_id",
        "credits_fen",
        "credits_held_fen",
        "debits_fen",
        "debits_held_fen",
        "last_line_id",
        "was",
    )

    def __init__(self, was: AccountFacts) -> None:
        self.was = was
        (
            _, self.account_id, _, _, self.debits_fen, self.credits_fen, self.debits_held_fen, self.credits_held_fen,
            self.last_line_id,
        ) = was  # fmt: skip

    def added_fen(self) -> tuple[int, int]:
        """What was posted since: debits and credits."""
        return self.debits_fen - self.was.debits_fen, self.credits_fen - self.was.credits_fen

    def held_more_fen(self) -> tuple[int, int]:
        """What is held more than before, or with a minus less: debits and credits."""
        was = self.was
        return self.debits_held_fen - was.debits_held_fen, self.credits_held_fen - was.credits_held_fen


Transfers = list[tuple[Running, Running, int]]
"""Lines with their accounts: the one debited, the one credited, the amount in fen."""


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
    accounts: dict[str, Running] = field(default_factory=dict)
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
        self.days: dict[date, DayFacts] = {day: replace(found) for day, found in facts.days.items()}
        self.booked: dict[str, Booked] = dict(facts.booked)
        self.originals: dict[str, Booked] = dict(facts.originals)
        self.holds: dict[str, HoldFacts] = dict(facts.holds)
        self.forestalled: dict[str, str] = dict(facts.forestalled)
        self.next_hold_id = facts.last_hold_id + 1
        self.decision.accounts.update(_running(facts.accounts))

    def learn(
        self,
        accounts: Mapping[str, AccountFacts],
        booked: Mapping[str, Booked],
        forestalled: Mapping[str, str],
    ) -> None:
        """Take in facts about more orders: of accounts that were not known yet, as they were before this call."""
        self.decision.accounts.update(_running(accounts))
        self.booked.update(booked)
        self.forestalled.update(forestalled)

    def forestall(self, reference: str, *, by: str) -> None:
        """Remember that what comes under this reference was taken back already."""
        self.forestalled[reference] = self.decision.forestalled[reference] = by
        self.decision.events.append(Event(self.at, Happened.FORESTALLED, reference, by))

    def transfers(self, what: str, reference: str, lines: Iterable[Line]) -> Transfers | Refused:
        """Lines with their accounts; refused on an account that is unknown, or else on one that is closed."""
        accounts = self.decision.accounts
        found: Transfers = []
        closed = ""
        for line in lines:
            debit, credit = accounts.get(line.debit), accounts.get(line.credit)
            if debit is None or credit is None:
                code = line.debit if debit is None else line.credit
                message = f"{what} {reference!r}: there is no account {code}; open it first"
                return Refused(reference, Reason.ACCOUNT_UNKNOWN, code, 0, message)
            if not closed and (debit.was.closed or credit.was.closed):
                closed = line.debit if debit.was.closed else line.credit
            found.append((debit, credit, line.amount_fen))
        if closed:
            message = f"{what} {reference!r}: account {closed} is closed; reopen it or name another"
            return Refused(reference, Reason.ACCOUNT_CLOSED, closed, 0, message)
        return found

    def post(self, what: str, reference: str, transfers: Transfers) -> Refused | None:
        """Move the money of all; or none, where an account would be past its limit."""
        for debit, credit, amount_fen in transfers:
            debit.debits_fen += amount_fen
            credit.credits_fen += amount_fen
        refusal = _past_limit(what, reference, transfers)
        if refusal is not None:
            for debit, credit, amount_fen in transfers:
                debit.debits_fen -= amount_fen
                credit.credits_fen -= amount_fen
        return refusal

    def hold(self, what: str, reference: str, transfers: Transfers) -> Refused | None:
        """Set the money of all aside; or none, where an account would be past its limit.

        What lines are to bring to an account does not count for what they take from it: it is not there yet.
        """
        _hold(transfers, 1)
        refusal = _past_limit(what, reference, transfers)
        if refusal is not None:
            _hold(transfers, -1)
        return refusal

    def hold_again(self, lines: Iterable[Line]) -> None:
        """Set aside what was freed just now."""
        _hold(self._placed(lines), 1)

    def free(self, lines: Iterable[Line]) -> None:
        """Let go what lines have set aside."""
        _hold(self._placed(lines), -1)

    def _placed(self, lines: Iterable[Line]) -> Transfers:
        accounts = self.decision.accounts
        return [(accounts[line.debit], accounts[line.credit], line.amount_fen) for line in lines]


def _running(accounts: Mapping[str, AccountFacts]) -> Iterator[tuple[str, Running]]:
    return zip(accounts, map(Running, accounts.values()), strict=True)


def _hold(transfers: Transfers, sign: int) -> None:
    for debit, credit, amount_fen in transfers:
        debit.debits_held_fen += sign * amount_fen
        credit.credits_held_fen += sign * amount_fen


def _past_limit(what: str, reference: str, transfers: Transfers) -> Refused | None:
    """Refuse by the first account past its limit: the debited ones first, in the order of the lines."""
    for debit, _, _ in transfers:
        total_fen, most_fen = debit.debits_fen + debit.debits_held_fen, MAX_TOTAL_FEN
        if debit.was.limit is Limit.NO_DEBIT_BALANCE and debit.credits_fen < most_fen:
            most_fen = debit.credits_fen
        if total_fen > most_fen:
            return _refused(what, reference, debit.was, total_fen - most_fen)
    for _, credit, _ in transfers:
        total_fen, most_fen = credit.credits_fen + credit.credits_held_fen, MAX_TOTAL_FEN
        if credit.was.limit is Limit.NO_CREDIT_BALANCE and credit.debits_fen < most_fen:
            most_fen = credit.debits_fen
        if total_fen > most_fen:
            return _refused(what, reference, credit.was, total_fen - most_fen)
    return None


def _refused(what: str, reference: str, account: AccountFacts, short_fen: int) -> Refused:
    message = (
        f"{what} {reference!r}: account {account.code} would be past its limit ({account.limit.value}) by "
        f"{short_fen} fen; bring the money in first, or book less"
    )
    return Refused(reference, Reason.LIMIT_EXCEEDED, account.code, short_fen, message)
