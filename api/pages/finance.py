"""The finance page: a night step by step, all its participants, what was reconciled, and every file it left."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from sqlalchemy import Connection, select

from api.http.problems import problem
from api.pages.page import render
from api.pages.readers import reader
from api.pages.sheet import Sheet, further, listed, sheet
from api.pages.texts import Words, words_of
from api.pages.visitor import Doors
from city.home import CITY_ZONE
from clearing.interop.centres import centres_of
from ledger.archive import Archive
from ledger.db import reading
from settlement.bank.outcomes import outcomes_on
from settlement.bank.points import points_of
from settlement.bank.reserve import reserve_report
from settlement.chips import chip_differences_now
from settlement.day_end import balances_at
from settlement.night import STEPS
from settlement.night_log import FileMark, StepRecord, recorded_steps
from settlement.participants import participants_of
from settlement.reconcile import operator_stages
from settlement.report_files import EXCEPTION_COLUMNS, exception_rows
from settlement.reports import NightSummary, night_summary
from settlement.tables import night_run
from settlement.work_queue import items_of

SCOPE: Final = "finance:read"
EXCEPTIONS_SHOWN: Final = 100
WORK_SHOWN: Final = 50
OTHERS: Final = ("agent", "city", "fund")
"""First segments of the accounts of channels, other cities' centres, and funds."""
SHOWN_BY_THE_PAGE: Final = (
    "business_date", "state", "booked_at", "refused", "steps", "files_accepted", "files_rejected", "verdicts",
    "operators", "positions", "trial_balance", "purse_liabilities_fen", "pending_loads_fen", "seal", "files",
)  # fmt: skip
"""The figures of a night that have a place of their own on the page; any other is shown as it comes."""

router = APIRouter(prefix="/finance", dependencies=[Depends(reader(SCOPE, "onecard finance"))])


@dataclass(frozen=True, slots=True)
class StepShown:
    """A step of the night: done, refused, running, or still to come."""

    name: str
    state: str
    record: StepRecord | None


@dataclass(frozen=True, slots=True)
class AccountShown:
    """An account of somebody else's with us: whose, where a name is registered, and where it stands."""

    code: str
    name: str
    debits_fen: int
    credits_fen: int
    balance_fen: int


@router.get("")
def newest_night(doors: Doors) -> RedirectResponse:
    """Go to the newest night, or to the page that says there is none."""
    with reading(doors.engine) as conn:
        known = nights(conn)
    return RedirectResponse(f"/finance/{known[0]}" if known else "/finance/none")


@router.get("/none", response_class=HTMLResponse)
def no_night(request: Request) -> HTMLResponse:
    """The empty state: what to do to see a night."""
    return render(request, "no_night.html")


@router.get("/{business_date}", response_class=HTMLResponse)
def one_night(request: Request, business_date: date, doors: Doors, *, follow: bool = False) -> HTMLResponse:
    """One night, as far as it has come; followed, the page asks again every few seconds while it runs."""
    words, today = words_of(request), doors.now().astimezone(CITY_ZONE).date()
    with reading(doors.engine) as conn:
        summary = night_summary(conn, business_date)
        known = nights(conn)
        reconciled = list(_reconciled(conn, words, summary, doors.archive, today))
        exceptions = list(islice(exception_rows(conn, business_date), EXCEPTIONS_SHOWN + 1))
        work = items_of(conn)[:WORK_SHOWN]
    more_sheets, more_figures = further(words, summary, SHOWN_BY_THE_PAGE)
    return render(
        request, "finance.html", night=summary, known=known, steps=steps_of(summary), follow=follow,
        sheets=[*_moneys(words, summary), *more_sheets], figures=more_figures, reconciled=reconciled,
        exceptions=listed(words, "exceptions", EXCEPTION_COLUMNS, exceptions[:EXCEPTIONS_SHOWN]),
        work=sheet(words, "work", work, _WORK_COLUMNS), folders=folders_of(summary.files),
        more_exceptions=len(exceptions) > EXCEPTIONS_SHOWN,
        books=sheet(words, "trial_balance", summary.trial_balance, _TRIAL_COLUMNS),
    )  # fmt: skip


