"""A ledger as slow and obvious as can be, to say what the real one must answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from ledger.accounts import Limit
from ledger.day import DayState
from ledger.entry import Entry, Line

Answer = tuple[str, str, int]
"""What became of an entry, the account at fault, and the fen or the entry number that goes with it."""

SOME_DATE = date(2000, 1, 1)


@dataclass
class SlowLedger:
    """All entries in a list; every question goes through all of them again."""

    days: dict[date, DayState]
    limits: dict[str, Limit]
    closed: set[str]
    entries: list[Entry] = field(default_factory=list)

    def post(self, entries: Sequence[Entry], *, closing: bool) -> list[Answer]:
        return [self._answer(entry, closing=closing) for entry in entries]

    def net_fen(self, code: str) -> int:
        return sum(amount_fen for owner, amount_fen in self._legs(self.entries) if owner == code)

    def net_fen_on(self, code: str, business_date: date) -> int:
        booked = [entry for entry in self.entries if entry.business_date <= business_date]
        return sum(amount_fen for owner, amount_fen in self._legs(booked) if owner == code)

    def _answer(self, entry: Entry, *, closing: bool) -> Answer:
        if not entry.lines or any(line.amount_fen < 1 or line.debit == line.credit for line in entry.lines):
            return "malformed", "", 0
        if entry.reference in self._references() and self._content(entry) == self._content(
            self._find(entry.reference)
        ):
            return "again", "", self._references().index(entry.reference) + 1
        state = self.days.get(entry.business_date)
        if state is DayState.CLOSED:
            return "day_closed", "", 0
        if state is None or (state is DayState.CLOSING and not closing):
            return "day_not_open", "", 0
        named = [code for line in entry.lines for code in (line.debit, line.credit)]
        for code in named:
            if code not in self.limits:
                return "account_unknown", code, 0
        for code in named:
            if code in self.closed:
                return "account_closed", code, 0
        if entry.reference in self._references():
            return "conflict", "", 0
        return self._reversal(entry) or self._limit(entry) or self._take(entry)

    def _reversal(self, entry: Entry) -> Answer | None:
        if entry.reverses is None:
            return None
        if entry.reverses not in self._references():
            return "original_unknown", "", 0
        swapped = [replace(line, debit=line.credit, credit=line.debit) for line in entry.lines]
        if swapped != list(self._find(entry.reverses).lines):
            return "not_a_mirror", "", 0
        if any(other.reverses == entry.reverses for other in self.entries):
            return "already_reversed", "", 0
        return None

    def _limit(self, entry: Entry) -> Answer | None:
        after = SlowLedger(self.days, self.limits, self.closed, [*self.entries, entry])
        for code in [line.debit for line in entry.lines]:
            if self.limits[code] is Limit.NO_DEBIT_BALANCE and after.net_fen(code) > 0:
                return "limit_exceeded", code, after.net_fen(code)
        for code in [line.credit for line in entry.lines]:
            if self.limits[code] is Limit.NO_CREDIT_BALANCE and after.net_fen(code) < 0:
                return "limit_exceeded", code, -after.net_fen(code)
        return None

    def _take(self, entry: Entry) -> Answer:
        self.entries.append(entry)
        return "posted", "", len(self.entries)

    def _references(self) -> list[str]:
        return [entry.reference for entry in self.entries]

    def _find(self, reference: str) -> Entry:
        return self.entries[self._references().index(reference)]

    @staticmethod
    def _content(entry: Entry) -> Entry:
        return replace(entry, business_date=SOME_DATE)

    @staticmethod
    def _legs(entries: Sequence[Entry]) -> Iterator[tuple[str, int]]:
        for entry in entries:
            for line in entry.lines:
                yield line.debit, line.amount_fen
                yield line.credit, -line.amount_fen


def mirror(entry: Entry) -> tuple[Line, ...]:
    """The lines of an entry the other way."""
    return tuple(Line(line.credit, line.debit, line.amount_fen, line.item) for line in entry.lines)
