"""Reconciliation: files against taps against the books, chips against purses, instructions against the bank,
and the list of what billers, the insurer and other cities have yet to say.

Tolerance is zero fen. Totals come first; where they differ, both sides are shown. What operators presented
must agree with the books or the night stops; what a chip says may differ from its purse for reasons, which
are listed to the fen. What institutions say of the day, or do not say, stops nothing: `settlement.peers`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, func, select

from clearing.context import Night, StepRefused, StepResult
from clearing.interop.applying import ENTRY_KIND as INTEROP
from clearing.tables import batch_file, tap
from clearing.verdict import Money
from ledger.accounts import segment_of
from ledger.archive import Archive
from ledger.db import asked_both, reading
from ledger.ids import numbers_of
from ledger.line_sums import sums_by_kind
from ledger.snapshots import total_fen
from settlement.bank.outcomes import BANK_COLUMNS, POINT_COLUMNS, bank_row, point_row
from settlement.bank.points import morning_after, points_of
from settlement.bank_files import decimal_yuan
from settlement.chips import CHIP_COLUMNS, Reason, chip_differences, compared_chips
from settlement.day_end import NETTED
from settlement.day_lines import is_archived, lines_by_account
from settlement.files import write_csv
from settlement.instructions import UNDECIDED, not_done
from settlement.peers import waiting_file, waiting_items

STAGE_COLUMNS: Final = (
    "operator", "files", "records in files", "taps", "yuan in files", "presented yuan", "paid yuan",
    "booked yuan", "agrees",
)  # fmt: skip
OF_TAPS: Final = ("clearing", INTEROP)
"""Kinds of entries that bring an operator, or a centre, what its taps are paid."""


@dataclass(frozen=True, slots=True)
class Stages:
    """One operator's night at each stage, in records and fen."""

    operator: str
    files: int = 0
    records: int = 0
    filed_fen: int = 0
    taps: int = 0
    presented_fen: int = 0
    paid_fen: int = 0
    booked_fen: int = 0

    @property
    def agrees(self) -> bool:
        """Whether everything in the files became a tap, and everything paid is booked."""
        return (self.records, self.filed_fen, self.paid_fen) == (
            self.taps,
            self.presented_fen,
            self.booked_fen,
        )


def reconcile(engine: Engine, night: Night) -> StepResult:
    """Hold each side against the other, list differences, refuse where operators' money does not agree."""
    day, folder = night.business_date, night.folder / "out" / "reports"
    # The date takes no more entries, so that the two long ones may have a snapshot each.
    stages, chips = asked_both(
        engine,
        lambda conn: operator_stages(conn, day, night.ledger_archive),
        lambda conn: chip_differences(conn, day, night.ledger_archive),
    )
    morning = morning_after(day)
    with reading(engine) as conn:
        compared = compared_chips(conn)
        points = points_of(conn, morning)
        waiting = not_done(conn)
        unanswered = waiting_items(conn, day)
    files = (
        write_csv(folder / "reconciliation.csv", STAGE_COLUMNS, map(_stage_row, stages)),
        write_csv(folder / "chips.csv", CHIP_COLUMNS, (one.row() for one in chips)),
        write_csv(folder / "bank.csv", BANK_COLUMNS, (bank_row(one, day, points) for one in waiting)),
        write_csv(folder / "bank_points.csv", POINT_COLUMNS, (point_row(one, morning) for one in points)),
        waiting_file(folder, day, unanswered),
    )
    wrong = [one for one in stages if not one.agrees]
    if wrong:
        raise StepRefused(
            "reconcile",
            "; ".join(_in_words(one) for one in wrong[:3])
            + (f"; and {len(wrong) - 3} more" if wrong[3:] else ""),
            f"see {files[0]}; find what was lost between the stages that differ, then run again",
        )
    return StepResult(
        {
            "operators": len(stages),
            "chips": compared,
            "chips_differing": len(chips),
            "chips_unexplained": sum(one.reason is Reason.UNEXPLAINED for one in chips),
            "awaiting_bank": sum(one.state in UNDECIDED for one in waiting),
            "bank_points": len(points),
            "waiting_for_peers": len(unanswered),
        },
        files,
    )


def operator_stages(conn: Connection, business_date: date, archive: Archive | None = None) -> list[Stages]:
    """What operators presented, what became of it, and what the books say of this night, by operator.

    Of a date in an archived month the books are read from `archive`; LinesArchived says that it is needed.
    """
    found: dict[str, dict[str, Any]] = {}
    for names, query in _stage_queries(business_date):
        for operator, *values in conn.execute(query):
            found.setdefault(operator, {}).update(zip(names, values, strict=True))
    for operator, booked_fen in _booked(conn, business_date, archive).items():
        found.setdefault(operator, {})["booked_fen"] = booked_fen
    return [Stages(operator, **found[operator]) for operator in sorted(found)]


def _stage_queries(business_date: date) -> Iterator[tuple[tuple[str, ...], Select[Any]]]:
    files, taps = batch_file.c, tap.c
    cleared = files.cleared_on == business_date
    yield (
        ("files", "records", "filed_fen"),
        select(files.operator, func.count(), total_fen(files.record_count), total_fen(files.amount_fen))
        .where(cleared)
        .group_by(files.operator),
    )
    yield (
        ("taps", "presented_fen"),
        select(taps.operator, func.count(), total_fen(taps.amount_fen))
        .join(batch_file, (files.operator == taps.operator) & (files.sequence == taps.sequence))
        # None of them can have been decided earlier; it tells the database which taps to look through.
        .where(cleared, taps.decided_on >= business_date)
        .group_by(taps.operator),
    )
    yield (
        ("paid_fen",),
        select(taps.operator, total_fen(taps.paid_fen))
        .where(taps.decided_on == business_date, taps.money == Money.PAID)
        .group_by(taps.operator),
    )


def _booked(conn: Connection, business_date: date, archive: Archive | None) -> dict[str, int]:
    """What taps brought to operators in the books on a date, in fen by operator."""
    booked: dict[str, int] = {}
    if not is_archived(conn, business_date):
        moved = sums_by_kind(conn, *numbers_of(business_date), apart=NETTED)
        for (kind, _, credited), fen in moved.items():
            if kind in OF_TAPS and segment_of(credited) in NETTED:
                booked[credited] = booked.get(credited, 0) + fen
    else:
        for one in lines_by_account(conn, business_date, NETTED, archive):
            if one.kind in OF_TAPS and one.own == one.credited:
                booked[one.own] = booked.get(one.own, 0) + one.amount_fen
    return {code.partition(":")[2]: booked_fen for code, booked_fen in booked.items()}


def _stage_row(one: Stages) -> Sequence[object]:
    amounts = (one.filed_fen, one.presented_fen, one.paid_fen, one.booked_fen)
    verdict = "yes" if one.agrees else "NO"
    return (one.operator, one.files, one.records, one.taps, *map(decimal_yuan, amounts), verdict)


def _in_words(one: Stages) -> str:
    return (
        f"{one.operator}: files hold {one.records} records of {one.filed_fen} fen, taps are {one.taps} of "
        f"{one.presented_fen} fen; {one.paid_fen} fen are paid, {one.booked_fen} fen booked"
    )