@router.get("/{business_date}/files/{path:path}")
def file(request: Request, business_date: date, path: str, doors: Doors) -> FileResponse:
    """A file that the night left, as it left it. Only files that its steps have recorded can be asked for."""
    with reading(doors.engine) as conn:
        marks = {mark.path: mark for step in recorded_steps(conn, business_date) for mark in step.files}
    folder: Path = request.app.state.nights_folder / business_date.isoformat()
    mark = marks.get(path) if path.startswith("out/") else None
    place = folder / path
    if mark is None or not place.resolve().is_relative_to(folder.resolve()):
        raise problem(
            "not_found", f"the night of {business_date} has left no such file; see the list of its files"
        )
    if not place.is_file() or _sha256(place) != mark.sha256:
        raise problem(
            "file_changed",
            f"{mark.path} is gone or is not what the night left; bring it back from the backup",
        )
    return FileResponse(place, filename=place.name, headers={"Cache-Control": "no-store"})


def nights(conn: Connection) -> list[date]:
    """The business dates whose night has begun, newest first."""
    return list(conn.scalars(select(night_run.c.business_date).order_by(night_run.c.business_date.desc())))


def steps_of(night: NightSummary) -> list[StepShown]:
    """Every step of a night in order, done or not."""
    done = {record.step: record for record in night.steps}
    refused = night.refused.partition(":")[0]
    names = [*done, *(name for name, _ in STEPS if name not in done)]
    shown: list[StepShown] = []
    for name in names:
        first_open = name not in done and not any(one.record is None for one in shown)
        state = "done" if name in done else "refused" if name == refused else "to_come"
        if state == "to_come" and first_open and night.state == "running":
            state = "running"
        shown.append(StepShown(name, state, done.get(name)))
    return shown


def folders_of(marks: tuple[FileMark, ...]) -> dict[str, list[FileMark]]:
    """The files of a night by their folder."""
    folders: dict[str, list[FileMark]] = {}
    for mark in sorted(marks, key=lambda one: one.path):
        folders.setdefault(mark.path.rpartition("/")[0].removeprefix("out/"), []).append(mark)
    return folders


_PARTICIPANT_COLUMNS = (
    "participant",
    "name",
    "gross_fen",
    "fee_fen",
    "net_fen",
    "standing",
    "value_date",
    "end_to_end_id",
)
_TRIAL_COLUMNS = ("code", "kind", "debits_fen", "credits_fen", "balance_fen")
_CHIP_COLUMNS = (
    "card_no", "chip_fen", "loaded_fen", "purse_fen", "difference_fen", "suspended_fen", "rejected_fen",
    "shortfall_fen", "missing_taps", "reason",
)  # fmt: skip
_WORK_COLUMNS = ("number", "kind", "what", "amount_fen", "raised_on", "due_on", "state", "who")
_POINT_COLUMNS = ("id", "kind", "participant", "amount_fen", "since", "what", "proposal")
_STAGE_COLUMNS = (
    "operator", "files", "records", "taps", "filed_fen", "presented_fen", "paid_fen", "booked_fen", "agrees"
)  # fmt: skip


def _moneys(words: Words, night: NightSummary) -> Iterator[Sheet]:
    yield sheet(words, "participants", night.operators, _PARTICIPANT_COLUMNS)
    yield sheet(words, "positions", night.positions)
    yield sheet(words, "verdicts", night.verdicts)


def _reconciled(
    conn: Connection, words: Words, night: NightSummary, archive: Archive | None, today: date
) -> Iterator[Sheet]:
    """Each side held against the other, and where others' accounts with us stand at the end of the day.

    Chips, what became of the date's payments, and what is open with the bank are shown as they are now, whichever
    night is looked at; the reserve as it stood at the end of the date.
    """
    day = night.business_date
    yield sheet(words, "stages", operator_stages(conn, day, archive), _STAGE_COLUMNS)
    yield sheet(words, "funds_and_channels", accounts_of_others(conn, day))
    yield sheet(words, "chips", chip_differences_now(conn, archive), _CHIP_COLUMNS)
    yield sheet(words, "bank", outcomes_on(conn, day))
    yield sheet(words, "bank_open", points_of(conn, today), _POINT_COLUMNS)
    yield sheet(words, "reserve", reserve_report(conn, day, archive).rows)


def accounts_of_others(conn: Connection, business_date: date) -> list[AccountShown]:
    """Accounts of channels, funds and other cities' centres that have ever moved by the end of that date, by code.

    A centre is named as it is registered, any other as the participant of its id.
    """
    names = {one.id: one.display_name for one in participants_of(conn).values()}
    centres = {code: one.name for code, one in centres_of(conn).items()}
    shown = []
    for one in balances_at(conn, business_date, OTHERS):
        segment, _, owner = one.code.partition(":")
        name = (centres if segment == "city" else names).get(owner, "")
        if one.debits_fen or one.credits_fen:
            shown.append(AccountShown(one.code, name, one.debits_fen, one.credits_fen, one.balance_fen))
    return shown


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
