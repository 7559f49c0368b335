"""What is to be booked and what is refused: decided in memory, from facts, one entry after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ledger.accounts import Limit
from ledger.day import DayState
from ledger.entry import Entry, Posted, Reason, Refused, canonical_bytes, digest, flaw, mirrored, unprintable
from ledger.facts import Booked, Facts

MAX_TOTAL_FEN = 10**18
"""Where a running total ends, well inside 64 bits; the database holds the same bound."""


class Offer(NamedTuple):
    """An entry as it was offered, with its digest, or with why it can never be posted."""

    entry: Entry
    digest: bytes
    flaw: str | None


class Accepted(NamedTuple):
    """An entry that is to be booked under a number."""

    entry_id: int
    first_line_id: int
    entry: Entry
    digest: bytes
    reverses_id: int | None


@dataclass(slots=True)
class Decision:
    """The answers in the order of the offers, what to book, and what that adds to each account's totals."""

    answers: list[Posted | Refused] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    debits_fen: dict[str, int] = field(default_factory=dict)
    credits_fen: dict[str, int] = field(default_factory=dict)


def offered(entries: Sequence[Entry]) -> list[Offer]:
    """Look at each entry alone."""
    return [_offer(entry) for entry in entries]


def decide(offers: Sequence[Offer], facts: Facts, *, closing: bool) -> Decision:
    """Answer each offer as if those before it were posted already; `closing` lets a closing day take them."""
    books = _Books(facts, closing=closing)
    for offer in offers:
        books.decision.answers.append(books.answer(offer))
    return books.decision


def _offer(entry: Entry) -> Offer:
    found = flaw(entry)
    if found is not None:
        return Offer(entry, b"", found)
    content = canonical_bytes(entry)
    # JSON escapes every character that could be refused, so that most entries need no second look.
    if b"\\" in content and (found := unprintable(entry)) is not None:
        return Offer(entry, b"", found)
    return Offer(entry, digest(content), None)


