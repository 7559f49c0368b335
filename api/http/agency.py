"""Agencies: contribution bills and benefit batches brought as CSV, checked by a second client, paid, looked at.

Maker and checker are clients: an agency gives each of its officers' programs one of its own.
"""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import Connection

from api.http import contribution_bills, social_security
from api.http.access import Caller, institution
from api.http.cursors import Cursor, Limit, page_of, place_of
from api.http.fields import Currency, Page
from api.http.idempotency import Answer, Once, once
from api.http.problems import documented, refused
from api.http.sheets import CSV, File, Why, flawed
from api.http.social_security import Number
from api.http.state import Deps, deps
from clearing.sectors.socialsecurity.batches import (
    BatchAnswer,
    BatchRecord,
    BatchRefusal,
    BatchRefused,
    LineRecord,
    approve,
    batch_of,
    lines_of,
    receive,
    reject,
    returned_of,
    unknown,
)
from clearing.sectors.socialsecurity.benefit_file import read_benefit_file
from clearing.sectors.socialsecurity.directory import HolderDirectory
from clearing.sectors.socialsecurity.funds import funds_of
from clearing.sectors.socialsecurity.payout import pay_batch
from clearing.sectors.socialsecurity.sheet import Flawed
from ledger.day import current_day
from ledger.db import reading

router = APIRouter(prefix="/v1", tags=["social security"])
router.include_router(contribution_bills.router)
router.include_router(social_security.router)

Maker = Annotated[Caller, Depends(institution("agency:write"))]
Checker = Annotated[Caller, Depends(institution("agency:approve"))]
Doors = Annotated[Deps, Depends(deps)]
CHECKED = documented(BatchRefusal)


class BatchView(BaseModel):
    """A batch as it stands."""

    number: str
    fund: str
    programme: str
    state: str
    lines: int
    total_fen: int
    paid_fen: int | None
    currency: Currency = "CNY"
    digest: str
    made_by: str
    made_at: datetime
    checked_by: str | None
    checked_at: datetime | None
    why_rejected: str | None
    business_date: date | None
    paid_at: datetime | None


class LineView(BaseModel):
    """A line with its result; `paid` is null before the payment, `returned` says why one came back."""

    batch: str
    line: int
    claim: str
    holder: str | None
    identity: str
    pocket: str
    amount_fen: int
    memo: str
    paid: bool | None
    returned: str | None


class FundView(BaseModel):
    """What a fund is good for: money sent ahead (below zero: owed to the reserve) and its limit."""

    fund: str
    prefunded_fen: int
    limit_fen: int
    available_fen: int
    currency: Currency = "CNY"


@router.post(
    "/agency/benefit-batches",
    status_code=201,
    response_model=BatchView,
    responses=documented("file_flawed", BatchRefusal),
    openapi_extra=CSV,
)
def bring_batch(body: File, caller: Maker, doors: Doors) -> BatchView:
    """Bring a benefit batch. The same file again is answered as before; all flaws are listed at once."""
    file = read_benefit_file(body)
    if isinstance(file, Flawed):
        raise flawed(file)
    answer = doors.writer.write(
        lambda conn: receive(
            conn,
            HolderDirectory(doors.vault),
            file,
            agency=caller.participant,
            made_by=caller.client_id,
            business_date=current_day(conn),
            at=doors.now(),
        )
    )
    return batch_view(answer)


@router.get(
    "/agency/benefit-batches/{number}", response_model=BatchView, responses=documented("batch_unknown")
)
def one_batch(number: Number, caller: Maker, doors: Doors) -> BatchView:
    """One of the caller's batches."""
    with reading(doors.engine) as conn:
        return _view(_known(conn, caller, number))


@router.get(
    "/agency/benefit-batches/{number}/lines",
    response_model=Page[LineView],
    responses=documented("batch_unknown"),
)
def batch_lines(
    number: Number, caller: Maker, doors: Doors, cursor: Cursor = None, limit: Limit = 50
) -> Page[LineView]:
    """The lines of a batch in the order of its file, each with its result."""
    after = place_of(number, cursor) or 0
    with reading(doors.engine) as conn:
        _known(conn, caller, number)
        rows = lines_of(conn, caller.participant, number, after=after, limit=limit + 1)
    shown, next_cursor = page_of(number, rows, limit, lambda row: row.line)
    return Page(items=[_line(number, row) for row in shown], next_cursor=next_cursor)


