"""What happens to payments, applied: the next state, the money's way back, the notice that follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from clearing.online.reversal import Reversal, ReversalRefusal, ReversalRefused, reverse
from clearing.sectors.utilities.notices import ClosedNotice, Closing, close_notices, queue_notices
from clearing.sectors.utilities.register import BillPayment, payments_of, set_states
from clearing.sectors.utilities.states import Act, Happening, Move, State, move
from ledger.day import current_day


@dataclass(frozen=True, slots=True)
class Moved:
    """The payments' new states, and why some could not move: the books did not take their money back."""

    states: Mapping[str, State]
    stuck: Mapping[str, str]


def happen(conn: Connection, happenings: Mapping[str, Happening], *, at: datetime) -> Moved:
    """Apply to each payment, by reference, what happened to it; what follows from nothing changes nothing.

    A bounded number of statements however many payments; `conn` comes from `ledger.db.writing`. Raises
    ledger.day.DayOrderError where money is to go back and no business day is open.
    """
    held = payments_of(conn, list(happenings))
    moves = {
        reference: found
        for reference, one in held.items()
        if (found := move(one.state, happenings[reference])) is not None
    }
    stuck = _give_back(conn, [held[one] for one, found in moves.items() if found.money_back], at)
    moves = {reference: found for reference, found in moves.items() if reference not in stuck}
    states = {reference: found.state for reference, found in moves.items()}
    set_states(conn, states, at=at)
    _notify(conn, moves, at)
    return Moved(states, stuck)


def _give_back(conn: Connection, payments: list[BillPayment], at: datetime) -> Mapping[str, str]:
    """Mirror payments on the open day; of those the books refuse, what they say."""
    if not payments:
        return {}
    today = current_day(conn)
    reversals = [
        Reversal(f"{one.reference}|back", one.reference, today, at, "the biller has let the payment go")
        for one in payments
    ]
    answers = reverse(conn, reversals, at=at)
    return {
        one.reference: answer.message
        for one, answer in zip(payments, answers, strict=True)
        # Reversed by another door already: the money is back, which is what was wanted.
        if isinstance(answer, ReversalRefused) and answer.reason is not ReversalRefusal.ALREADY_REVERSED
    }


def _notify(conn: Connection, moves: Mapping[str, Move], at: datetime) -> None:
    reverses = [reference for reference, found in moves.items() if found.notify is Act.REVERSE]
    if reverses:
        # At most one notice of a payment is on its way: the reversal speaks for the write-off too.
        overtaken = [ClosedNotice(one, Act.WRITE_OFF, Closing.OVERTAKEN) for one in reverses]
        close_notices(conn, overtaken, at=at)
        queue_notices(conn, reverses, Act.REVERSE, at=at)
