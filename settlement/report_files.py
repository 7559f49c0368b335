"""The night's reports as files: statements, trial balance, positions, exceptions, the summary."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, Select, Table, and_, func, literal, or_, select

from clearing.atomic_files import write_bytes
from clearing.context import Night, StepProgress, StepResult
from clearing.online.qr_tables import qr_ride
from clearing.qr_verdict import QrVerdict
from clearing.tables import batch_file, rejected_file, tap
from clearing.terminal_watch import WATCHED_COLUMNS, watched_rows
from clearing.verdict import Money, Verdict
from clearing.wire.names import batch_name, qr_batch_name
from ledger.db import asked_together, reading
from settlement.account_statements import write_account_statements
from settlement.bank.reserve import ReserveRow, reserve_report
from settlement.bank_files import decimal_yuan
from settlement.files import write_csv
from settlement.instructions import instructed_on
from settlement.netting import Position, Role
from settlement.participants import participants_of
from settlement.positions import positions_of
from settlement.reports import NightSummary, VerdictTotal, night_summary
from settlement.statement_lines import Rides, city_time, night_rides
from settlement.statements import Statement, write_statement

_FETCH_ROWS: Final = 5_000
EXCEPTION_COLUMNS: Final = (
    "exception", "operator", "file", "record", "card", "counter", "time", "amount yuan", "money",
    "first presented", "age days", "what", "remedy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of the night's reports: their files, and what is counted of them."""

    files: tuple[Path, ...]
    counts: Mapping[str, int]


def report(engine: Engine, night: Night) -> StepResult:
    """Write everything that participants and finance get of this night."""
    with reading(engine) as conn:
        statements = _statements(conn, night.business_date)
    progress = StepProgress(night, "statements", len(statements))
    # The date takes no more entries, so that each part may have a snapshot of its own; the longest come first.
    questions = [
        partial(_accounts, night=night),
        partial(_exceptions, night=night),
        *(partial(_statement, statement=one, night=night, progress=progress) for one in statements),
        partial(_sheets, night=night),
    ]
    parts = asked_together(engine, questions)
    counts = {name: count for part in parts for name, count in part.counts.items()}
    files = tuple(sorted(path for part in parts for path in part.files))
    return StepResult({"statements": len(statements)} | counts, files)


