"""A holder's social security: contributions asked for and paid, and the record, read by consent.

`api.http.agency` includes these addresses.
"""

from datetime import date, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path
from fastapi.responses import Response
from pydantic import BaseModel, StringConstraints
from sqlalchemy import Connection

from api.http.access import Caller, Session, holder_session, institution
from api.http.fields import Body, Currency, HolderId, ParticipantId
from api.http.idempotency import Answer, Once, once
from api.http.problems import Problem, documented, problem, refused
from api.http.state import Deps, deps
from card.link_policy import LinkRefusal, Purpose
from card.links import LinkKind, LinkRefused, read_link
from clearing.online.payment import Channel, Decline
from clearing.sectors.socialsecurity.bills import Bill, bill_of, bills_of
from clearing.sectors.socialsecurity.consent import disclosed_record
from clearing.sectors.socialsecurity.contributions import (
    Contribution,
    ContributionRefusal,
    ContributionRefused,
    pay_bill,
)
from clearing.sectors.socialsecurity.record import SocialRecord, record_of
from ledger.day import current_day
from ledger.db import reading

router = APIRouter()

Me = Annotated[Session, Depends(holder_session)]
RecordReader = Annotated[Caller, Depends(institution("links:read"))]
Doors = Annotated[Deps, Depends(deps)]
NUMBER: Final = r"^[A-Z0-9][A-Z0-9-]{0,23}$"
Number = Annotated[str, Path(pattern=NUMBER)]
PAID_REASONS = (
    *(
        reason.value
        for reason in ContributionRefusal
        if reason not in (ContributionRefusal.NOT_PAID, ContributionRefusal.DECLINED)
    ),
    *(reason.value for reason in Decline),
)


class Choice(BaseModel):
    """A bracket that a bill may be paid by, and what it then costs."""

    bracket: str
    name: str
    amount_fen: int
    payable_from: date
    payable_to: date


class ContributionView(BaseModel):
    """A contribution bill; `choices` has one where the agency left none."""

    agency: str
    number: str
    insured: str
    insurance: str
    year: int
    first_month: int
    months: int
    state: str
    choices: list[Choice]
    paid_bracket: str | None
    paid_fen: int | None
    currency: Currency = "CNY"


class Chosen(Body):
    """The bracket to pay by."""

    bracket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,15}$")]


class InsuredView(BaseModel):
    """What the holder is insured by: the months paid, by year, and how many in all."""

    insurance: str
    months_paid: int
    months: dict[int, list[int]]


class BenefitView(BaseModel):
    """A benefit that was paid."""

    agency: str
    programme: str
    claim: str
    pocket: str
    amount_fen: int
    currency: Currency = "CNY"
    memo: str
    business_date: date


class AccountMovement(BaseModel):
    """A movement of the personal medical account or the subsidy pocket."""

    pocket: str
    kind: str
    amount_fen: int
    currency: Currency = "CNY"
    business_date: date
    event_at: datetime


class RecordView(BaseModel):
    """A holder's social-security record, as far as the reader may know it."""

    holder: str
    insured: list[InsuredView]
    open_bills: list[ContributionView]
    benefits: list[BenefitView]
    movements: list[AccountMovement]


class RecordReading(Body):
    """What the caller reads the record for."""

    purpose: Purpose


@router.get("/me/social-security", response_model=RecordView)
def my_record(me: Me, doors: Doors) -> RecordView:
    """The holder's own record, whole."""
    with reading(doors.engine) as conn:
        return record_view(record_of(conn, me.holder, archive=doors.archive))


@router.get("/me/contributions", response_model=list[ContributionView])
def my_contributions(me: Me, doors: Doors) -> list[ContributionView]:
    """What the holder is asked to contribute, the newest year first; withdrawn bills are left out."""
    with reading(doors.engine) as conn:
        return [contribution_view(one) for one in bills_of(conn, me.holder)]


