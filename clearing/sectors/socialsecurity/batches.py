"""Benefit batches from upload to the second person's word; paying them is `payout`'s."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, insert, select, update

from clearing.sectors.socialsecurity.benefit_file import BenefitFile, Pocket
from clearing.sectors.socialsecurity.directory import Directory
from clearing.sectors.socialsecurity.funds import standing_of
from clearing.sectors.socialsecurity.sheet import masked
from clearing.sectors.socialsecurity.tables import benefit_batch, benefit_line, benefit_outcome
from ledger.bulk import insert_rows

MAX_REASON = 200


class BatchState(StrEnum):
    """Where a batch is: received waits for a second person, approved for its payment."""

    RECEIVED = "received"
    APPROVED = "approved"
    REJECTED = "rejected"
    PAID = "paid"


class BatchRefusal(StrEnum):
    """Why a batch is not taken, checked or paid, in order of precedence: the first that applies."""

    OTHER_AGENCY = "other_agency"
    BATCH_UNKNOWN = "batch_unknown"
    NUMBER_TAKEN = "batch_number_taken"
    FUND_UNKNOWN = "fund_unknown"
    SAME_PERSON = "same_person"
    REASON_MISSING = "reason_missing"
    WRONG_STATE = "batch_wrong_state"
    DAY_NOT_OPEN = "day_not_open"
    FUND_SHORT = "fund_short"


class Return(StrEnum):
    """Why a line was not paid, in order of precedence: the first that applies. A later batch may repeat it."""

    ALREADY_PAID = "already_paid"
    HOLDER_UNKNOWN = "holder_unknown"
    HOLDER_LOCKED = "holder_locked"
    POCKET_CLOSED = "pocket_closed"
    LEDGER_REFUSES = "ledger_refuses"


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch as it stands; `available_fen` is what its fund was good for just before it was paid."""

    agency: str
    number: str
    fund: str
    programme: str
    digest: str
    line_count: int
    total_fen: int
    made_by: str
    made_at: datetime
    state: BatchState
    checked_by: str | None
    checked_at: datetime | None
    why_rejected: str | None
    business_date: date | None
    paid_at: datetime | None
    available_fen: int | None
    paid_fen: int | None


@dataclass(frozen=True, slots=True)
class BatchTaken:
    """What was asked is so; `first_time` is False where it was so before."""

    batch: BatchRecord
    first_time: bool


@dataclass(frozen=True, slots=True)
class BatchRefused:
    """What was asked changed nothing; `amount_fen` is what the fund lacks, if that is why."""

    number: str
    reason: BatchRefusal
    message: str
    amount_fen: int = 0


BatchAnswer = BatchTaken | BatchRefused


@dataclass(frozen=True, slots=True)
class LineRecord:
    """A line with its result: `paid` is None before the payment; a returned one says why."""

    line: int
    claim: str
    holder: str | None
    identity_masked: str
    pocket: Pocket
    amount_fen: int
    memo: str
    paid: bool | None
    returned: Return | None


def receive(
    conn: Connection,
    directory: Directory,
    file: BenefitFile,
    *,
    agency: str,
    made_by: str,
    business_date: date,
    at: datetime,
) -> BatchAnswer:
    """File a batch that `made_by` of `agency` has sent, to wait for a second person.

    The same file again is answered as before; another under its number is refused. Identity numbers are not
    kept: a line holds the holder's id, or a masked number where nobody here has it.
    """
    if file.agency != agency:
        return _refused(
            file.number,
            BatchRefusal.OTHER_AGENCY,
            f"agency {file.agency} is not yours, {agency}; send your own batches",
        )
    held = batch_of(conn, agency, file.number)
    if held is not None:
        if held.digest == file.digest:
            return BatchTaken(held, first_time=False)
        return _refused(
            file.number,
            BatchRefusal.NUMBER_TAKEN,
            f"number {file.number} is another file, {held.digest[:16]}, not {file.digest[:16]}; "
            "give the new one a number of its own",
        )
    standing = standing_of(conn, file.fund, business_date)
    if standing is None or standing.agency != agency:
        return _refused(
            file.number,
            BatchRefusal.FUND_UNKNOWN,
            f"fund {file.fund} has no agreement with {agency} on {business_date}; name one of your funds",
        )
    _file(conn, directory, file, made_by, at)
    return BatchTaken(_known(conn, agency, file.number), first_time=True)


def approve(conn: Connection, *, agency: str, number: str, checked_by: str, at: datetime) -> BatchAnswer:
    """Let a batch be paid; the person who sent it cannot."""
    return _check(conn, agency, number, checked_by, BatchState.APPROVED, None, at)


def reject(
    conn: Connection, *, agency: str, number: str, checked_by: str, why: str, at: datetime
) -> BatchAnswer:
    """Refuse a batch for good, with a reason; the person who sent it cannot."""
    return _check(conn, agency, number, checked_by, BatchState.REJECTED, why.strip(), at)


def batch_of(conn: Connection, agency: str, number: str) -> BatchRecord | None:
    """A batch of an agency, or None."""
    columns = benefit_batch.c
    query = select(benefit_batch).where(columns.agency == agency, columns.number == number)
    row = conn.execute(query).mappings().one_or_none()
    return None if row is None else BatchRecord(**{**row, "state": BatchState(row["state"])})


