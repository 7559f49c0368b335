"""Utility bills for institutions: counters ask for bills and pay them, billers bring their daily files.

A counter's own number of a payment is unique within the counter; in the register it is
`bill:{participant}:{number}`, so that no client reaches another participant's payments.
"""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel

from api.http import utility_bills
from api.http.access import Caller, institution
from api.http.fields import Currency, HolderId, Reference
from api.http.idempotency import Answer, Once, once
from api.http.problems import documented, refused
from api.http.state import Deps, deps
from api.http.utility_bills import (
    ASKED,
    PAYING,
    TAKING_BACK,
    AccountView,
    BillerId,
    BillToPay,
    Catalogue,
    Number,
    PaymentView,
)
from clearing.online.payment import Channel
from clearing.sectors.utilities.comparing import DifferenceKind
from clearing.sectors.utilities.differences import ListedDifference, open_differences
from clearing.sectors.utilities.reconciliation import FileRefusal, FileRefused, Reconciled, take_file
from ledger.db import reading

router = APIRouter(prefix="/v1", tags=["utilities"])
router.include_router(utility_bills.router)

Counter = Annotated[Caller, Depends(institution("billers:write"))]
Doors = Annotated[Deps, Depends(deps)]
FILE: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}}
}


class BillAtCounter(BillToPay):
    """A bill to be paid from a holder's wallet; `reference` is the counter's own number for the payment."""

    reference: Reference
    holder: HolderId


class DifferenceView(BaseModel):
    """A line that differs; an amount is null on the side that does not have it."""

    reference: str
    kind: DifferenceKind
    ours_fen: int | None
    theirs_fen: int | None
    currency: Currency = "CNY"
    account_no: str
    bill_no: str
    message: str


class ListedView(DifferenceView):
    """A difference that is not settled, since when."""

    business_date: date
    found_at: datetime
    issue: int


class ReconciledView(BaseModel):
    """A business date from both sides: totals first, then the lines that differ."""

    biller: str
    business_date: date
    issue: int
    ours_count: int
    ours_fen: int
    theirs_count: int
    theirs_fen: int
    currency: Currency = "CNY"
    agrees: bool
    agreed: int
    differences: list[DifferenceView]


class ListedDifferences(BaseModel):
    """What is open between the caller and the city, oldest business date first."""

    items: list[ListedView]


async def file_body(request: Request) -> bytes:
    """The body as it came; what is in it is for the reader of the file to judge."""
    return await request.body()


@router.get("/billers", response_model=Catalogue)
def all_billers(_caller: Counter, doors: Doors) -> Catalogue:
    """The billers whose bills can be paid."""
    return utility_bills.catalogue(doors)


@router.get("/billers/{biller}/accounts/{account_no}", response_model=AccountView, responses=ASKED)
def bills_of_account(biller: BillerId, account_no: Number, _caller: Counter, doors: Doors) -> AccountView:
    """The bills of an account at a biller; the biller is asked now."""
    return utility_bills.bills(doors, biller, account_no)


@router.post("/bill-payments", status_code=201, response_model=PaymentView, responses=PAYING)
def pay_at_counter(
    body: BillAtCounter, caller: Counter, doors: Doors, key: Annotated[Once, Depends(once)]
) -> Response:
    """Pay a bill from a holder's wallet. The same payment again, under whatever key, is made once."""
    prefix = _prefix(caller)
    asked = utility_bills.order(body, prefix + body.reference, body.holder, Channel.HTTP, doors.now())
    return key.around(caller.subject, lambda: Answer(201, utility_bills.pay(doors, asked, prefix)))


@router.get("/bill-payments/{reference}", response_model=PaymentView, responses=documented("payment_unknown"))
def payment_at_counter(reference: Reference, caller: Counter, doors: Doors) -> PaymentView:
    """One of the caller's payments, by the caller's own number."""
    return utility_bills.one_payment(doors.engine, _prefix(caller), reference)


@router.post(
    "/bill-payments/{reference}/reversal", status_code=202, response_model=PaymentView, responses=TAKING_BACK
)
def take_back_at_counter(
    reference: Reference, caller: Counter, doors: Doors, key: Annotated[Once, Depends(once)]
) -> Response:
    """Take a payment back on its own business day: the money returns when the biller has let it go."""
    return key.in_transaction(
        caller.subject, lambda conn: utility_bills.take_back(conn, doors, _prefix(caller), reference)
    )


@router.put(
    "/biller-files/{business_date}",
    response_model=ReconciledView,
    responses=documented(FileRefusal),
    openapi_extra=FILE,
)
def bring_file(
    business_date: date, body: Annotated[bytes, Depends(file_body)], caller: Counter, doors: Doors
) -> ReconciledView:
    """Bring the caller's own daily file and see what differs. The same file again books nothing twice."""
    answer = doors.writer.write(
        lambda conn: take_file(conn, caller.participant, body, business_date, at=doors.now())
    )
    if isinstance(answer, FileRefused):
        raise refused(answer)
    return _reconciled(answer)


@router.get("/biller-differences", response_model=ListedDifferences)
def differences(caller: Counter, doors: Doors) -> ListedDifferences:
    """What is open between the caller's files and the city's register."""
    with reading(doors.engine) as conn:
        return ListedDifferences(items=[_listed(one) for one in open_differences(conn, caller.participant)])


def _prefix(caller: Caller) -> str:
    return f"bill:{caller.participant}:"


def _reconciled(answer: Reconciled) -> ReconciledView:
    return ReconciledView(
        biller=answer.biller,
        business_date=answer.business_date,
        issue=answer.issue,
        ours_count=answer.ours_count,
        ours_fen=answer.ours_fen,
        theirs_count=answer.theirs_count,
        theirs_fen=answer.theirs_fen,
        agrees=answer.agrees,
        agreed=answer.agreed,
        differences=[DifferenceView(**asdict(one)) for one in answer.differences],
    )


def _listed(one: ListedDifference) -> ListedView:
    return ListedView(
        **asdict(one.difference),
        business_date=one.business_date,
        found_at=one.found_at,
        issue=one.issue,
    )
