"""Hospital bills: who pays what (preview), pay it (settle), ask about it, take it back (cancel).

A hospital's own number of a bill is unique within the hospital, and no client reaches another's bills.
"""

from datetime import date, datetime
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, StringConstraints

from api.http.access import Caller, institution
from api.http.fields import MOST_FEN, Body, Currency, HolderId, Text
from api.http.idempotency import Answer, Once, once
from api.http.problems import Problem, documented, problem, refused
from api.http.state import Deps, deps
from clearing.sectors.healthcare.bill_book import bill_of, open_bills
from clearing.sectors.healthcare.bills import (
    MOST_ITEMS,
    Agreed,
    Bill,
    BillRecord,
    BillRefusal,
    BillRefused,
)
from clearing.sectors.healthcare.cashier import Cashier
from clearing.sectors.healthcare.claims import OPEN, State
from clearing.sectors.healthcare.insurer import Insurer
from clearing.sectors.healthcare.policy import WHOLE_BP, CatalogueClass, Category, Item, Policy, Split
from clearing.sectors.healthcare.policy_file import read_policies
from ledger.db import reading

router = APIRouter(prefix="/v1/hospital", tags=["hospital"])

Hospital = Annotated[Caller, Depends(institution("hospital:write"))]
BillNo = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$")]
ItemCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,31}$")]
Reason = Annotated[Text, Field(min_length=1)]


class ItemBody(Body):
    """A line of a bill; `first_share_bp` is of class B only."""

    code: ItemCode
    catalogue_class: CatalogueClass
    amount_fen: int = Field(strict=True, ge=1, le=MOST_FEN)
    first_share_bp: int = Field(default=0, strict=True, ge=0, le=WHOLE_BP)


class BillBody(Body):
    """What the hospital charges; `bill_no` is its own number for it."""

    bill_no: BillNo
    holder: HolderId
    treated_on: date
    items: list[ItemBody] = Field(min_length=1, max_length=MOST_ITEMS)
    currency: Currency = "CNY"


class AgreedBody(Body):
    """Who pays what, as the preview said and the patient agreed to."""

    fund_fen: int = Field(strict=True, ge=0, le=MOST_FEN)
    account_fen: int = Field(strict=True, ge=0, le=MOST_FEN)
    patient_fen: int = Field(strict=True, ge=0, le=MOST_FEN)


class SettleBody(BillBody):
    """A bill to be paid as agreed."""

    agreed: AgreedBody


class CancelBody(Body):
    """Why a bill is taken back."""

    reason: Reason


class SplitView(BaseModel):
    """Who pays (fund, account, patient), and why the fund does not pay all (the five parts)."""

    total_fen: int
    fund_fen: int
    account_fen: int
    patient_fen: int
    deductible_fen: int
    co_payment_fen: int
    first_share_fen: int
    above_ceiling_fen: int
    not_covered_fen: int
    currency: Currency = "CNY"


class BillView(BaseModel):
    """A bill as it stands; `why` says in words what made it go otherwise, where it did."""

    bill_no: str
    state: State
    why: str
    holder: str
    treated_on: date
    category: Category
    level: int
    policy_version: int
    split: SplitView
    insurer_no: str
    opened_at: datetime
    paid_at: datetime | None
    changed_at: datetime


class WaitingView(BaseModel):
    """The caller's bills that wait for the insurer, oldest first."""

    items: list[BillView]


@router.post(
    "/bills/preview",
    response_model=SplitView,
    responses=documented(BillRefusal, "peer_unavailable"),
)
def preview(body: BillBody, caller: Hospital, doors: Annotated[Deps, Depends(deps)]) -> SplitView:
    """Show who would pay what of a bill; nothing is booked."""
    answer = _cashier(doors).preview(_bill(caller, body), at=doors.now())
    if isinstance(answer, BillRefused):
        raise _refused(answer)
    return _split(answer)


@router.post(
    "/bills",
    status_code=201,
    response_model=BillView,
    responses=documented(BillRefusal, "peer_unavailable")
    | {202: {"model": BillView, "description": "The insurer has not answered: ask about the bill later"}},
)
def settle(
    body: SettleBody,
    caller: Hospital,
    doors: Annotated[Deps, Depends(deps)],
    key: Annotated[Once, Depends(once)],
) -> Response:
    """Have the insurer pay its part, then book all parts as agreed. `state` tells what came of it.

    The same bill again, under whatever key, is paid once.
    """
    agreed = Agreed(body.agreed.fund_fen, body.agreed.account_fen, body.agreed.patient_fen)

    def work() -> Answer:
        return _stands(_cashier(doors).settle(_bill(caller, body), agreed, at=doors.now()), 201)

    return key.around(caller.subject, work)


