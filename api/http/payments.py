"""Purchases: a merchant takes money from a holder's wallet, and gives it back whole or in part.

A merchant's own number of a payment is unique within the merchant; in the books it is
`http:{participant}:{number}`, so that no client reaches another participant's payments.
"""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import Connection

from api.http.access import Caller, institution
from api.http.cursors import Cursor, Limit, page_of, place_of
from api.http.fields import Body, Currency, HolderId, Page, Paid, Reference, Text
from api.http.idempotency import Answer, Once, once
from api.http.problems import Problem, documented, problem, refused
from api.http.state import Deps, deps
from clearing.online.payment import (
    Channel,
    Decline,
    Declined,
    Leg,
    PaymentOrder,
    PaymentRecord,
    newest_of_merchant,
    pay,
    payment_of,
)
from clearing.online.refund import Refund, RefundRefusal, RefundRefused, refund
from clearing.online.reversal import Reversal, ReversalRefusal, ReversalRefused, reverse
from ledger.day import current_day
from ledger.db import reading

router = APIRouter(prefix="/v1/payments", tags=["payments"])

Payer = Annotated[Caller, Depends(institution("payments:write"))]
Reader = Annotated[Caller, Depends(institution("payments:read"))]

KIND = "purchase"
"""What is paid here; payments of other kinds are undone by the doors that took them."""


class Purchase(Paid):
    """A purchase to be paid from a holder's wallet; `reference` is the merchant's own number for it."""

    reference: Reference
    holder: HolderId
    narrative: Text = ""


class Undoing(Body):
    """Why a payment is taken back whole."""

    reason: Text


class Return(Paid):
    """A part of a payment to give back; `reference` is the merchant's own number for it."""

    reference: Reference


class LegView(BaseModel):
    """A part of a payment, by the pocket that paid it."""

    pocket: str
    amount_fen: int
    refunded_fen: int


class PaymentView(BaseModel):
    """A payment as its merchant sees it."""

    reference: str
    state: str
    kind: str
    holder: str
    amount_fen: int
    refunded_fen: int
    currency: Currency = "CNY"
    legs: list[LegView]
    business_date: date
    event_at: datetime
    narrative: str


class Done(BaseModel):
    """A reversal or refund that is in the books."""

    reference: str
    payment: str
    first_time: bool


@router.post("", status_code=201, response_model=PaymentView, responses=documented(Decline))
def take(
    body: Purchase, caller: Payer, doors: Annotated[Deps, Depends(deps)], key: Annotated[Once, Depends(once)]
) -> Response:
    """Take a payment from a holder's wallet. The same purchase again, under whatever key, is paid once."""

    def work(conn: Connection) -> Answer:
        order = PaymentOrder(
            reference=within(caller, body.reference),
            channel=Channel.HTTP,
            kind=KIND,
            merchant=caller.participant,
            holder=body.holder,
            legs=(Leg(f"wallet:{body.holder}", body.amount_fen),),
            business_date=current_day(conn),
            event_at=doors.now(),
            narrative=body.narrative,
        )
        answer = pay(conn, [order], at=doors.now())[0]
        if isinstance(answer, Declined):
            raise declined(answer)
        return Answer(201, _required(conn, caller, body.reference))

    return key.in_transaction(caller.subject, work)


