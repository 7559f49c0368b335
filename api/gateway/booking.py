"""Requests into the books: many terminals' at once, each once, with the answer kept beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from api.gateway.answers import answer_to, booking_fields
from api.gateway.codes import Code
from api.gateway.facts import Citizen
from api.gateway.requests import Request, Task
from api.gateway.tables import gateway_message
from api.gateway.terminals import take_up_key
from clearing.online.payment import Channel, Decline, Declined, Leg, PaymentOrder, pay
from clearing.online.payment_record import payments_by_reference
from clearing.online.refund import Refund, RefundRefusal, RefundRefused, refund
from clearing.online.reversal import Reversal, ReversalRefusal, ReversalRefused, reverse
from clearing.wire.iso8583 import Message
from ledger.bulk import insert_rows
from ledger.day import DayOrderError, current_day

DECLINED: Mapping[Decline, Code] = {
    Decline.AMOUNT_NOT_POSITIVE: Code.AMOUNT_INVALID,
    Decline.MERCHANT_UNKNOWN: Code.MERCHANT_WRONG,
    Decline.HOLDER_UNKNOWN: Code.CARD_UNKNOWN,
    Decline.HOLDER_LOCKED: Code.CARD_LOST,
    Decline.SUBSIDY_NOT_ACCEPTED: Code.INVALID_TRANSACTION,
    Decline.REFERENCE_TAKEN: Code.DUPLICATE_DIFFERS,
    Decline.REVERSED_BEFORE: Code.REVERSED_BEFORE,
    Decline.INSUFFICIENT: Code.INSUFFICIENT,
}
"""Every other decline is ours to mend, not the terminal's: NOT_NOW."""

NOT_REVERSED: Mapping[ReversalRefusal, Code] = {
    ReversalRefusal.REFERENCE_TAKEN: Code.DUPLICATE_DIFFERS,
    # Somebody else has taken it back: it does not stand, which is all that the terminal wants.
    ReversalRefusal.ALREADY_REVERSED: Code.APPROVED,
    ReversalRefusal.REFUNDED_BEFORE: Code.INVALID_TRANSACTION,
}

NOT_REFUNDED: Mapping[RefundRefusal, Code] = {
    RefundRefusal.AMOUNT_NOT_POSITIVE: Code.AMOUNT_INVALID,
    RefundRefusal.REFERENCE_TAKEN: Code.DUPLICATE_DIFFERS,
    RefundRefusal.PAYMENT_UNKNOWN: Code.ORIGINAL_UNKNOWN,
    RefundRefusal.PAYMENT_REVERSED: Code.REVERSED_BEFORE,
    RefundRefusal.ABOVE_PAYMENT: Code.ABOVE_ORIGINAL,
}


@dataclass(frozen=True, slots=True)
class Booking:
    """An authentic request, the message it came in, and who pays, or why nobody does, or None: nobody need.

    `new_key` is the working key that its MAC was made with, where the terminal had not used it before.
    """

    request: Request
    message: Message
    citizen: Citizen | Code | None
    new_key: bytes | None = None


def book_in_turn(conn: Connection, bookings: Sequence[Booking], *, at: datetime) -> list[Message]:
    """Book requests in the order in which they came, as many together as are of different terminals.

    A terminal's second request may be about its first, and so meets what that has left.
    """
    said: list[Message] = []
    together: dict[str, Booking] = {}
    for booking in bookings:
        if booking.request.terminal in together:
            said += book(conn, list(together.values()), at=at)
            together = {}
        together[booking.request.terminal] = booking
    return said + book(conn, list(together.values()), at=at)


def book(conn: Connection, bookings: Sequence[Booking], *, at: datetime) -> list[Message]:
    """Book requests of different terminals and answer them in order, without MACs.

    A request that was answered before gets that answer again; the same key with other content is refused.
    `conn` comes from `ledger.db.writing`.
    """
    for booking in bookings:
        if booking.new_key is not None:
            take_up_key(conn, booking.request.terminal, booking.new_key)
    earlier = _answered(conn, [booking.request for booking in bookings])
    fresh = [booking for booking in bookings if booking.request.key not in earlier]
    answers = _book_fresh(conn, fresh, at) if fresh else {}
    said = []
    for booking in bookings:
        key = booking.request.key
        if key in answers:
            said.append(answers[key])
            continue
        digest, answer = earlier[key]
        repeated = digest == booking.request.digest
        said.append(answer if repeated else answer_to(booking.message, Code.DUPLICATE_DIFFERS))
    return said


def _answered(conn: Connection, requests: Sequence[Request]) -> dict[Any, tuple[bytes, Message]]:
    """Those of the requests' keys that have been answered, with the request's digest and the answer."""
    columns = gateway_message.c
    key = tuple_(columns.terminal, columns.mti, columns.stan, columns.local_date)
    query = select(gateway_message).where(key.in_([request.key for request in requests]))
    return {
        (row.terminal, row.mti, row.stan, row.local_date): (row.digest, _read(row.answer))
        for row in conn.execute(query)
    }