@router.get("/bills/{bill_no}", response_model=BillView, responses=documented("bill_unknown"))
def one(bill_no: BillNo, caller: Hospital, doors: Annotated[Deps, Depends(deps)]) -> BillView:
    """One of the caller's bills, as it stands."""
    with reading(doors.engine) as conn:
        found = bill_of(conn, _reference(caller, bill_no))
    if found is None:
        raise problem("bill_unknown", f"bill {bill_no} is not among yours; check its number")
    return _view(found)


@router.post(
    "/bills/{bill_no}/question",
    response_model=BillView,
    responses=documented("bill_unknown", "peer_unavailable")
    | {202: {"model": BillView, "description": "The insurer has still not answered"}},
)
def ask(bill_no: BillNo, caller: Hospital, doors: Annotated[Deps, Depends(deps)]) -> Response:
    """Ask the insurer what became of a bill that waits for it; it is never asked to pay again."""
    answer = _stands(_cashier(doors).ask_again(_reference(caller, bill_no), at=doors.now()), 200)
    return JSONResponse(answer.body.model_dump(mode="json"), answer.status)


@router.post(
    "/bills/{bill_no}/cancellation",
    status_code=201,
    response_model=BillView,
    responses=documented("bill_unknown", "nothing_to_cancel", "peer_unavailable")
    | {202: {"model": BillView, "description": "The insurer has not confirmed: it is asked again"}},
)
def cancel(
    bill_no: BillNo,
    body: CancelBody,
    caller: Hospital,
    doors: Annotated[Deps, Depends(deps)],
    key: Annotated[Once, Depends(once)],
) -> Response:
    """Take a bill back at the insurer, then give every pocket its part back, once."""

    def work() -> Answer:
        reference = _reference(caller, bill_no)
        return _stands(_cashier(doors).cancel(reference, why=body.reason, at=doors.now()), 201)

    return key.around(caller.subject, work)


@router.get("/waiting", response_model=WaitingView)
def waiting(caller: Hospital, doors: Annotated[Deps, Depends(deps)]) -> WaitingView:
    """The caller's bills that wait for the insurer."""
    with reading(doors.engine) as conn:
        return WaitingView(items=[_view(bill) for bill in open_bills(conn, caller.participant)])


@cache
def policies() -> tuple[Policy, ...]:
    """The policies that come with the program."""
    return read_policies()


def _cashier(doors: Deps) -> Cashier:
    insurer = doors.peers.get("insurer")
    if not isinstance(insurer, Insurer):
        raise problem("peer_unavailable", "no insurer is connected to this city; tell its operations")
    return Cashier(doors.engine, insurer, policies(), doors.writer)


def _bill(caller: Caller, body: BillBody) -> Bill:
    items = tuple(
        Item(item.code, item.catalogue_class, item.amount_fen, item.first_share_bp) for item in body.items
    )
    return Bill(caller.participant, body.bill_no, body.holder, body.treated_on, items)


def _reference(caller: Caller, bill_no: str) -> str:
    return Bill(caller.participant, bill_no, "", date.min, ()).reference


def _stands(answer: BillRecord | BillRefused, status: int) -> Answer:
    if isinstance(answer, BillRefused):
        raise _refused(answer)
    return Answer(202 if answer.state in OPEN else status, _view(answer))


def _refused(answer: BillRefused) -> Problem:
    """The problem of a refusal; what a pocket lacks is the holder's affair, so it is not said."""
    if answer.reason is BillRefusal.INSUFFICIENT:
        return problem("insufficient", "the wallet does not hold the patient's part; top it up first")
    return refused(answer)


def _view(bill: BillRecord) -> BillView:
    return BillView(
        bill_no=bill.bill_no,
        state=bill.state,
        why=bill.why,
        holder=bill.holder,
        treated_on=bill.treated_on,
        category=bill.category,
        level=bill.level,
        policy_version=bill.policy_version,
        split=_split(bill),
        insurer_no=bill.insurer_no,
        opened_at=bill.opened_at,
        paid_at=bill.paid_at,
        changed_at=bill.changed_at,
    )


def _split(given: Split | BillRecord) -> SplitView:
    parts_fen = {name: getattr(given, name) for name in SplitView.model_fields if name.endswith("_fen")}
    return SplitView(**parts_fen)