def lines_of(
    conn: Connection, agency: str, number: str, *, after: int = 0, limit: int = 1_000
) -> list[LineRecord]:
    """The lines of a batch beyond line `after` of its file, each with its result."""
    columns = benefit_line.c
    query = (
        _LINES.where(columns.agency == agency, columns.number == number, columns.line > after)
        .order_by(columns.line)
        .limit(limit)
    )
    return [_line(row) for row in conn.execute(query)]


def returned_of(conn: Connection, agency: str) -> list[tuple[str, LineRecord]]:
    """Lines that came back and whose claim was not paid since, with the number of their batch.

    A claim that came back more than once is listed with each of its batches.
    """
    paid = benefit_outcome.alias("paid")
    paid_since = (
        select(paid.c.claim)
        .where(paid.c.agency == agency, paid.c.claim == benefit_line.c.claim, paid.c.outcome == "paid")
        .exists()
    )
    query = (
        _LINES.add_columns(benefit_line.c.number)
        .where(benefit_line.c.agency == agency, benefit_outcome.c.outcome == "returned", ~paid_since)
        .order_by(benefit_line.c.number, benefit_line.c.line)
    )
    return [(row.number, _line(row)) for row in conn.execute(query)]


_OF_LINE = and_(*(benefit_outcome.c[name] == benefit_line.c[name] for name in ("agency", "number", "line")))

_LINES = select(
    *(
        benefit_line.c[name]
        for name in ("line", "claim", "holder", "identity_masked", "pocket", "amount_fen", "memo")
    ),
    benefit_outcome.c.outcome,
    benefit_outcome.c.reason,
).select_from(benefit_line.outerjoin(benefit_outcome, _OF_LINE))


def _line(row: Any) -> LineRecord:
    return LineRecord(
        line=row.line,
        claim=row.claim,
        holder=row.holder,
        identity_masked=row.identity_masked,
        pocket=Pocket(row.pocket),
        amount_fen=row.amount_fen,
        memo=row.memo,
        paid=None if row.outcome is None else row.outcome == "paid",
        returned=Return(row.reason) if row.reason else None,
    )


def _file(conn: Connection, directory: Directory, file: BenefitFile, made_by: str, at: datetime) -> None:
    holders = directory.holders(conn, [line.identity_no for line in file.lines])
    conn.execute(
        insert(benefit_batch).values(
            agency=file.agency,
            number=file.number,
            fund=file.fund,
            programme=file.programme,
            digest=file.digest,
            line_count=len(file.lines),
            total_fen=file.total_fen,
            made_by=made_by,
            made_at=at,
            state=BatchState.RECEIVED.value,
        )
    )
    rows = []
    for line in file.lines:
        holder = holders.get(line.identity_no)
        shown = "" if holder else masked(line.identity_no)
        key = (file.agency, file.number, line.line, line.claim)
        rows.append((*key, holder, shown, line.pocket.value, line.amount_fen, line.memo))
    insert_rows(conn, benefit_line, rows)


def _check(
    conn: Connection,
    agency: str,
    number: str,
    checked_by: str,
    wanted: BatchState,
    why: str | None,
    at: datetime,
) -> BatchAnswer:
    held = batch_of(conn, agency, number)
    if held is None:
        return unknown(agency, number)
    refusal = _refusal_of_check(held, checked_by, wanted, why)
    if refusal is not None:
        return refusal
    if held.state is not BatchState.RECEIVED:
        return BatchTaken(held, first_time=False)
    columns = benefit_batch.c
    conn.execute(
        update(benefit_batch)
        .where(columns.agency == agency, columns.number == number)
        .values(state=wanted.value, checked_by=checked_by, checked_at=at, why_rejected=why)
    )
    return BatchTaken(_known(conn, agency, number), first_time=True)


def _refusal_of_check(
    held: BatchRecord, checked_by: str, wanted: BatchState, why: str | None
) -> BatchRefused | None:
    if checked_by == held.made_by:
        message = f"batch {held.number} was sent by {checked_by}; let another person check it"
        return _refused(held.number, BatchRefusal.SAME_PERSON, message)
    if why is not None and not 1 <= len(why) <= MAX_REASON:
        message = f"a reason of {len(why)} characters does not explain; give 1 to {MAX_REASON}"
        return _refused(held.number, BatchRefusal.REASON_MISSING, message)
    # A paid batch was approved first: the person who did so may say it again.
    same = wanted is held.state or (wanted is BatchState.APPROVED and held.state is BatchState.PAID)
    repeated = same and (held.checked_by, held.why_rejected) == (checked_by, why)
    if held.state is BatchState.RECEIVED or repeated:
        return None
    message = f"batch {held.number} is {held.state} by {held.checked_by}; that stands"
    return _refused(held.number, BatchRefusal.WRONG_STATE, message)


def unknown(agency: str, number: str) -> BatchRefused:
    """The answer about a batch that is not there."""
    message = f"agency {agency} has sent no batch {number}; send it first, or look at the number again"
    return _refused(number, BatchRefusal.BATCH_UNKNOWN, message)


def _refused(number: str, reason: BatchRefusal, message: str) -> BatchRefused:
    return BatchRefused(number, reason, message)


def _known(conn: Connection, agency: str, number: str) -> BatchRecord:
    found = batch_of(conn, agency, number)
    if found is None:
        raise LookupError(f"batch {number} of {agency} has gone; it was there a moment ago")
    return found