def _book_fresh(conn: Connection, bookings: Sequence[Booking], at: datetime) -> dict[Any, Message]:
    try:
        business_date = current_day(conn)
    except DayOrderError:
        return {each.request.key: answer_to(each.message, Code.NOT_NOW) for each in bookings}
    codes = _codes(conn, bookings, business_date, at)
    last = conn.execute(select(func.coalesce(func.max(gateway_message.c.number), 0))).scalar_one()
    answers, rows = {}, []
    for number, booking in enumerate(bookings, last + 1):
        request, code = booking.request, codes[booking.request.key]
        more = booking_fields(number, at) if code is Code.APPROVED else {}
        answer = answer_to(booking.message, code, **more)
        answers[request.key] = answer
        if code is Code.NOT_NOW:
            continue  # nothing happened: asked again, it may be done
        text = _written(answer)
        rows.append((number, *request.key, request.digest, _reference(request), code.value, text, at))
    insert_rows(conn, gateway_message, rows)
    return answers


def _codes(
    conn: Connection, bookings: Sequence[Booking], business_date: date, at: datetime
) -> dict[Any, Code]:
    """Do what is asked for; the code for each request's key.

    No two are of one terminal, and a terminal reverses and refunds only its own, so that the order of the
    three does not matter.
    """
    asked = [booking.request for booking in bookings]
    reversals = [request for request in asked if request.task is Task.REVERSAL]
    refunds = [request for request in asked if request.task is Task.REFUND]
    payments = [booking for booking in bookings if booking.request.task in (Task.PURCHASE, Task.STAND_IN)]
    return {
        **_paid(conn, payments, business_date, at),
        **_reversed(conn, reversals, business_date, at),
        **_refunded(conn, refunds, business_date, at),
    }


def _paid(
    conn: Connection, bookings: Sequence[Booking], business_date: date, at: datetime
) -> dict[Any, Code]:
    codes: dict[Any, Code] = {}
    orders: dict[Any, PaymentOrder] = {}
    for booking in bookings:
        if isinstance(booking.citizen, Citizen):
            orders[booking.request.key] = _order(booking.request, booking.citizen, business_date)
        else:
            codes[booking.request.key] = booking.citizen or Code.CARD_UNKNOWN
    answers = pay(conn, list(orders.values()), at=at) if orders else []
    for key, answer in zip(orders, answers, strict=True):
        codes[key] = Code.APPROVED
        if isinstance(answer, Declined):
            codes[key] = DECLINED.get(answer.reason, Code.NOT_NOW)
    return codes


def _reversed(
    conn: Connection, requests: Sequence[Request], business_date: date, at: datetime
) -> dict[Any, Code]:
    if not requests:
        return {}
    codes: dict[Any, Code] = {}
    wanted: dict[Any, Reversal] = {}
    paid = payments_by_reference(conn, [request.payment for request in requests])
    for request in requests:
        original = paid.get(request.payment)
        if original is not None and original.amount_fen != request.amount_fen:
            codes[request.key] = Code.AMOUNT_INVALID
        else:
            reference = _reference(request)
            wanted[request.key] = Reversal(reference, request.payment, business_date, at, "asked by terminal")
    for key, answer in zip(wanted, reverse(conn, list(wanted.values()), at=at), strict=True):
        codes[key] = Code.APPROVED
        if isinstance(answer, ReversalRefused):
            codes[key] = NOT_REVERSED.get(answer.reason, Code.NOT_NOW)
    return codes


def _refunded(
    conn: Connection, requests: Sequence[Request], business_date: date, at: datetime
) -> dict[Any, Code]:
    wanted = [
        Refund(_reference(one), one.original, one.amount_fen, business_date, one.event_at) for one in requests
    ]
    codes: dict[Any, Code] = {}
    for request, answer in zip(requests, refund(conn, wanted, at=at) if wanted else [], strict=True):
        codes[request.key] = Code.APPROVED
        if isinstance(answer, RefundRefused):
            codes[request.key] = NOT_REFUNDED.get(answer.reason, Code.NOT_NOW)
    return codes


def _order(request: Request, citizen: Citizen, business_date: date) -> PaymentOrder:
    return PaymentOrder(
        reference=request.payment,
        channel=Channel.GATEWAY,
        kind="purchase",
        merchant=request.merchant,
        holder=citizen.holder,
        legs=(Leg(citizen.wallet, request.amount_fen),),
        business_date=business_date,
        event_at=request.event_at,
    )


def _reference(request: Request) -> str:
    """The natural key of what was asked for."""
    return f"{request.payment}:reversal" if request.task is Task.REVERSAL else request.payment


def _written(answer: Message) -> str:
    return json.dumps([answer.mti, answer.fields], sort_keys=True, separators=(",", ":"))


def _read(text: str) -> Message:
    mti, fields = json.loads(text)
    return Message(mti, {int(number): value for number, value in fields.items()})