@router.get("/agency/returned-benefits", response_model=list[LineView])
def returned(caller: Maker, doors: Doors) -> list[LineView]:
    """Lines that came back and whose claim no later batch has paid; to be sent again in a batch of their own."""
    with reading(doors.engine) as conn:
        return [_line(number, row) for number, row in returned_of(conn, caller.participant)]


@router.post("/agency/benefit-batches/{number}/approval", response_model=BatchView, responses=CHECKED)
def approve_batch(number: Number, caller: Checker, doors: Doors) -> BatchView:
    """Let a batch be paid that another client has brought."""
    answer = doors.writer.write(
        lambda conn: approve(
            conn,
            agency=caller.participant,
            number=number,
            checked_by=caller.client_id,
            at=doors.now(),
        )
    )
    return batch_view(answer)


@router.post("/agency/benefit-batches/{number}/rejection", response_model=BatchView, responses=CHECKED)
def reject_batch(number: Number, body: Why, caller: Checker, doors: Doors) -> BatchView:
    """Refuse a batch for good that another client has brought."""
    answer = doors.writer.write(
        lambda conn: reject(
            conn,
            agency=caller.participant,
            number=number,
            checked_by=caller.client_id,
            why=body.reason,
            at=doors.now(),
        )
    )
    return batch_view(answer)


@router.post("/agency/benefit-batches/{number}/payment", response_model=BatchView, responses=CHECKED)
def pay_approved(
    number: Number, caller: Checker, doors: Doors, key: Annotated[Once, Depends(once)]
) -> Response:
    """Pay an approved batch whole, save lines that come back. After `fund_short`, ask with a new key."""

    def work(conn: Connection) -> Answer:
        answer = pay_batch(
            conn,
            HolderDirectory(doors.vault),
            agency=caller.participant,
            number=number,
            business_date=current_day(conn),
            event_at=doors.now(),
            at=doors.now(),
        )
        return Answer(200, batch_view(answer))

    return key.in_transaction(caller.subject, work)


@router.get("/agency/funds", response_model=list[FundView])
def funds(caller: Maker, doors: Doors) -> list[FundView]:
    """What the caller's funds are good for today."""
    with reading(doors.engine) as conn:
        standings = funds_of(conn, caller.participant, current_day(conn))
    return [
        FundView(
            fund=one.fund,
            prefunded_fen=one.prefunded_fen,
            limit_fen=one.limit_fen,
            available_fen=one.available_fen,
        )
        for one in standings
    ]


def batch_view(answer: BatchAnswer) -> BatchView:
    """The batch that was asked about. Problems: the reasons of BatchRefusal."""
    if isinstance(answer, BatchRefused):
        raise refused(answer)
    return _view(answer.batch)


def _known(conn: Connection, caller: Caller, number: str) -> BatchRecord:
    found = batch_of(conn, caller.participant, number)
    if found is None:
        raise refused(unknown(caller.participant, number))
    return found


def _view(batch: BatchRecord) -> BatchView:
    return BatchView(
        number=batch.number,
        fund=batch.fund,
        programme=batch.programme,
        state=batch.state.value,
        lines=batch.line_count,
        total_fen=batch.total_fen,
        paid_fen=batch.paid_fen,
        digest=batch.digest,
        made_by=batch.made_by,
        made_at=batch.made_at,
        checked_by=batch.checked_by,
        checked_at=batch.checked_at,
        why_rejected=batch.why_rejected,
        business_date=batch.business_date,
        paid_at=batch.paid_at,
    )


def _line(number: str, row: LineRecord) -> LineView:
    return LineView(
        batch=number,
        line=row.line,
        claim=row.claim,
        holder=row.holder,
        identity=row.identity_masked,
        pocket=row.pocket.value,
        amount_fen=row.amount_fen,
        memo=row.memo,
        paid=row.paid,
        returned=None if row.returned is None else row.returned.value,
    )
