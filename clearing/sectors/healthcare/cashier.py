"""The hospital's cash desk: preview, settle, ask again, cancel; the insurer's side first, ours second.

No transaction waits for the insurer: what it is about to be asked is in the book before, and what it said is
brought into the book after. A process that dies in between leaves a bill that is asked about again.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from clearing.sectors.healthcare.bill_book import (
    bill_of,
    claim_of,
    digest_of,
    enter,
    load_facts,
    move,
    open_bills,
)
from clearing.sectors.healthcare.bills import (
    Agreed,
    Bill,
    BillFacts,
    BillRecord,
    BillRefusal,
    BillRefused,
    agree,
    decide,
    flaw,
)
from clearing.sectors.healthcare.claims import OPEN, Event, State, advance
from clearing.sectors.healthcare.hearing import Asked, hear
from clearing.sectors.healthcare.insurer import Claim, ClaimAnswer, Heard, Insurer, Standing
from clearing.sectors.healthcare.policy import Policy, Split
from clearing.wire.bcd import CITY_ZONE
from ledger.db import reading
from ledger.sharing import Alone, Writer


@dataclass(frozen=True, slots=True)
class Cashier:
    """The desk on these books, with this insurer and the policies that may be in force.

    It writes through `writer`; a shared one may raise Busy before the insurer is asked, and never after.
    """

    engine: Engine
    insurer: Insurer
    policies: tuple[Policy, ...]
    writer: Writer | None = None

    def preview(self, bill: Bill, *, at: datetime) -> Split | BillRefused:
        """How a bill would be split now; nothing is booked, and nobody is asked."""
        wrong = flaw(bill)
        if wrong is not None:
            return wrong
        with reading(self.engine) as conn:
            if bill_of(conn, bill.reference) is not None:
                return _taken(bill.reference)  # its own parts are promised or paid already
            return decide(bill, self._facts(conn, bill, at))

    def settle(self, bill: Bill, agreed: Agreed, *, at: datetime) -> BillRecord | BillRefused:
        """Have the insurer pay its part of a bill, then book all parts as the patient agreed to.

        The same bill again is answered as it stands, and asked about where the insurer has not answered;
        the insurer is asked to pay once only.
        """
        wrong = flaw(bill)
        if wrong is not None:
            return wrong
        opened = self._writer.write(lambda conn: self._open(conn, bill, agreed, at))
        if isinstance(opened, BillRefused):
            return opened
        if opened is None:
            return self.ask_again(bill.reference, at=at)
        return self._take(bill.reference, Asked.CLAIM, self.insurer.claim(opened), at)

    def ask_again(self, reference: str, *, at: datetime) -> BillRecord | BillRefused:
        """Ask the insurer what became of a bill that waits for it; any other is answered as it stands."""
        with reading(self.engine) as conn:
            bill = bill_of(conn, reference)
        if bill is None:
            return _unknown(reference)
        if bill.state not in OPEN:
            return bill
        heard = self.insurer.query(reference)
        if bill.state is State.CANCELLING and not _is_withdrawn(heard):
            self._hear(reference, Asked.QUERY, heard, at)
            return self._take_back(reference, at)
        return self._take(reference, Asked.QUERY, heard, at)

    def cancel(self, reference: str, *, why: str, at: datetime) -> BillRecord | BillRefused:
        """Take a bill back at the insurer, then in our books; again, it is answered as it stands.

        A bill that the insurer never answered is cancelled so too: the insurer remembers the cancellation
        and will not honour a claim that arrives after it.
        """
        bill = self._writer.write(lambda conn: self._ask_to_cancel(conn, reference, why, at))
        if isinstance(bill, BillRefused):
            return bill
        if bill.state in (State.CANCELLING, State.CANCELLED):
            return self.ask_again(reference, at=at)
        return self._take_back(reference, at)

    def ask_all(self, *, at: datetime) -> list[BillRecord]:
        """Ask about every bill that waits for the insurer; those that wait still, oldest first."""
        with reading(self.engine) as conn:
            waiting = open_bills(conn)
        for bill in waiting:
            self.ask_again(bill.reference, at=at)
        with reading(self.engine) as conn:
            return open_bills(conn)

    @property
    def _writer(self) -> Writer:
        return self.writer or Alone(self.engine)

    def _ask_to_cancel(
        self, conn: Connection, reference: str, why: str, at: datetime
    ) -> BillRecord | BillRefused:
        """The bill as it stood when it was asked to be cancelled, which is in the book from now on."""
        bill = bill_of(conn, reference)
        if bill is None:
            return _unknown(reference)
        after = advance(bill.state, Event.CANCEL_ASKED)
        if after is None:
            return BillRefused(
                reference,
                BillRefusal.NOTHING_TO_CANCEL,
                f"bill {reference} was refused by the insurer; no money has moved that could go back",
            )
        if after is not bill.state:
            move(conn, bill, after, at=at, why=why)
        return bill

    def _open(self, conn: Connection, bill: Bill, agreed: Agreed, at: datetime) -> Claim | BillRefused | None:
        """The claim of a bill newly entered; None where it is in the book already."""
        known = bill_of(conn, bill.reference)
        if known is not None:
            same = digest_of(conn, bill.reference) == bill.digest and Agreed.of(known) == agreed
            return None if same else _taken(bill.reference)
        facts = self._facts(conn, bill, at)
        split = decide(bill, facts)
        if isinstance(split, BillRefused):
            return split
        refused = agree(bill, split, agreed, facts.wallet_fen or 0)
        if refused is not None:
            return refused
        return claim_of(conn, enter(conn, bill, split, facts, at=at))

    def _facts(self, conn: Connection, bill: Bill, at: datetime) -> BillFacts:
        return load_facts(conn, bill, self.policies, today=at.astimezone(CITY_ZONE).date())

    def _take(self, reference: str, asked: Asked, heard: Heard, at: datetime) -> BillRecord:
        """Take down what was heard; where it cannot be accepted, take the claim back at once."""
        bill = self._hear(reference, asked, heard, at)
        return self._take_back(reference, at) if bill.state is State.CANCELLING else bill

    def _take_back(self, reference: str, at: datetime) -> BillRecord:
        return self._hear(reference, Asked.CANCEL, self.insurer.cancel(reference), at)

    def _hear(self, reference: str, asked: Asked, heard: Heard, at: datetime) -> BillRecord:
        return self._writer.finish(lambda conn: hear(conn, reference, asked, heard, at=at))


def _is_withdrawn(heard: Heard) -> bool:
    return isinstance(heard, ClaimAnswer) and heard.standing is Standing.CANCELLED


def _taken(reference: str) -> BillRefused:
    return BillRefused(
        reference,
        BillRefusal.BILL_TAKEN,
        f"bill {reference} is in the book already; look at it, or give another bill another number",
    )


def _unknown(reference: str) -> BillRefused:
    return BillRefused(
        reference, BillRefusal.BILL_UNKNOWN, f"no bill {reference} was presented; check its number"
    )