@router.post(
    "/me/contributions/{agency}/{number}/payment",
    status_code=201,
    response_model=ContributionView,
    responses=documented(*dict.fromkeys(PAID_REASONS)),
)
def pay_contribution(
    agency: ParticipantId,
    number: Number,
    body: Chosen,
    me: Me,
    doors: Doors,
    key: Annotated[Once, Depends(once)],
) -> Response:
    """Pay one of the holder's own bills from the wallet, by one of its brackets."""

    def work(conn: Connection) -> Answer:
        bill = bill_of(conn, agency, number)
        if bill is None or bill.holder != me.holder:
            message = f"agency {agency} asks you for no bill {number}; see the list of contributions"
            raise problem("contribution_unknown", message)
        order = Contribution(
            agency, number, me.holder, body.bracket, Channel.APP, current_day(conn), doors.now()
        )
        answer = pay_bill(conn, order, at=doors.now())
        if isinstance(answer, ContributionRefused):
            raise contribution_problem(answer)
        return Answer(201, contribution_view(answer.bill))

    return key.in_transaction(me.subject, work)


@router.post(
    "/holders/{holder}/social-security/reads", response_model=RecordView, responses=documented(LinkRefusal)
)
def read(holder: HolderId, body: RecordReading, caller: RecordReader, doors: Doors) -> RecordView:
    """Read a holder's record for a purpose that the holder has consented to. The read is logged, refused or not."""
    reader, purpose = caller.participant, body.purpose
    kind = LinkKind.SOCIAL_SECURITY
    answer = doors.writer.write(
        lambda conn: read_link(
            conn, doors.vault, holder, kind, reader=reader, purpose=purpose, at=doors.now()
        )
    )
    # Outside the transaction: what is refused is logged as well.
    if isinstance(answer, LinkRefused):
        raise refused(answer)
    with reading(doors.engine) as conn:
        return record_view(disclosed_record(conn, holder, answer.disclosure, archive=doors.archive))


def contribution_problem(answer: ContributionRefused) -> Problem:
    """The problem of a contribution that is not paid or not given back: the payment's own, where that is why."""
    if answer.reason is not ContributionRefusal.DECLINED or answer.cause is None:
        return refused(answer)
    return problem(answer.cause.value, answer.message)


def contribution_view(bill: Bill) -> ContributionView:
    """A bill as its insured sees it."""
    return ContributionView(
        agency=bill.agency,
        number=bill.number,
        insured=bill.holder,
        insurance=bill.insurance.value,
        year=bill.year,
        first_month=bill.first_month,
        months=bill.months,
        state=bill.state.value,
        choices=[
            Choice(
                bracket=one.bracket,
                name=one.name,
                amount_fen=one.price_fen(bill.months),
                payable_from=one.payable_from,
                payable_to=one.payable_to,
            )
            for one in bill.brackets
        ],
        paid_bracket=bill.paid_bracket,
        paid_fen=bill.paid_fen,
    )


def record_view(record: SocialRecord) -> RecordView:
    """The record as an answer."""
    return RecordView(
        holder=record.holder,
        insured=[
            InsuredView(
                insurance=one.insurance.value,
                months_paid=one.months_paid,
                months={year: list(months) for year, months in one.months.items()},
            )
            for one in record.insured
        ],
        open_bills=[contribution_view(one) for one in record.open_bills],
        benefits=[
            BenefitView(
                agency=one.agency,
                programme=one.programme,
                claim=one.claim,
                pocket=one.pocket.value,
                amount_fen=one.amount_fen,
                memo=one.memo,
                business_date=one.business_date,
            )
            for one in record.benefits
        ],
        movements=[
            AccountMovement(
                pocket=account.partition(":")[0],
                kind=one.kind,
                amount_fen=one.amount_fen,
                business_date=one.business_date,
                event_at=one.event_at,
            )
            for account, moved in record.movements.items()
            for one in moved
        ],
    )