class _Books:
    """The books as they stand after the entries accepted so far."""

    def __init__(self, facts: Facts, *, closing: bool) -> None:
        self.decision = Decision()
        self._facts = facts
        self._closing = closing
        self._booked = dict(facts.booked)
        self._originals = dict(facts.originals)
        self._next_entry_id = facts.last_entry_id + 1
        self._next_line_id = facts.last_line_id + 1

    def answer(self, offer: Offer) -> Posted | Refused:
        entry = offer.entry
        if offer.flaw is not None:
            return Refused(
                entry.reference, Reason.MALFORMED, "", 0, f"entry {entry.reference!r}: {offer.flaw}"
            )
        known = self._booked.get(entry.reference)
        if known is not None and known.digest == offer.digest:
            return Posted(entry.reference, known.entry_id, first_time=False)
        refusal = self._day(entry) or self._accounts(entry) or self._conflict(offer) or self._reversal(entry)
        if refusal is not None:
            return refusal
        debits_fen, credits_fen = _sums(entry)
        refusal = self._limits(entry, debits_fen, credits_fen)
        if refusal is not None:
            return refusal
        return self._accept(offer, debits_fen, credits_fen)

    def _day(self, entry: Entry) -> Refused | None:
        state = self._facts.days.get(entry.business_date)
        if state is DayState.OPEN or (state is DayState.CLOSING and self._closing):
            return None
        reason = Reason.DAY_CLOSED if state is DayState.CLOSED else Reason.DAY_NOT_OPEN
        found = "was never opened" if state is None else f"is {state}"
        message = f"entry {entry.reference!r}: day {entry.business_date} {found}; book it on the open day"
        return Refused(entry.reference, reason, "", 0, message)

    def _accounts(self, entry: Entry) -> Refused | None:
        accounts = self._facts.accounts
        closed = ""
        for line in entry.lines:
            for code in (line.debit, line.credit):
                account = accounts.get(code)
                if account is None:
                    message = f"entry {entry.reference!r}: there is no account {code}; open it first"
                    return Refused(entry.reference, Reason.ACCOUNT_UNKNOWN, code, 0, message)
                if account.closed and not closed:
                    closed = code
        if closed:
            message = (
                f"entry {entry.reference!r}: account {closed} is closed; name the one that took its place"
            )
            return Refused(entry.reference, Reason.ACCOUNT_CLOSED, closed, 0, message)
        return None

    def _conflict(self, offer: Offer) -> Refused | None:
        known = self._booked.get(offer.entry.reference)
        if known is None:
            return None
        message = (
            f"entry {offer.entry.reference!r} is in the books as number {known.entry_id} with content "
            f"{known.digest.hex()[:16]}, not {offer.digest.hex()[:16]}; find out which one is right, "
            f"then reverse that one or use another reference"
        )
        return Refused(offer.entry.reference, Reason.CONFLICT, "", 0, message)

    def _reversal(self, entry: Entry) -> Refused | None:
        if entry.reverses is None:
            return None
        original = self._originals.get(entry.reverses)
        if original is None:
            reason, what = Reason.ORIGINAL_UNKNOWN, "is not in the books; post it first"
        elif entry.lines != mirrored(original.lines):
            reason, what = Reason.NOT_A_MIRROR, "has other lines; swap its debits and credits, change nothing"
        elif original.reversed_by is not None:
            reason, what = (
                Reason.ALREADY_REVERSED,
                f"was reversed by {original.reversed_by!r}; once is enough",
            )
        else:
            return None
        message = f"entry {entry.reference!r}: its original {entry.reverses!r} {what}"
        return Refused(entry.reference, reason, "", 0, message)

    def _limits(
        self, entry: Entry, debits_fen: dict[str, int], credits_fen: dict[str, int]
    ) -> Refused | None:
        """Refuse by the first account past its limit: the debited ones first, in the order of the lines."""
        accounts, posted = self._facts.accounts, self.decision
        for code, amount_fen in debits_fen.items():
            account = accounts[code]
            total_fen = account.debits_fen + posted.debits_fen.get(code, 0) + amount_fen
            if total_fen > MAX_TOTAL_FEN:
                return _past_limit(entry, code, total_fen - MAX_TOTAL_FEN)
            if account.limit is Limit.NO_DEBIT_BALANCE:
                other_fen = account.credits_fen + posted.credits_fen.get(code, 0) + credits_fen.get(code, 0)
                if total_fen + account.debits_held_fen > other_fen:
                    return _past_limit(entry, code, total_fen + account.debits_held_fen - other_fen)
        for code, amount_fen in credits_fen.items():
            account = accounts[code]
            total_fen = account.credits_fen + posted.credits_fen.get(code, 0) + amount_fen
            if total_fen > MAX_TOTAL_FEN:
                return _past_limit(entry, code, total_fen - MAX_TOTAL_FEN)
            if account.limit is Limit.NO_CREDIT_BALANCE:
                other_fen = account.debits_fen + posted.debits_fen.get(code, 0) + debits_fen.get(code, 0)
                if total_fen + account.credits_held_fen > other_fen:
                    return _past_limit(entry, code, total_fen + account.credits_held_fen - other_fen)
        return None

    def _accept(self, offer: Offer, debits_fen: dict[str, int], credits_fen: dict[str, int]) -> Posted:
        entry, entry_id = offer.entry, self._next_entry_id
        decision = self.decision
        for total, sums in ((decision.debits_fen, debits_fen), (decision.credits_fen, credits_fen)):
            for code, amount_fen in sums.items():
                total[code] = total.get(code, 0) + amount_fen
        reverses_id = None
        if entry.reverses is not None:
            original = self._originals[entry.reverses]
            reverses_id = original.entry_id
            self._originals[entry.reverses] = original._replace(reversed_by=entry.reference)
        decision.accepted.append(Accepted(entry_id, self._next_line_id, entry, offer.digest, reverses_id))
        booked = Booked(entry_id, offer.digest, None, entry.lines)
        self._booked[entry.reference] = self._originals[entry.reference] = booked
        self._next_entry_id += 1
        self._next_line_id += len(entry.lines)
        return Posted(entry.reference, entry_id, first_time=True)


def _past_limit(entry: Entry, code: str, short_fen: int) -> Refused:
    message = (
        f"entry {entry.reference!r}: account {code} would be past its limit by {short_fen} fen; "
        f"bring the money in first, or book less"
    )
    return Refused(entry.reference, Reason.LIMIT_EXCEEDED, code, short_fen, message)


def _sums(entry: Entry) -> tuple[dict[str, int], dict[str, int]]:
    debits_fen: dict[str, int] = {}
    credits_fen: dict[str, int] = {}
    for line in entry.lines:
        debits_fen[line.debit] = debits_fen.get(line.debit, 0) + line.amount_fen
        credits_fen[line.credit] = credits_fen.get(line.credit, 0) + line.amount_fen
    return debits_fen, credits_fen
