"""Utility bills as callers see them, and a signed-in holder's own: asked for, paid, listed, taken back."""

from collections.abc import Mapping
from datetime import date, datetime
from hashlib import sha256
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path
from fastapi.responses import Response
from pydantic import BaseModel, StringConstraints
from sqlalchemy import Connection, Engine

from api.http.access import Session, holder_session
from api.http.cursors import Cursor, Limit, page_of, place_of
from api.http.fields import Currency, Page, Paid, ParticipantId, Reference
from api.http.idempotency import Answer, Once, once
from api.http.payments import declined
from api.http.problems import Problem, documented, problem, refused
from api.http.state import Deps, deps
from clearing.online.payment import Channel, Decline
from clearing.sectors.utilities.bills import (
    BillOrder,
    BillRefusal,
    BillRefused,
    pay_bill,
    query_bills,
)
from clearing.sectors.utilities.catalogue import Biller, Supply, billers_of
from clearing.sectors.utilities.peer import BillerAccount, BillerClients
from clearing.sectors.utilities.register import BillPayment, payment_of, payments_of_holder
from clearing.sectors.utilities.reversal import TakeBackRefusal, TakeBackRefused, reverse_bill
from clearing.sectors.utilities.states import State
from ledger.db import reading

router = APIRouter(prefix="/me")

Me = Annotated[Session, Depends(holder_session)]
Doors = Annotated[Deps, Depends(deps)]
Number = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]{0,31}$")]
BillerId = Annotated[ParticipantId, Path(description="the biller's id, from the catalogue")]

ASKED: Final = documented("biller_unknown", "account_malformed", "peer_unavailable", "account_unknown")
"""What asking a biller may come to."""
PAYING: Final = documented(
    *(
        one.value
        for one in BillRefusal
        if one not in (BillRefusal.BILLER_SILENT, BillRefusal.PAYMENT_DECLINED)
    ),
    Decline,
    "peer_unavailable",
)
"""What paying a bill may come to."""
TAKING_BACK: Final = documented(
    TakeBackRefusal.PAYMENT_UNKNOWN.value,
    TakeBackRefusal.ALREADY_RETURNED.value,
    TakeBackRefusal.NOT_SAME_DAY.value,
)
"""What taking a payment back may come to."""


class BillerView(BaseModel):
    """A biller of the catalogue; `part_payment` says whether it takes parts of a bill."""

    biller: str
    name: str
    kind: Supply
    part_payment: bool


class Catalogue(BaseModel):
    """All billers."""

    items: list[BillerView]


class BillView(BaseModel):
    """A bill; `open_fen` is what can be paid of it now."""

    bill_no: str
    period: str
    amount_fen: int
    open_fen: int
    currency: Currency = "CNY"
    due_on: date


class AccountView(BaseModel):
    """A customer's account at a biller with its bills; `open_fen` is all that is owed, arrears included."""

    biller: str
    account_no: str
    customer: str
    open_fen: int
    currency: Currency = "CNY"
    bills: list[BillView]


class BillToPay(Paid):
    """Which bill to pay, and how much of it."""

    biller: ParticipantId
    account_no: Number
    bill_no: Number


class PaymentView(BaseModel):
    """A payment and where it stands: paid, written_off, reversing, reversed, or returned by the biller."""

    reference: str
    biller: str
    account_no: str
    bill_no: str
    holder: str
    amount_fen: int
    currency: Currency = "CNY"
    state: State
    state_at: datetime
    business_date: date
    event_at: datetime


@router.get("/billers", response_model=Catalogue)
def my_billers(_session: Me, doors: Doors) -> Catalogue:
    """The billers whose bills can be paid."""
    return catalogue(doors)


@router.get("/billers/{biller}/accounts/{account_no}", response_model=AccountView, responses=ASKED)
def my_bills(biller: BillerId, account_no: Number, _session: Me, doors: Doors) -> AccountView:
    """The bills of an account at a biller; the biller is asked now."""
    return bills(doors, biller, account_no)


@router.post("/bill-payments", status_code=201, response_model=PaymentView, responses=PAYING)
def pay_mine(body: BillToPay, session: Me, doors: Doors, key: Annotated[Once, Depends(once)]) -> Response:
    """Pay a bill, or a part of it where the biller takes parts, from the holder's wallet.

    The biller is asked first and told after the payment is certain; the payment is `paid` until it confirms.
    """
    prefix = f"bill:me:{session.holder}:"
    reference = prefix + sha256(key.key.encode()).hexdigest()[:32]

    def work() -> Answer:
        return Answer(
            201, pay(doors, order(body, reference, session.holder, Channel.APP, doors.now()), prefix)
        )

    return key.around(session.subject, work)


