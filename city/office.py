"""The load office behind the counters: it asks the HSM, takes the money, and books what cards have proved."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from card.hsm.client import Hsm
from card.hsm.codec import CardKeyRef
from card.hsm.errors import HsmError
from clearing.online.load import (
    LoadAnswer,
    LoadBooked,
    LoadOrder,
    LoadProof,
    LoadRefused,
    authorise_loads,
    confirm_loads,
)
from clearing.online.load_attempts import (
    Attempt,
    AttemptRefusal,
    AttemptRefused,
    Booking,
    Offer,
    WaitingLoad,
    authorise_offer,
    booked_load,
    keep_offers,
    prove_by_counter,
    return_by_counter,
    waiting_loads,
)
from clearing.wire.bcd import moment_of, pack_moment
from ledger.day import DayOrderError, current_day
from ledger.db import reading, writing
from terminals.loads import Decline, Declined, LoadReceipt, LoadRequest, OfficeGone, Tried, Waiting


class LoadTurnedAway(Exception):
    """The books or the HSM did not go along with a load of those that are booked together."""


MAC_WRONG = Declined(
    Decline.MAC_WRONG, "the card's MAC1 is wrong: it is not one of ours, or it was disturbed; put it on again"
)
_DECLINES = {
    AttemptRefusal.RETURNED: Decline.RETURNED,
    AttemptRefusal.PROVED: Decline.PROVED,
    AttemptRefusal.UNFINISHED: Decline.UNFINISHED,
}


class Office:
    """One agent's office. It books every load at once, or those of `together` at its end.

    It books on `business_date`, or where that is None, on the day that is open. Where a `holder` is given, the
    money comes out of that holder's wallet instead of the agent's hands. `now` is the office's own clock, where
    it does not share the counters': then bookings are recorded at that, and by the counter's moment where it is None.
    """

    def __init__(
        self,
        engine: Engine,
        hsm: Hsm,
        agent: str,
        business_date: date | None = None,
        *,
        holder: str = "",
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._engine = engine
        self._hsm = hsm
        self._agent = agent
        self._holder = holder
        self._business_date = business_date
        self._now = now
        self._grouped = False
        self._requests: list[LoadRequest] = []
        self._proofs: list[LoadProof] = []

    @contextmanager
    def together(self) -> Iterator[None]:
        """Book all loads made inside in one transaction.

        Cards are written before the money is taken, so this is for a world that would run the whole
        morning again after a crash, as a replay does; a real counter never groups.
        """
        self._grouped = True
        yield
        self._grouped = False
        self._book_together()

    def waiting(self, card_no: str) -> Sequence[Waiting]:
        """The loads that wait for a card, oldest first. Raises OfficeGone."""
        with answering(), reading(self._engine) as conn:
            return [_waiting(one) for one in waiting_loads(conn, card_no)]

    def authorise(self, request: LoadRequest) -> bytes | Declined:
        """MAC2 for the card once its MAC1 is right and the money is taken. Raises OfficeGone."""
        mac2 = self._mac2(request)
        if mac2 is None:
            return MAC_WRONG
        if self._grouped:
            self._requests.append(request)
            return mac2
        with answering(), writing(self._engine) as conn:
            booking = Booking("" if self._holder else self._agent, self._holder, self._day(conn))
            answer = authorise_offer(conn, _offer(request), booking, at=self._at(request))
        return mac2 if isinstance(answer, str) else _declined(answer)

    def confirm(self, receipt: LoadReceipt) -> Declined | None:
        """Book a load that the card has proved, once the HSM has found its TAC right. Raises OfficeGone."""
        if self._grouped:
            self._proofs.append(self._own_proof(receipt))
            return None
        request = receipt.request
        with answering(), reading(self._engine) as conn:
            load = booked_load(conn, _offer(request))
        if load is None:
            return Declined(Decline.BOOKS_REFUSE, f"no load {request.reference} was authorised")
        if load.amount_fen != request.amount_fen:
            message = (
                f"load {load.reference} is of {load.amount_fen} fen, not {request.amount_fen}; prove that"
            )
            return Declined(Decline.BOOKS_REFUSE, message)
        made = next((one for one in _tried(load, request) if self._is_tac_of(one, receipt)), None)
        if made is None:
            message = f"load {load.reference}: its TAC is wrong; the money waits in load:{load.card_no}"
            return Declined(Decline.MAC_WRONG, message)
        with answering(), writing(self._engine) as conn:
            # Asked now: while the HSM answered, the day may have been closed.
            proof = LoadProof(
                load.reference, made.balance_fen + load.amount_fen, made.counter, receipt.tac,
                self._day(conn), moment_of(made.moment),
            )  # fmt: skip
            (answer,) = confirm_loads(conn, [proof], at=self._at(request))
        return Declined(Decline.BOOKS_REFUSE, answer.message) if isinstance(answer, LoadRefused) else None

    def settle(self, request: LoadRequest) -> Declined | None:
        """Book what an earlier counter was authorised for, by the card's offer. Raises OfficeGone."""
        if self._mac2(request) is None:
            return MAC_WRONG
        with answering(), writing(self._engine) as conn:
            proved = prove_by_counter(conn, _offer(request), self._day(conn), at=self._at(request))
        return _declined(proved) if isinstance(proved, AttemptRefused) else None

    def give_back(self, request: LoadRequest, attempts: int) -> Declined | None:
        """Give a load back that the card, by its offer, has not taken. Raises OfficeGone."""
        if self._mac2(request) is None:
            return MAC_WRONG
        with answering(), writing(self._engine) as conn:
            refused = return_by_counter(
                conn, _offer(request), attempts, paid_by=self._agent, business_date=self._day(conn),
                at=self._at(request),
            )  # fmt: skip
        return None if refused is None else _declined(refused)

    def _mac2(self, request: LoadRequest) -> bytes | None:
        """None where the card's MAC1 is wrong."""
        with answering():
            return self._hsm.authorise_load(
                _keys(request), rnd=request.rnd, counter=request.counter, balance_fen=request.balance_fen,
                amount_fen=request.amount_fen, kind=request.kind, terminal=bytes.fromhex(request.terminal),
                moment=request.moment, mac1=request.mac1,
            )  # fmt: skip

    def _is_tac_of(self, made: Attempt, receipt: LoadReceipt) -> bool:
        request = receipt.request
        with answering():
            return self._hsm.verify_load_tac(
                _keys(request), new_balance_fen=made.balance_fen + request.amount_fen, counter=made.counter,
                amount_fen=request.amount_fen, kind=request.kind, terminal=bytes.fromhex(made.terminal),
                moment=made.moment, tac=receipt.tac,
            )  # fmt: skip

    def _at(self, request: LoadRequest) -> datetime:
        return moment_of(request.moment) if self._now is None else self._now()

    def _day(self, conn: Connection) -> date:
        return current_day(conn) if self._business_date is None else self._business_date

    def _order(self, request: LoadRequest) -> LoadOrder:
        if self._business_date is None:
            raise ValueError("loads are booked together on a business date; give one")
        return LoadOrder(
            request.card_no, request.amount_fen, "" if self._holder else self._agent, request.reference,
            self._business_date, moment_of(request.ordered_at), holder=self._holder,
        )  # fmt: skip

    def _own_proof(self, receipt: LoadReceipt) -> LoadProof:
        request, date_of = receipt.request, self._order(receipt.request).business_date
        made = Attempt(request.counter, request.balance_fen, request.terminal, request.moment)
        if not self._is_tac_of(made, receipt):
            raise LoadTurnedAway(
                f"load {request.reference}: its TAC is wrong; the money waits in load:{request.card_no}"
            )
        moment: datetime = moment_of(request.moment)
        return LoadProof(
            request.reference, receipt.new_balance_fen, request.counter, receipt.tac, date_of, moment
        )

    def _book_together(self) -> None:
        """Write orders, the offers they were authorised for, then proofs. Booked before is as good as booked now."""
        requests, proofs = self._requests, self._proofs
        self._requests, self._proofs = [], []
        orders = [self._order(request) for request in requests]
        if not orders and not proofs:
            return
        at = max([order.event_at for order in orders] + [proof.event_at for proof in proofs])
        with writing(self._engine) as conn:
            answers: list[LoadAnswer] = authorise_loads(conn, orders, at=at) if orders else []
            taken = zip(requests, answers, strict=True)
            keep_offers(conn, [_offer(one) for one, answer in taken if isinstance(answer, LoadBooked)])
            answers += confirm_loads(conn, proofs, at=at) if proofs else []
        refused = [answer for answer in answers if isinstance(answer, LoadRefused)]
        if refused:
            raise LoadTurnedAway(f"load {refused[0].reference}: {refused[0].message} ({len(refused)} in all)")


