"""Contribution bills as their agency brings them, takes them back and gives what was paid on them back."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import Connection

from api.http.access import Caller, institution
from api.http.idempotency import Answer, Once, once
from api.http.problems import documented, problem
from api.http.sheets import CSV, File, Why, flawed
from api.http.social_security import Number, contribution_problem
from api.http.state import Deps, deps
from clearing.online.reversal import ReversalRefusal
from clearing.sectors.socialsecurity.bill_file import read_bill_file
from clearing.sectors.socialsecurity.bills import BillState, IssueRefused, issue, withdraw
from clearing.sectors.socialsecurity.contributions import ContributionRefused, cancel_contribution
from clearing.sectors.socialsecurity.directory import HolderDirectory
from clearing.sectors.socialsecurity.sheet import Flawed
from ledger.day import current_day

router = APIRouter()

Maker = Annotated[Caller, Depends(institution("agency:write"))]
Checker = Annotated[Caller, Depends(institution("agency:approve"))]
Doors = Annotated[Deps, Depends(deps)]


class BillAnswer(BaseModel):
    """What became of one bill of a file: `refused` says why it was not taken, `detail` what to do."""

    line: int
    number: str
    taken: bool
    first_time: bool
    refused: str | None = None
    detail: str | None = None


class BillStanding(BaseModel):
    """A bill after it was withdrawn or given back."""

    number: str
    state: str


@router.post(
    "/agency/contribution-bills",
    response_model=list[BillAnswer],
    responses=documented("file_flawed"),
    openapi_extra=CSV,
)
def bring_bills(body: File, caller: Maker, doors: Doors) -> list[BillAnswer]:
    """Bring contribution bills, each answered for itself. The same bill again changes nothing."""
    file = read_bill_file(body)
    if isinstance(file, Flawed):
        raise flawed(file)
    directory = HolderDirectory(doors.vault)
    answers = doors.writer.write(
        lambda conn: issue(conn, directory, file, agency=caller.participant, at=doors.now())
    )
    return [
        BillAnswer(
            line=one.line, number=one.number, taken=False, first_time=False, refused=one.reason.value,
            detail=one.message,
        )
        if isinstance(one, IssueRefused)
        else BillAnswer(line=one.line, number=one.number, taken=True, first_time=one.first_time)
        for one in answers
    ]  # fmt: skip


@router.post(
    "/agency/contribution-bills/{number}/withdrawal",
    response_model=BillStanding,
    responses=documented("contribution_unknown", "contribution_paid"),
)
def withdraw_bill(number: Number, caller: Maker, doors: Doors) -> BillStanding:
    """Take an open bill back; a paid one is given back instead."""
    state = doors.writer.write(lambda conn: withdraw(conn, caller.participant, number, at=doors.now()))
    if state is None:
        raise problem("contribution_unknown", f"there is no bill {number} of yours; look at the number again")
    if state is BillState.PAID:
        raise problem("contribution_paid", f"bill {number} is paid; give the contribution back instead")
    return BillStanding(number=number, state=state.value)


@router.post(
    "/agency/contribution-bills/{number}/repayment",
    response_model=BillStanding,
    responses=documented("contribution_unknown", "contribution_not_paid", ReversalRefusal),
)
def repay(
    number: Number, body: Why, caller: Checker, doors: Doors, key: Annotated[Once, Depends(once)]
) -> Response:
    """Give a contribution back to its payer: the bill is open again, its months unpaid."""

    def work(conn: Connection) -> Answer:
        answer = cancel_contribution(
            conn,
            agency=caller.participant,
            number=number,
            business_date=current_day(conn),
            event_at=doors.now(),
            why=body.reason,
            at=doors.now(),
        )
        if isinstance(answer, ContributionRefused):
            raise contribution_problem(answer)
        return Answer(200, BillStanding(number=number, state=answer.bill.state.value))

    return key.in_transaction(caller.subject, work)