@router.get("/bill-payments", response_model=Page[PaymentView])
def my_payments(session: Me, doors: Doors, cursor: Cursor = None, limit: Limit = 50) -> Page[PaymentView]:
    """The holder's own payments of bills, newest first."""
    before = place_of("bill-payments", cursor)
    prefix = f"bill:me:{session.holder}:"
    with reading(doors.engine) as conn:
        found = payments_of_holder(conn, session.holder, limit=limit + 1, before=before)
    shown, next_cursor = page_of("bill-payments", found, limit, lambda one: one[0])
    return Page(items=[view(one, prefix) for _, one in shown], next_cursor=next_cursor)


@router.get("/bill-payments/{reference}", response_model=PaymentView, responses=documented("payment_unknown"))
def my_payment(reference: Reference, session: Me, doors: Doors) -> PaymentView:
    """One payment that the holder made."""
    return one_payment(doors.engine, f"bill:me:{session.holder}:", reference)


@router.post(
    "/bill-payments/{reference}/reversal", status_code=202, response_model=PaymentView, responses=TAKING_BACK
)
def take_mine_back(
    reference: Reference, session: Me, doors: Doors, key: Annotated[Once, Depends(once)]
) -> Response:
    """Take a payment back on its own business day: the money returns when the biller has let it go."""
    prefix = f"bill:me:{session.holder}:"
    return key.in_transaction(session.subject, lambda conn: take_back(conn, doors, prefix, reference))


def catalogue(doors: Deps) -> Catalogue:
    """All billers."""
    with reading(doors.engine) as conn:
        return Catalogue(items=[_biller(one) for one in billers_of(conn)])


def bills(doors: Deps, biller: str, account_no: str) -> AccountView:
    """An account's bills. Problems: those of ASKED."""
    answer = query_bills(doors.engine, clients(doors), biller, account_no)
    if isinstance(answer, BillRefused):
        raise _refused(answer)
    return _account(biller, answer)


def order(body: BillToPay, reference: str, holder: str, channel: Channel, at: datetime) -> BillOrder:
    """The order to pay what a request asks for."""
    return BillOrder(
        reference, body.biller, body.account_no, body.bill_no, body.amount_fen, holder, channel, at
    )


def pay(doors: Deps, asked: BillOrder, prefix: str) -> PaymentView:
    """Pay a bill. Problems: those of PAYING."""
    answer = pay_bill(doors.engine, clients(doors), asked, at=doors.now(), writer=doors.writer)
    if isinstance(answer, BillRefused):
        raise _refused(answer)
    return view(answer.payment, prefix)


def one_payment(engine: Engine, prefix: str, reference: str) -> PaymentView:
    """One payment of whoever's references begin with `prefix`. Problem: payment_unknown."""
    with reading(engine) as conn:
        found = payment_of(conn, prefix + reference)
    if found is None:
        raise problem("payment_unknown", f"payment {reference} is not among yours; look at its number again")
    return view(found, prefix)


def take_back(conn: Connection, doors: Deps, prefix: str, reference: str) -> Answer:
    """Begin to take a payment back. Problems: those of TAKING_BACK."""
    held = payment_of(conn, prefix + reference)
    if held is None:
        raise problem("payment_unknown", f"payment {reference} is not among yours; look at its number again")
    answer = reverse_bill(conn, held.reference, holder=held.holder, at=doors.now())
    if isinstance(answer, TakeBackRefused):
        raise refused(answer)
    return Answer(202, view(answer.payment, prefix))


def view(payment: BillPayment, prefix: str) -> PaymentView:
    """A payment under its caller's own number; one made through another door keeps its whole reference."""
    return PaymentView(
        reference=payment.reference.removeprefix(prefix),
        biller=payment.biller,
        account_no=payment.account_no,
        bill_no=payment.bill_no,
        holder=payment.holder,
        amount_fen=payment.amount_fen,
        state=payment.state,
        state_at=payment.state_at,
        business_date=payment.business_date,
        event_at=payment.event_at,
    )


def clients(doors: Deps) -> BillerClients:
    """The doors to billers that this application was given as its peer `billers`."""
    given = doors.peers.get("billers", {})
    if not isinstance(given, Mapping):
        raise TypeError("the peer `billers` is not a mapping of clients by biller; see api.http.state")
    return given


def _biller(one: Biller) -> BillerView:
    return BillerView(biller=one.id, name=one.name, kind=one.kind, part_payment=one.part_payment)


def _account(biller: str, told: BillerAccount) -> AccountView:
    shown = [
        BillView(
            bill_no=one.bill_no,
            period=one.period,
            amount_fen=one.amount_fen,
            open_fen=one.open_fen,
            due_on=one.due_on,
        )
        for one in told.bills
    ]
    return AccountView(
        biller=biller,
        account_no=told.account_no,
        customer=told.customer,
        open_fen=told.open_fen,
        bills=shown,
    )


def _refused(answer: BillRefused) -> Problem:
    if answer.declined is not None:
        return declined(answer.declined)
    if answer.reason is BillRefusal.BILLER_SILENT:
        return problem("peer_unavailable", answer.message)
    return refused(answer)