def _accounts(conn: Connection, night: Night) -> _Part:
    files = write_account_statements(
        conn,
        night.business_date,
        night.folder / "out" / "accounts",
        made_at=night.at,
        archive=night.ledger_archive,
    )
    return _Part(tuple(files), {"accounts": len(files) // 2})


def _sheets(conn: Connection, night: Night) -> _Part:
    summary = night_summary(conn, night.business_date)
    reserve = reserve_report(conn, night.business_date, night.ledger_archive)
    reports = _reports(night)
    files = (
        write_csv(reports / "trial_balance.csv", _TRIAL_COLUMNS, _trial_rows(summary)),
        write_csv(reports / "positions.csv", _POSITION_COLUMNS, map(_position_row, summary.positions)),
        write_csv(reports / "reserve.csv", _RESERVE_COLUMNS, map(_reserve_row, reserve.rows)),
        write_bytes(reports / "summary.json", summary_json(summary)),
    )
    return _Part(files, {"trial_difference_fen": summary.difference_fen})


def _exceptions(conn: Connection, night: Night) -> _Part:
    reports = _reports(night)
    exceptions = _Counted(exception_rows(conn, night.business_date))
    files = (
        write_csv(reports / "exceptions.csv", EXCEPTION_COLUMNS, exceptions),
        write_csv(reports / "terminals.csv", WATCHED_COLUMNS, watched_rows(conn, night.business_date)),
    )
    return _Part(files, {"exceptions": exceptions.count})


def _reports(night: Night) -> Path:
    return night.folder / "out" / "reports"


class _Counted:
    """Rows that are counted as they pass by."""

    def __init__(self, rows: Iterable[Sequence[object]]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Sequence[object]]:
        for row in self._rows:
            self.count += 1
            yield row


def exception_rows(conn: Connection, business_date: date) -> Iterator[Sequence[object]]:
    """Rows of EXCEPTION_COLUMNS: what is suspended, what this night did not simply accept, files, gaps."""
    yield from _ride_exceptions(conn, tap, business_date, batch_name, (tap.c.card_no, tap.c.counter))
    # As in statements, a code says which it was, and not whose.
    code = qr_ride.c.serial.concat(":").concat(qr_ride.c.nonce), literal("")
    yield from _ride_exceptions(conn, qr_ride, business_date, qr_batch_name, code)
    query = select(rejected_file).where(rejected_file.c.collected_on == business_date)
    for row in conn.execute(query.order_by(rejected_file.c.name, rejected_file.c.digest)):
        what = row.message.removesuffix(f"; {row.remedy}")
        yield ("file_rejected", "", row.name, *_blank(6), row.collected_on, 0, what, row.remedy)
    yield from _missing_files(conn, business_date)


def summary_json(summary: NightSummary) -> bytes:
    """The summary as JSON, amounts in fen; the same night gives the same bytes."""
    content = {
        "business_date": summary.business_date.isoformat(),
        "booked_at": summary.booked_at.isoformat() if summary.booked_at else None,
        "steps": [{"step": one.step, "counts": dict(one.counts)} for one in summary.steps],
        "files_accepted": summary.files_accepted,
        "files_rejected": summary.files_rejected,
        "presented": summary.presented,
        "by_money": dict(summary.taps_by_money),
        "verdicts": [_verdict(row, "taps") for row in summary.verdicts],
        "code_verdicts": [_verdict(row, "rides") for row in summary.code_verdicts],
        "operators": [
            {
                "participant": row.participant,
                "name": row.name,
                "gross_fen": row.gross_fen,
                "fee_fen": row.fee_fen,
                "net_fen": row.net_fen,
                "standing": row.standing,
                "end_to_end_id": row.end_to_end_id,
                "value_date": row.value_date.isoformat() if row.value_date else None,
            }
            for row in summary.operators
        ],
        "purse_liabilities_fen": summary.purse_liabilities_fen,
        "pending_loads_fen": summary.pending_loads_fen,
        "trial_balance_difference_fen": summary.difference_fen,
    }
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"


def _verdict(row: VerdictTotal, counted: str) -> dict[str, object]:
    return {
        "verdict": row.verdict,
        "money": row.money,
        counted: row.taps,
        "new": row.new,
        "presented_fen": row.presented_fen,
        "paid_fen": row.paid_fen,
    }


def _statements(conn: Connection, business_date: date) -> list[Statement]:
    """What there is a statement of, those with the most lines first."""
    participants = participants_of(conn)
    positions = {row.party: row for row in positions_of(conn, business_date) if row.role is Role.PARTICIPANT}
    instructed = instructed_on(conn, business_date)
    taps, codes = (night_rides(table, conn, business_date) for table in (tap, qr_ride))
    found = (
        Statement(
            business_date,
            operator,
            participants.get(operator),
            positions.get(operator),
            instructed.get(operator),
            taps.get(operator, Rides()),
            codes.get(operator, Rides()),
        )
        for operator in sorted({*taps, *codes, *positions})
    )
    return sorted(found, key=lambda one: sum(row.rides for row in one.taps.totals), reverse=True)


def _statement(conn: Connection, statement: Statement, night: Night, progress: StepProgress) -> _Part:
    files = write_statement(conn, statement, night.folder / "out" / "statements", made_at=night.at)
    progress.add(1)
    return _Part(files, {})


_TRIAL_COLUMNS: Final = (
    "account",
    "kind",
    "debits yuan",
    "credits yuan",
    "debit balance yuan",
    "credit balance yuan",
)
_RESERVE_COLUMNS: Final = ("part", "what", "since", "age days", "yuan")
_POSITION_COLUMNS: Final = ("role", "party", "gross yuan", "fee yuan", "position yuan", "standing")


def _trial_rows(summary: NightSummary) -> Iterator[Sequence[object]]:
    for row in summary.trial_balance:
        yield (
            row.code,
            row.kind,
            decimal_yuan(row.debits_fen),
            decimal_yuan(row.credits_fen),
            decimal_yuan(max(row.net_fen, 0)),
            decimal_yuan(max(-row.net_fen, 0)),
        )
    nets = [row.net_fen for row in summary.trial_balance]
    yield (
        "total",
        "",
        decimal_yuan(sum(row.debits_fen for row in summary.trial_balance)),
        decimal_yuan(sum(row.credits_fen for row in summary.trial_balance)),
        decimal_yuan(sum(net for net in nets if net > 0)),
        decimal_yuan(-sum(net for net in nets if net < 0)),
    )


def _reserve_row(row: ReserveRow) -> Sequence[object]:
    age = "" if row.age_days is None else row.age_days
    return (row.part, row.what, row.since or "", age, decimal_yuan(row.amount_fen))


def _position_row(row: Position) -> Sequence[object]:
    amounts = (decimal_yuan(amount) for amount in (row.gross_fen, row.fee_fen, row.position_fen))
    return (row.role, row.party, *amounts, row.standing)


def _ride_exceptions(
    conn: Connection,
    table: Table,
    business_date: date,
    file_name: Callable[[str, int], str],
    about: tuple[ColumnElement[Any], ColumnElement[Any]],
) -> Iterator[Sequence[object]]:
    """Rides of `tap` or `qr_ride`; `about` are two columns of what they were taken on."""
    query = _not_simply_accepted(table, business_date, about)
    rows = conn.execute(query.execution_options(stream_results=True, yield_per=_FETCH_ROWS))
    for verdict, operator, sequence, position, event_at, amount_fen, money, shown, flaw, *own in rows:
        yield (
            verdict,
            operator,
            file_name(operator, sequence),
            position,
            *own,
            city_time(event_at),
            decimal_yuan(amount_fen),
            money,
            shown,
            (business_date - shown).days,
            flaw or _WHAT.get(verdict, ""),
            "",
        )


def _not_simply_accepted(
    table: Table, business_date: date, about: tuple[ColumnElement[Any], ColumnElement[Any]]
) -> Select[Any]:
    """Rides in `tap` or `qr_ride` still suspended, until decided; the rest on the night that decided it."""
    columns = table.c
    decided = and_(columns.decided_on == business_date, columns.verdict != ACCEPTED)
    return (
        select(
            columns.verdict, columns.operator, columns.sequence, columns.position, columns.event_at,
            columns.amount_fen, columns.money, columns.business_date, columns.flaw, *about,
        )
        .where(or_(columns.money == Money.SUSPENDED, decided))
        .order_by(columns.business_date, columns.operator, columns.sequence, columns.position)
    )  # fmt: skip


def _missing_files(conn: Connection, business_date: date) -> Iterator[Sequence[object]]:
    """Numbers an operator left out below the highest it has sent."""
    table = batch_file.c
    previous = func.coalesce(
        func.lag(table.sequence).over(partition_by=table.operator, order_by=table.sequence), 0
    ).label("previous")
    steps = select(table.operator, table.sequence, previous).subquery()
    query = select(steps).where(steps.c.sequence > steps.c.previous + 1)
    for row in conn.execute(query.order_by(steps.c.operator, steps.c.sequence)):
        first, last = row.previous + 1, row.sequence - 1
        what = f"{last - first + 1} files from number {first} to {last} were never presented"
        name = batch_name(row.operator, first)
        remedy = "ask the operator to send them"
        yield ("file_missing", row.operator, name, *_blank(6), business_date, 0, what, remedy)


def _blank(count: int) -> tuple[Any, ...]:
    return ("",) * count


ACCEPTED: Final = Verdict.ACCEPTED.value
"""Of taps and of rides on codes."""

_WHAT: Final[Mapping[str, str]] = {
    Verdict.DUPLICATE: "presented before with the same content",
    Verdict.DEVICE_UNKNOWN: "the terminal is not registered to this operator",
    Verdict.DEVICE_WITHDRAWN: "the terminal was withdrawn at the time of the tap",
    Verdict.CARD_UNKNOWN: "no such card is registered",
    Verdict.TAC_WRONG: "the card's signature does not verify",
    Verdict.COUNTER_CONFLICT: "another tap of this card has the same counter",
    Verdict.HOTLISTED: "the device had to hold the list that names this card",
    Verdict.CARD_NOT_YET_VALID: "the days of the card, which the device reads from it, had not begun",
    Verdict.CARD_EXPIRED: "the days of the card, which the device reads from it, were over",
    Verdict.HOTLISTED_GRACE: "the card was listed, within the deadline for distributing the list",
    Verdict.TOO_LATE: "older than the presentment window",
    Verdict.AMOUNT_OUT_OF_BOUNDS: "the amount is not one this ride can cost",
    Verdict.ROUTED: "handed to the centre that answers for the card; it has not said yet",
    Verdict.ISSUER_REFUSED: "the centre that answers for the card refused it",
    Verdict.BALANCE_GAP: "a tap before this one was never presented",
    Verdict.PRICE_DIFFERS: "the operator's price is not the tariff's; paid at the lower",
    QrVerdict.SIGNATURE_WRONG: "a signature of the code does not hold",
    QrVerdict.EXPIRED: "the code or its certificate had expired",
    QrVerdict.HOLDER_UNKNOWN: "the code's holder has no wallet here",
    QrVerdict.HOLDER_LOCKED: "the holder had reported a loss",
    QrVerdict.REPLAYED: "another ride was taken on the same code",
}
"""What a verdict means, of taps and of rides on codes: where they share a word, it means the same."""
