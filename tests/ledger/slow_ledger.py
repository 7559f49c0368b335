"""A ledger as slow and obvious as can be, to say what the real one must answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from ledger.accounts import Limit
from ledger.day import DayState
from ledger.entry import Entry, Line
from ledger.orders import Hold, Order, Reversal, Void

Answer = tuple[str, str, int]
"""What became of an order, the account at fault, and the fen or the number that goes with it."""

SOME_DATE = date(2000, 1, 1)


@dataclass
class SlowLedger:
    """All that ever happened in lists; every question goes through all of it again."""

    days: dict[date, DayState]
    limits: dict[str, Limit]
    closed: set[str] = field(default_factory=set)
    entries: list[Entry] = field(default_factory=list)
    booked_at: list[datetime] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)
    taken_back: dict[str, str] = field(default_factory=dict)

    def post(self, orders: Sequence[Order], *, at: datetime, closing: bool) -> list[Answer]:
        for hold in self.open_holds():
            if hold.expires_at <= at:
                self.ends[hold.reference] = "expired"
        return [self._answer(order, at=at, closing=closing) for order in orders]

    def close(self, code: str) -> bool:
        """Whether the account is closed afterwards."""
        if code not in self.closed and self.net_fen(code) == 0 and self.held_fen(code) == (0, 0):
            self.closed.add(code)
        return code in self.closed

    def net_fen(self, code: str) -> int:
        return self._sum(code, self.entries)

    def net_fen_on(self, code: str, business_date: date) -> int:
        return self._sum(code, [entry for entry in self.entries if entry.business_date <= business_date])

    def net_fen_at(self, code: str, at: datetime) -> int:
        booked = zip(self.entries, self.booked_at, strict=True)
        return self._sum(code, [entry for entry, booked_at in booked if booked_at <= at])

    def held_fen(self, code: str) -> tuple[int, int]:
        """What open holds would debit and credit an account."""
        lines = [line for hold in self.open_holds() for line in hold.lines]
        return (
            sum(line.amount_fen for line in lines if line.debit == code),
            sum(line.amount_fen for line in lines if line.credit == code),
        )

    def history(self, code: str) -> list[tuple[str, str, int, str]]:
        """The lines on an account, newest first: reference, item, what they debit it, and the other account."""
        found = []
        for entry in self.entries:
            for line in entry.lines:
                if line.debit == code:
                    found.append((entry.reference, line.item, line.amount_fen, line.credit))
                if line.credit == code:
                    found.append((entry.reference, line.item, -line.amount_fen, line.debit))
        return found[::-1]

    def open_holds(self) -> list[Hold]:
        return [hold for hold in self.holds if hold.reference not in self.ends]

    def _answer(self, order: Order, *, at: datetime, closing: bool) -> Answer:
        match order:
            case Entry():
                return self._post(order, at=at, closing=closing)
            case Hold():
                return self._hold(order, at=at)
            case Void():
                return self._void(order.reference)
            case Reversal():
                return self._reverse(order, at=at, closing=closing)

    def _post(self, entry: Entry, *, at: datetime, closing: bool) -> Answer:
        if _malformed(entry.lines) or (entry.reverses is not None and entry.settles is not None):
            return "malformed", "", 0
        known = self._find(entry.reference)
        if known is not None and replace(known, business_date=SOME_DATE) == replace(
            entry, business_date=SOME_DATE
        ):
            return "again", "", self._number(known)
        state = self.days.get(entry.business_date)
        if state is DayState.CLOSED:
            return "day_closed", "", 0
        if state is None or (state is DayState.CLOSING and not closing):
            return "day_not_open", "", 0
        refusal = self._account(entry.lines)
        if refusal is not None:
            return refusal
        if known is not None:
            return "conflict", "", 0
        if entry.reference in self.taken_back:
            return "forestalled", "", 0
        refusal = self._original(entry) or self._settled(entry)
        if refusal is not None:
            return refusal
        after = replace(self, entries=[*self.entries, entry], ends=dict(self.ends))
        if entry.settles is not None:
            after.ends[entry.settles] = "settled"
        refusal = after.past_limit(entry.lines)
        if refusal is not None:
            return refusal
        self.entries, self.ends = after.entries, after.ends
        self.booked_at.append(at)
        return "posted", "", self._number(entry)

    def _hold(self, hold: Hold, *, at: datetime) -> Answer:
        if _malformed(hold.lines) or hold.expires_at <= hold.event_at:
            return "malformed", "", 0
        known = [other for other in self.holds if other.reference == hold.reference]
        if known == [hold]:
            return "held again", "", self.holds.index(hold) + 1
        refusal = self._account(hold.lines)
        if refusal is not None:
            return refusal
        if known:
            return "conflict", "", 0
        if hold.reference in self.taken_back:
            return "forestalled", "", 0
        if hold.expires_at <= at:
            return "hold_over", "", 0
        after = replace(self, holds=[*self.holds, hold])
        refusal = after.past_limit(hold.lines)
        if refusal is not None:
            return refusal
        self.holds = after.holds
        return "held", "", len(self.holds)

    def _void(self, reference: str) -> Answer:
        known = any(hold.reference == reference for hold in self.holds)
        if known and self.ends.get(reference) == "settled":
            return "hold_over", "", 0
        ended = reference in (self.ends if known else self.taken_back)
        if known:
            self.ends.setdefault(reference, "voided")
        else:
            self.taken_back.setdefault(reference, reference)
        return "voided before" if ended else "voided", "", 0

    def _reverse(self, order: Reversal, *, at: datetime, closing: bool) -> Answer:
        original = self._find(order.original)
        if original is not None:
            head = (order.reference, order.kind, order.business_date, order.event_at)
            entry = Entry(*head, mirror(original), order.narrative, order.original)
            return self._post(entry, at=at, closing=closing)
        if self._find(order.reference) is not None:
            return "conflict", "", 0
        if order.original in self.taken_back:
            return "remembered before", "", 0
        self.taken_back[order.original] = order.reference
        return "remembered", "", 0

    def _account(self, lines: Sequence[Line]) -> Answer | None:
        named = [code for line in lines for code in (line.debit, line.credit)]
        for code in named:
            if code not in self.limits:
                return "account_unknown", code, 0
        for code in named:
            if code in self.closed:
                return "account_closed", code, 0
        return None

    def _original(self, entry: Entry) -> Answer | None:
        if entry.reverses is None:
            return None
        original = self._find(entry.reverses)
        if original is None:
            return "original_unknown", "", 0
        if entry.lines != mirror(original):
            return "not_a_mirror", "", 0
        if any(other.reverses == entry.reverses for other in self.entries):
            return "already_reversed", "", 0
        return None

    def _settled(self, entry: Entry) -> Answer | None:
        if entry.settles is None:
            return None
        known = [hold for hold in self.holds if hold.reference == entry.settles]
        if not known:
            return "hold_unknown", "", 0
        if entry.settles in self.ends:
            return "hold_over", "", 0
        for count, last in enumerate(entry.lines, 1):
            alike = [line for line in entry.lines[:count] if _transfer(line) == _transfer(last)]
            held = [line for line in known[0].lines if _transfer(line) == _transfer(last)]
            over_fen = sum(line.amount_fen for line in alike) - sum(line.amount_fen for line in held)
            if over_fen > 0:
                return "hold_exceeded", last.debit, over_fen
        return None

    def past_limit(self, lines: Sequence[Line]) -> Answer | None:
        """What is wrong with the accounts of these lines, which are posted or held already."""
        for code in [line.debit for line in lines]:
            short_fen = self.net_fen(code) + self.held_fen(code)[0]
            if self.limits[code] is Limit.NO_DEBIT_BALANCE and short_fen > 0:
                return "limit_exceeded", code, short_fen
        for code in [line.credit for line in lines]:
            short_fen = -self.net_fen(code) + self.held_fen(code)[1]
            if self.limits[code] is Limit.NO_CREDIT_BALANCE and short_fen > 0:
                return "limit_exceeded", code, short_fen
        return None

    def _find(self, reference: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.reference == reference), None)

    def _number(self, entry: Entry) -> int:
        that_day = [other for other in self.entries if other.business_date == entry.business_date]
        return int(f"{entry.business_date:%Y%m%d}") * 10**10 + that_day.index(entry) + 1

    @staticmethod
    def _sum(code: str, entries: Sequence[Entry]) -> int:
        return sum(amount_fen for owner, amount_fen in _legs(entries) if owner == code)


def mirror(entry: Entry) -> tuple[Line, ...]:
    """The lines of an entry the other way."""
    return tuple(Line(line.credit, line.debit, line.amount_fen, line.item) for line in entry.lines)


def _malformed(lines: Sequence[Line]) -> bool:
    return not lines or any(line.amount_fen < 1 or line.debit == line.credit for line in lines)


def _transfer(line: Line) -> tuple[str, str, str]:
    return line.debit, line.credit, line.item


def _legs(entries: Sequence[Entry]) -> Iterator[tuple[str, int]]:
    for entry in entries:
        for line in entry.lines:
            yield line.debit, line.amount_fen
            yield line.credit, -line.amount_fen
