"""Top-ups: a channel orders money for a wallet, and later says that it was paid, or will not be.

A channel's own number of a top-up is unique within the channel; in the books it is
`http:{participant}:{number}`, so that no client reaches another channel's top-ups.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import Connection

from api.http.access import Caller, institution
from api.http.fields import Body, Currency, HolderId, Paid, Reference, When
from api.http.idempotency import Answer, Once, once
from api.http.problems import Problem, documented, problem, refused
from api.http.state import Deps, deps
from clearing.online.topup import (
    TopUp,
    TopUpRecord,
    TopUpRefusal,
    TopUpRefused,
    confirm_topup,
    fail_topup,
    order_topup,
    topup_of,
)
from ledger.day import current_day
from ledger.db import reading

router = APIRouter(prefix="/v1/topups", tags=["top-ups"])

Channel = Annotated[Caller, Depends(institution("topups:write"))]


class Order(Paid):
    """Money that the channel will be paid for a holder; `reference` is the channel's own number for it."""

    reference: Reference
    holder: HolderId
    expires_at: When | None = None


class Confirmation(Paid):
    """The channel's word that it was paid; `channel_reference` is its number of the payment."""

    channel_reference: Reference
    paid_at: When


class Failure(Body):
    """The channel's word that it will not be paid."""

    failed_at: When


class TopUpView(BaseModel):
    """A top-up as it stands."""

    reference: str
    channel: str
    holder: str
    amount_fen: int
    currency: Currency = "CNY"
    state: str
    late: bool
    ordered_at: datetime
    expires_at: datetime | None
    settled_at: datetime | None
    channel_reference: str | None


@router.post("", status_code=201, response_model=TopUpView, responses=documented(TopUpRefusal))
def order(
    body: Order, caller: Channel, doors: Annotated[Deps, Depends(deps)], key: Annotated[Once, Depends(once)]
) -> Response:
    """Expect money from the caller's channel; nothing is in the wallet yet."""

    def work(conn: Connection) -> Answer | Problem:
        at = doors.now()
        reference = within(caller.participant, body.reference)
        wanted = TopUp(reference, body.holder, caller.participant, body.amount_fen, at, body.expires_at)
        answer = order_topup(conn, wanted, at=at)
        if isinstance(answer, TopUpRefused):
            raise refused(answer)
        return Answer(201, required(conn, caller.participant, body.reference))

    return key.in_transaction(caller.subject, work)


@router.get("/{reference}", response_model=TopUpView, responses=documented("topup_unknown"))
def one(reference: Reference, caller: Channel, doors: Annotated[Deps, Depends(deps)]) -> TopUpView:
    """One of the channel's top-ups, by the channel's own number."""
    with reading(doors.engine) as conn:
        return required(conn, caller.participant, reference)


@router.post("/{reference}/confirmation", response_model=TopUpView, responses=documented(TopUpRefusal))
def confirm(
    reference: Reference,
    body: Confirmation,
    caller: Channel,
    doors: Annotated[Deps, Depends(deps)],
    key: Annotated[Once, Depends(once)],
) -> Response:
    """Put the money into the wallet, once; a confirmation that contradicts is kept for a person to settle."""

    def work(conn: Connection) -> Answer | Problem:
        answer = confirm_topup(
            conn,
            within(caller.participant, reference),
            channel_id=caller.participant,
            channel_reference=body.channel_reference,
            amount_fen=body.amount_fen,
            business_date=current_day(conn),
            event_at=body.paid_at,
            at=doors.now(),
        )
        if isinstance(answer, TopUpRefused):
            # Returned, not raised: what the channel says it was paid stays listed.
            return refused(answer)
        return Answer(200, required(conn, caller.participant, reference))

    return key.in_transaction(caller.subject, work)


@router.post("/{reference}/failure", response_model=TopUpView, responses=documented(TopUpRefusal))
def fail(
    reference: Reference,
    body: Failure,
    caller: Channel,
    doors: Annotated[Deps, Depends(deps)],
    key: Annotated[Once, Depends(once)],
) -> Response:
    """Give an order up; if it is paid after all, its confirmation still counts and is said to be late."""

    def work(conn: Connection) -> Answer | Problem:
        own = within(caller.participant, reference)
        answer = fail_topup(conn, own, channel_id=caller.participant, event_at=body.failed_at)
        if isinstance(answer, TopUpRefused):
            raise refused(answer)
        return Answer(200, required(conn, caller.participant, reference))

    return key.in_transaction(caller.subject, work)


def within(channel: str, reference: str) -> str:
    """The channel's own number as the books know it."""
    return f"http:{channel}:{reference}"


def required(conn: Connection, channel: str, reference: str) -> TopUpView:
    """A channel's top-up. Problem: topup_unknown."""
    record = topup_of(conn, within(channel, reference))
    if record is None:
        raise problem("topup_unknown", f"top-up {reference} is not among yours; look at the number again")
    return view(record)


def view(record: TopUpRecord) -> TopUpView:
    """A top-up under the channel's own number."""
    return TopUpView(
        reference=record.reference.removeprefix(f"http:{record.channel_id}:"),
        channel=record.channel_id,
        holder=record.holder,
        amount_fen=record.amount_fen,
        state=record.state.value,
        late=record.late,
        ordered_at=record.ordered_at,
        expires_at=record.expires_at,
        settled_at=record.settled_at,
        channel_reference=record.channel_reference,
    )
