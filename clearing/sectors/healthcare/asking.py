"""The insurer at night: asked about every bill that waits for it, told of every one that is taken back.

Both are steps of the night: the insurer is asked outside any transaction, and what it said is brought into the
books in the runner's one. A kill in between forgets the answers and asks again, which changes nothing there.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from clearing.context import Night, StepResult
from clearing.peers import SILENT_IN_A_ROW
from clearing.sectors.healthcare.bill_book import open_bills
from clearing.sectors.healthcare.bills import BillRecord
from clearing.sectors.healthcare.claims import State
from clearing.sectors.healthcare.hearing import Asked, hear
from clearing.sectors.healthcare.insurer import Heard, Insurer, NoAnswer
from ledger.db import reading


@dataclass(frozen=True, slots=True)
class Asking:
    """What the insurer said of bills, and how many it was not asked about as it is silent."""

    heard: tuple[tuple[str, Heard], ...] = ()
    untried: int = 0

    @property
    def silent(self) -> int:
        """How many questions nobody answered."""
        return sum(isinstance(heard, NoAnswer) for _, heard in self.heard)


def ask_insurer(engine: Engine, night: Night) -> StepResult:
    """Ask what became of every bill that waits for the insurer; it is never asked to pay again."""
    return _step(engine, night, Asked.QUERY, lambda insurer: insurer.query)


def withdraw_claims(engine: Engine, night: Night) -> StepResult:
    """Take back at the insurer what is being cancelled, what it would pay otherwise, what pockets do not cover."""
    return _step(engine, night, Asked.CANCEL, lambda insurer: insurer.cancel)


def ask_each(ask: Callable[[str], Heard], bills: Iterable[BillRecord]) -> Asking:
    """Ask about bills one after the other, until the insurer is silent too often."""
    references = [bill.reference for bill in bills]
    heard: list[tuple[str, Heard]] = []
    silent = 0
    for reference in references:
        answer = ask(reference)
        heard.append((reference, answer))
        silent = silent + 1 if isinstance(answer, NoAnswer) else 0
        if silent == SILENT_IN_A_ROW:
            break
    return Asking(tuple(heard), len(references) - len(heard))


def _step(
    engine: Engine, night: Night, asked: Asked, door: Callable[[Insurer], Callable[[str], Heard]]
) -> StepResult:
    with reading(engine) as conn:
        waiting = _concerned(open_bills(conn), asked)
    insurer = night.peers.insurer
    found = Asking(untried=len(waiting)) if insurer is None else ask_each(door(insurer), waiting)

    def write(conn: Connection) -> None:
        for reference, heard in found.heard:
            hear(conn, reference, asked, heard, at=night.at)

    counts = {
        "bills": len(waiting),
        "answered": len(found.heard) - found.silent,
        "silent": found.silent,
        "untried": found.untried,
    }
    return StepResult(counts, write=write)


def _concerned(bills: Sequence[BillRecord], asked: Asked) -> list[BillRecord]:
    """A bill that is being cancelled needs no question: only its cancellation ends it."""
    withdrawn = asked is Asked.CANCEL
    return [bill for bill in bills if (bill.state is State.CANCELLING) is withdrawn]