@contextmanager
def answering() -> Iterator[None]:
    """Whatever keeps the office from answering, HSM, database or calendar, is OfficeGone to the counter."""
    try:
        yield
    except (HsmError, DayOrderError) as error:
        raise OfficeGone(str(error)) from error
    except (OperationalError, InterfaceError) as error:
        raise OfficeGone(f"the books cannot be reached: {error.orig}") from error


def _offer(request: LoadRequest) -> Offer:
    return Offer(
        request.card_no, request.counter, request.balance_fen, request.amount_fen, request.terminal,
        request.moment, request.mac1, request.ordered_at, request.order,
    )  # fmt: skip


def _tried(load: WaitingLoad, request: LoadRequest) -> Iterator[Attempt]:
    """The offers that may have made a load, the newest first: no other load's TAC is a proof of it.

    Of a load from before attempts were kept, and so named by the card's counter, that of the request.
    """
    if not load.attempts and load.reference == f"{request.card_no}:{request.counter}":
        yield Attempt(request.counter, request.balance_fen, request.terminal, request.moment)
    yield from reversed(load.attempts)


def _waiting(load: WaitingLoad) -> Waiting:
    last = load.attempts[-1] if load.attempts else None
    tried = None if last is None else Tried(last.counter, last.balance_fen, last.terminal, last.moment)
    return Waiting(
        load.reference, load.card_no, load.amount_fen, load.paid_from, pack_moment(load.ordered_at),
        len(load.attempts), tried,
    )  # fmt: skip


def _declined(refused: AttemptRefused) -> Declined:
    return Declined(_DECLINES.get(refused.reason, Decline.BOOKS_REFUSE), refused.message)


def _keys(request: LoadRequest) -> CardKeyRef:
    return CardKeyRef.of(request.issuer, request.card_no, request.key_version, request.algorithm)