@router.get("", response_model=Page[PaymentView])
def of_a_day(
    business_date: Annotated[date, Query(description="the day on which they were booked")],
    caller: Reader,
    doors: Annotated[Deps, Depends(deps)],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[PaymentView]:
    """The caller's payments of a business date, newest first."""
    before = place_of("payments", cursor)
    with reading(doors.engine) as conn:
        found = newest_of_merchant(conn, caller.participant, business_date, limit=limit + 1, before=before)
    shown, next_cursor = page_of("payments", found, limit, lambda one: one.entry_id)
    return Page(items=[view(one) for one in shown], next_cursor=next_cursor)


@router.get("/{reference}", response_model=PaymentView, responses=documented("payment_unknown"))
def one(reference: Reference, caller: Reader, doors: Annotated[Deps, Depends(deps)]) -> PaymentView:
    """One of the caller's payments, by the caller's own number."""
    with reading(doors.engine) as conn:
        return _required(conn, caller, reference)


@router.post(
    "/{reference}/reversal",
    status_code=201,
    response_model=Done,
    responses=documented(ReversalRefusal, "not_a_purchase"),
)
def take_back(
    reference: Reference,
    body: Undoing,
    caller: Payer,
    doors: Annotated[Deps, Depends(deps)],
    key: Annotated[Once, Depends(once)],
) -> Response:
    """Take a payment back whole. One that has not come yet is remembered and will never be paid."""

    def work(conn: Connection) -> Answer:
        original = within(caller, reference)
        _only_purchases(conn, original)
        wanted = Reversal(f"{original}:reversal", original, current_day(conn), doors.now(), body.reason)
        answer = reverse(conn, [wanted], at=doors.now())[0]
        if isinstance(answer, ReversalRefused):
            raise refused(answer)
        return Answer(
            201, Done(reference=f"{reference}:reversal", payment=reference, first_time=answer.first_time)
        )

    return key.in_transaction(caller.subject, work)


@router.post(
    "/{reference}/refunds",
    status_code=201,
    response_model=Done,
    responses=documented(RefundRefusal, "not_a_purchase"),
)
def give_back(
    reference: Reference,
    body: Return,
    caller: Payer,
    doors: Annotated[Deps, Depends(deps)],
    key: Annotated[Once, Depends(once)],
) -> Response:
    """Give a part of a payment back; all parts together are never more than was paid."""

    def work(conn: Connection) -> Answer:
        original = within(caller, reference)
        _only_purchases(conn, original)
        wanted = Refund(
            within(caller, body.reference), original, body.amount_fen, current_day(conn), doors.now()
        )
        answer = refund(conn, [wanted], at=doors.now())[0]
        if isinstance(answer, RefundRefused):
            raise refused(answer)
        return Answer(201, Done(reference=body.reference, payment=reference, first_time=answer.first_time))

    return key.in_transaction(caller.subject, work)


def within(caller: Caller, reference: str) -> str:
    """The caller's own number as the books know it."""
    return f"http:{caller.participant}:{reference}"


def declined(answer: Declined) -> Problem:
    """The problem of a payment that is declined; what a pocket lacks is the holder's affair, so it is not said."""
    if answer.reason is Decline.INSUFFICIENT:
        return problem("insufficient", "there is not enough money in the pocket; top it up or pay less")
    return refused(answer)


def view(record: PaymentRecord) -> PaymentView:
    """A payment as its merchant sees it, under the merchant's own number."""
    return PaymentView(
        reference=record.reference.removeprefix(f"http:{record.merchant}:"),
        state="paid" if record.reversed_by is None else "reversed",
        kind=record.kind,
        holder=record.holder,
        amount_fen=record.amount_fen,
        refunded_fen=record.refunded_fen,
        legs=[
            LegView(
                pocket=leg.account.partition(":")[0], amount_fen=leg.amount_fen, refunded_fen=back.amount_fen
            )
            for leg, back in zip(record.legs, record.refunded_legs, strict=True)
        ],
        business_date=record.business_date,
        event_at=record.event_at,
        narrative=record.narrative,
    )


def _only_purchases(conn: Connection, original: str) -> None:
    record = payment_of(conn, original)
    if record is not None and record.kind != KIND:
        raise problem("not_a_purchase", f"a {record.kind} is undone where it was paid, not as a purchase")


def _required(conn: Connection, caller: Caller, reference: str) -> PaymentView:
    record = payment_of(conn, within(caller, reference))
    if record is None:
        raise problem("payment_unknown", f"payment {reference} is not among yours; look at the number again")
    return view(record)
