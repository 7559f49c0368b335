"""Deciding over holds: placing one, and the three ways in which it ends."""

from ledger.entry import Entry, Line, Reason, Refused, digest
from ledger.events import Event, Happened
from ledger.facts import HoldFacts
from ledger.orders import Answer, Held, Hold, Void, Voided, hold_content
from ledger.standing import Placed, Standing


def place(books: Standing, hold: Hold) -> Answer:
    """Set the money of a hold aside, or say why not."""
    known, content = books.holds.get(hold.reference), digest(hold_content(hold))
    if known is not None and known.digest == content:
        return Held(hold.reference, known.hold_id, first_time=False)
    transfers = books.transfers("hold", hold.reference, hold.lines)
    if isinstance(transfers, Refused):
        return transfers
    if known is not None:
        what = f"was placed as number {known.hold_id} with other content; use another reference"
        return _refused(hold.reference, Reason.CONFLICT, what)
    by = books.forestalled.get(hold.reference)
    if by is not None:
        what = f"was taken back by {by!r} before it came; use another reference"
        return _refused(hold.reference, Reason.FORESTALLED, what)
    if hold.expires_at <= books.at:
        what = f"ran out at {hold.expires_at}, before it was placed; give it a later instant"
        return _refused(hold.reference, Reason.HOLD_OVER, what)
    refusal = books.hold("hold", hold.reference, transfers)
    if refusal is not None:
        return refusal
    hold_id = books.next_hold_id
    books.next_hold_id += 1
    books.decision.placed.append(Placed(hold_id, hold, content))
    books.decision.events.append(Event(books.at, Happened.HOLD_PLACED, hold.reference, content.hex()))
    facts = HoldFacts(hold_id, hold.reference, content, True, False, hold.expires_at, hold.lines)
    books.holds[hold.reference] = facts
    return Held(hold.reference, hold_id, first_time=True)


def void(books: Standing, order: Void) -> Answer:
    """Free what a hold set aside; what was never placed is remembered as voided."""
    reference = order.reference
    known = books.holds.get(reference)
    if known is not None:
        if known.open:
            end(books, known, Happened.HOLD_VOIDED)
            return Voided(reference, first_time=True)
        if known.settled:
            return _refused(
                reference, Reason.HOLD_OVER, "was settled by an entry; reverse that entry instead"
            )
        return Voided(reference, first_time=False)
    first_time = reference not in books.forestalled
    if first_time:
        books.forestall(reference, by=reference)
    return Voided(reference, first_time=first_time)


def expire(books: Standing, due: tuple[HoldFacts, ...]) -> None:
    """End the holds whose instant has come."""
    for hold in due:
        end(books, hold, Happened.HOLD_EXPIRED)


def not_settled_by(books: Standing, entry: Entry, settles: str) -> Refused | None:
    """Refuse an entry that settles a hold which is not there, is over, or held less."""
    known = books.holds.get(settles)
    what = f"entry {entry.reference!r}: the hold {settles!r}"
    if known is None:
        message = f"{what} was never placed; place it, or post without it"
        return Refused(entry.reference, Reason.HOLD_UNKNOWN, "", 0, message)
    if not known.open:
        message = f"{what} has ended; place another, or post without it"
        return Refused(entry.reference, Reason.HOLD_OVER, "", 0, message)
    left_fen = _by_transfer(known.lines)
    for line in entry.lines:
        key = (line.debit, line.credit, line.item)
        left_fen[key] = left_fen.get(key, 0) - line.amount_fen
        if left_fen[key] < 0:
            short_fen = -left_fen[key]
            message = (
                f"{what} has {short_fen} fen less from {line.debit} to {line.credit} for {line.item!r} "
                f"than is taken; take less"
            )
            return Refused(entry.reference, Reason.HOLD_EXCEEDED, line.debit, short_fen, message)
    return None


def end(books: Standing, hold: HoldFacts, how: Happened, by: str = "") -> None:
    """Free the money of an open hold and write down how it ended."""
    books.free(hold.lines)
    books.decision.ended.add(hold.hold_id)
    books.decision.events.append(Event(books.at, how, hold.reference, by))
    books.holds[hold.reference] = hold._replace(open=False, settled=how is Happened.HOLD_SETTLED)


def _by_transfer(lines: tuple[Line, ...]) -> dict[tuple[str, str, str], int]:
    amounts_fen: dict[tuple[str, str, str], int] = {}
    for line in lines:
        key = (line.debit, line.credit, line.item)
        amounts_fen[key] = amounts_fen.get(key, 0) + line.amount_fen
    return amounts_fen


def _refused(reference: str, reason: Reason, what: str) -> Refused:
    return Refused(reference, reason, "", 0, f"hold {reference!r} {what}")
