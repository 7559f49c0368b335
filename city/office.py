"""The load office behind the counters: it asks the HSM, takes the money, and books what cards have proved."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date

from sqlalchemy import Engine

from card.hsm.client import Hsm
from card.hsm.codec import CardKeyRef
from card.hsm.errors import HsmError
from clearing.online.load import (
    LoadAnswer,
    LoadOrder,
    LoadProof,
    LoadRefused,
    authorise_loads,
    confirm_loads,
)
from clearing.wire.bcd import moment_of
from ledger.db import writing
from terminals.loads import LoadReceipt, LoadRequest, OfficeGone


class LoadTurnedAway(Exception):
    """The books or the HSM did not go along with a load that a card has already answered for."""


class Office:
    """One agent's office on one business date. It books every load at once, or those of `together` at its end.

    Where a `holder` is given, the money comes out of that holder's wallet instead of the agent's hands.
    """

    def __init__(
        self, engine: Engine, hsm: Hsm, agent: str, business_date: date, *, holder: str = ""
    ) -> None:
        self._engine = engine
        self._hsm = hsm
        self._agent = "" if holder else agent
        self._holder = holder
        self._business_date = business_date
        self._grouped = False
        self._orders: list[LoadOrder] = []
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
        self._book()

    def authorise(self, request: LoadRequest) -> bytes | None:
        """MAC2 for the card once its MAC1 is right and the money is taken. Raises OfficeGone."""
        try:
            mac2 = self._hsm.authorise_load(
                _keys(request), rnd=request.rnd, counter=request.counter, balance_fen=request.balance_fen,
                amount_fen=request.amount_fen, kind=request.kind, terminal=bytes.fromhex(request.terminal),
                moment=request.moment, mac1=request.mac1,
            )  # fmt: skip
        except HsmError as error:
            raise OfficeGone(str(error)) from error
        if mac2 is None:
            return None
        at = moment_of(request.ordered_at)
        self._orders.append(
            LoadOrder(
                request.card_no,
                request.amount_fen,
                self._agent,
                request.reference,
                self._business_date,
                at,
                holder=self._holder,
            )
        )
        if self._grouped:
            return mac2
        return mac2 if not self._book() else None

    def confirm(self, receipt: LoadReceipt) -> None:
        """Book a load that the card has proved, once the HSM has found its TAC right. Raises OfficeGone."""
        request = receipt.request
        try:
            right = self._hsm.verify_load_tac(
                _keys(request), new_balance_fen=receipt.new_balance_fen, counter=request.counter,
                amount_fen=request.amount_fen, kind=request.kind, terminal=bytes.fromhex(request.terminal),
                moment=request.moment, tac=receipt.tac,
            )  # fmt: skip
        except HsmError as error:
            raise OfficeGone(str(error)) from error
        if not right:
            raise LoadTurnedAway(
                f"load {request.reference}: its TAC is wrong; the money waits in load:{request.card_no}"
            )
        self._proofs.append(
            LoadProof(
                request.reference, receipt.new_balance_fen, request.counter, receipt.tac, self._business_date,
                moment_of(request.moment),
            )
        )  # fmt: skip
        if not self._grouped and (refused := self._book()):
            raise LoadTurnedAway(f"load {refused[0].reference}: {refused[0].message}")

    def _book(self) -> list[LoadRefused]:
        """Write orders, then proofs; those refused. Booked before is as good as booked now."""
        orders, proofs = self._orders, self._proofs
        self._orders, self._proofs = [], []
        if not orders and not proofs:
            return []
        at = max([order.event_at for order in orders] + [proof.event_at for proof in proofs])
        with writing(self._engine) as conn:
            answers: Sequence[LoadAnswer] = [
                *(authorise_loads(conn, orders, at=at) if orders else []),
                *(confirm_loads(conn, proofs, at=at) if proofs else []),
            ]
        refused = [answer for answer in answers if isinstance(answer, LoadRefused)]
        if refused and self._grouped:
            raise LoadTurnedAway(f"load {refused[0].reference}: {refused[0].message} ({len(refused)} in all)")
        return refused


def _keys(request: LoadRequest) -> CardKeyRef:
    return CardKeyRef.of(request.issuer, request.card_no, request.key_version, request.algorithm)
