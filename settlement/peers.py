"""Billers, the insurer and other cities at night: days compared, lines that differ, what still waits for them.

Whatever they say, or do not say, is listed and taken up again the next night; it never stops one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine

from clearing.context import Night, StepResult
from clearing.interop.reconciliation import compared_on, reconcile_centres
from clearing.interop.waiting import open_files
from clearing.sectors.healthcare.bill_book import open_bills
from clearing.sectors.healthcare.reconciliation import INSURER, kept_day, reconcile_insurer
from clearing.sectors.peer_day import Outcome, PeerDay, Totals
from clearing.sectors.utilities.differences import open_differences
from clearing.sectors.utilities.fetching import reconcile_billers
from clearing.sectors.utilities.notices import due_notices
from clearing.sectors.utilities.reconciliation import files_of_day, standing_payments
from clearing.wire.bcd import CITY_ZONE
from settlement.bank_files import decimal_yuan
from settlement.files import write_csv

DAY_COLUMNS: Final = (
    "peer", "business date", "outcome", "our payments", "our yuan", "their payments", "their yuan",
    "lines differing", "message",
)  # fmt: skip
LINE_COLUMNS: Final = (
    "peer", "business date", "reference", "difference", "our yuan", "their yuan", "what",
)  # fmt: skip
WAITING_COLUMNS: Final = (
    "peer", "waits for", "reference", "business date", "age days", "yuan", "state", "attempts", "last word",
)  # fmt: skip


def reconcile_peers(engine: Engine, night: Night) -> StepResult:
    """Hold every day that is not settled with a biller, the insurer or another city against what they say of it.

    Leaves `peers.csv`, a line a day, and `peer_differences.csv`. What was found is taken into the books with
    the record of the step.
    """
    found = {
        "biller": reconcile_billers(engine, night),
        "insurer": reconcile_insurer(engine, night),
        "centre": reconcile_centres(engine, night),
    }
    days = [one for peers in found.values() for one in peers.days]
    folder = night.folder / "out" / "reports"
    files = (
        write_csv(folder / "peers.csv", DAY_COLUMNS, map(_day_row, days)),
        write_csv(folder / "peer_differences.csv", LINE_COLUMNS, _line_rows(days)),
    )

    def write(conn: Connection) -> None:
        for peers in found.values():
            peers.write(conn)

    return StepResult(peer_counts({who: peers.days for who, peers in found.items()}), files, write)


@dataclass(frozen=True, slots=True)
class WaitingItem:
    """Something that a peer has yet to say: its answer to a notice, to a claim, to a file of another city's taps."""

    peer: str
    waits_for: str
    reference: str
    since: date
    amount_fen: int
    state: str
    attempts: int
    last_word: str


def waiting_items(conn: Connection, business_date: date) -> list[WaitingItem]:
    """Everything through a business date that waits for a peer: the suspense list of the institutions."""
    bills = [
        WaitingItem(
            INSURER,
            "claim",
            bill.reference,
            bill.claimed_on or bill.opened_at.astimezone(CITY_ZONE).date(),
            bill.total_fen,
            bill.state,
            0,
            bill.why,
        )
        for bill in open_bills(conn)
    ]
    notices = [
        WaitingItem(
            due.notice.biller,
            due.notice.act,
            due.notice.reference,
            due.notice.business_date,
            due.notice.amount_fen,
            "not answered",
            due.attempts,
            due.message,
        )
        for due in due_notices(conn)
    ]
    files = [
        WaitingItem(
            one.centre,
            one.waits_for,
            one.name,
            one.since,
            one.amount_fen,
            one.state,
            one.attempts,
            one.last_word,
        )
        for one in open_files(conn)
    ]
    found = [one for one in (*bills, *notices, *files) if one.since <= business_date]
    return sorted(found, key=lambda one: (one.since, one.peer, one.reference, one.waits_for))


def waiting_file(folder: Path, business_date: date, waiting: Sequence[WaitingItem]) -> Path:
    """Write `peer_waiting.csv`."""
    rows = (_waiting_row(one, business_date) for one in waiting)
    return write_csv(folder / "peer_waiting.csv", WAITING_COLUMNS, rows)


@dataclass(frozen=True, slots=True)
class PeerTotal:
    """A peer's day as it was last compared: payments and fen of both sides, and lines that differ still."""

    peer: str
    ours_count: int
    ours_fen: int
    theirs_count: int
    theirs_fen: int
    differing: int

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        ours, theirs = (self.ours_count, self.ours_fen), (self.theirs_count, self.theirs_fen)
        return ours == theirs and not self.differing


def peers_reconciled(conn: Connection, business_date: date) -> tuple[PeerTotal, ...]:
    """The billers and the insurer that a business date was compared with, billers by id, and other cities' centres.

    Of a centre it is the days before that its night compared.
    """
    billers = []
    for file in files_of_day(conn, business_date):
        ours = standing_payments(conn, file.biller, business_date)
        differing = len(open_differences(conn, file.biller, business_date))
        ours_fen = sum(one.amount_fen for one in ours)
        billers.append(PeerTotal(file.biller, len(ours), ours_fen, file.count, file.amount_fen, differing))
    kept = kept_day(conn, business_date)
    others = [] if kept is None else [(INSURER, *kept)]
    others += compared_on(conn, business_date)
    return (
        *billers,
        *(
            PeerTotal(peer, ours.count, ours.amount_fen, theirs.count, theirs.amount_fen, differing)
            for peer, ours, theirs, differing in others
        ),
    )


def peer_counts(days: Mapping[str, Sequence[PeerDay]]) -> Mapping[str, int]:
    """Days of each kind of peer that agree, and those that are open, with the lines that differ."""
    counts: dict[str, int] = {}
    for who, own in days.items():
        agreed = sum(one.outcome is Outcome.AGREES for one in own)
        counts[f"{who}_days_agreed"] = agreed
        counts[f"{who}_days_open"] = len(own) - agreed
        counts[f"{who}_lines_differing"] = sum(len(one.differences) for one in own)
    return counts


def _day_row(one: PeerDay) -> Sequence[object]:
    sides = (*_side(one.ours), *_side(one.theirs))
    return (one.peer, one.business_date, one.outcome, *sides, len(one.differences), one.message)


def _side(totals: Totals | None) -> tuple[object, object]:
    return ("", "") if totals is None else (totals.count, decimal_yuan(totals.amount_fen))


def _line_rows(days: Sequence[PeerDay]) -> Iterator[Sequence[object]]:
    for day in days:
        for one in day.differences:
            amounts = ("" if fen is None else decimal_yuan(fen) for fen in (one.ours_fen, one.theirs_fen))
            yield (day.peer, day.business_date, one.reference, one.kind, *amounts, one.message)


def _waiting_row(one: WaitingItem, business_date: date) -> Sequence[object]:
    age_days = (business_date - one.since).days
    amount = decimal_yuan(one.amount_fen)
    return (
        one.peer, one.waits_for, one.reference, one.since, age_days, amount, one.state, one.attempts,
        one.last_word,
    )  # fmt: skip
