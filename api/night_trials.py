"""`onecard night dry-run`, `replace-batch`, `retry`: what a night would come to, and one operator's batch of it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from api.bars import bars
from api.city_doors import city
from api.days_meant import open_day
from api.doors import Refused, console, now, settings
from api.engine_doors import bounded_engine
from api.listings import Listing, figure
from api.times import NightToCome
from city.world import night_of
from clearing.context import StepRefused
from clearing.interop.trial import TriedResults
from clearing.wording import taps_in_words
from ledger.db import reading
from ledger.money import yuan
from settlement.batch_replacement import Asked, ReplaceRefused, replace_batch
from settlement.batch_retry import RetryRefused, retry_batch
from settlement.dry_run import DryRun, dry_run
from settlement.netting import Role
from settlement.night_lock import NightRunning

_ODD_SHOWN = 20


def dry_run_night(
    business_date: NightToCome = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", help="work in this empty folder, and leave verdicts and prices in it"),
    ] = None,
) -> None:
    """Say what the night would come to: verdicts, prices, positions. Nothing is booked, moved or acknowledged."""
    with city() as opened, bars(console) as shown, _scratch(keep) as scratch:
        with reading(opened.engine) as conn:
            day = open_day(conn, business_date)
        night = night_of(opened, day, at=now(), progress=shown.tell, rules=bounded_engine())
        found = dry_run(opened.engine, night, scratch)
    _show(found)
    if keep is not None:
        console.print(f"Verdicts and prices: {keep / 'night' / 'work'}", soft_wrap=True, highlight=False)


def replace_one(
    operator: Annotated[str, typer.Argument(help="whose batch")],
    sequence: Annotated[int, typer.Argument(help="its number")],
    file: Annotated[Path, typer.Argument(help="the file that takes its place, under the same number")],
    reason: Annotated[str, typer.Option("--reason", help="why; kept")],
    by: Annotated[str, typer.Option("--by", help="who does it; kept")],
) -> None:
    """Replace a batch that a stopped night has collected and not booked; the night collects it anew when it goes on."""
    for name, value, longest in (("--reason", reason, 500), ("--by", by, 64)):
        if not value.strip() or len(value) > longest:
            raise Refused(f"{name} {value!r} has {len(value)} characters; give 1 to {longest}")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}; give the path of the new file") from error
    asked = Asked(operator, sequence, content, reason, by, now())
    home = settings().city_home()
    with city() as opened:
        try:
            done = replace_batch(
                opened.engine,
                asked,
                hsm=opened.hsm,
                inbox=home.inbox,
                archive=home.archive,
                nights=home.nights,
            )
        except NightRunning as running:
            raise Refused(f"a night is running: {running}; stop it or wait until it ends") from running
    if isinstance(done, ReplaceRefused):
        raise Refused(f"{done.message}; {done.remedy}")
    console.print(
        f"Batch {sequence} of {operator}: {taps_in_words(done.new_count)} of {yuan(done.new_amount_fen)} yuan in place "
        f"of {done.old_count:,} of {yuan(done.old_amount_fen)}; both files are in the archive. "
        f"`onecard night {done.night}` goes on at collect"
        + (f", and does {', '.join(done.undone)} anew" if done.undone else ""),
        soft_wrap=True, highlight=False,
    )  # fmt: skip


def retry(
    operator: Annotated[str, typer.Argument(help="whose batch")],
    sequence: Annotated[int, typer.Argument(help="its number")],
) -> None:
    """Judge a booked batch's taps in suspense now, between two nights, and book what is accepted on the open day."""
    with city() as opened, bars(console) as shown:
        with reading(opened.engine) as conn:
            day = open_day(conn, None)
        folder = opened.home.nights / "retry"
        night = night_of(opened, day, at=now(), progress=shown.tell, rules=bounded_engine())
        night = replace(night, folder=folder, inbox=folder / "inbox")
        try:
            done = retry_batch(opened.engine, night, operator, sequence)
        except NightRunning as running:
            raise Refused(f"a night is running: {running}; wait until it ends") from running
        except StepRefused as stop:
            raise Refused(str(stop)) from stop
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if isinstance(done, RetryRefused):
        raise Refused(f"{done.message}; {done.remedy}")
    verdicts = ", ".join(f"{name} {count}" for name, count in sorted(done.verdicts.items()))
    console.print(
        f"Batch {sequence} of {operator}: {verdicts}. Paid on {done.business_date}: {taps_in_words(done.paid_taps)} of "
        f"{yuan(done.paid_fen)} yuan",
        soft_wrap=True, highlight=False,
    )  # fmt: skip


@contextmanager
def _scratch(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="onecard-dry-run-") as folder:
            yield Path(folder)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise Refused(f"--keep {keep} is not an empty folder; give one that is, or one that does not exist")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


def _show(found: DryRun) -> None:
    for step, counts in found.counts.items():
        said = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
        console.print(f"{step}: {said or 'nothing'}", soft_wrap=True, highlight=False)
    if found.results is not None:
        _show_results(found.results)
    if found.shares:
        figures = map(figure, ("taps", "presented", "would be paid"))
        table = Listing("operator", *figures, title="Tonight's taps and rides, yuan")
        for share in found.shares:
            table.add(share.operator, f"{share.taps:,}", yuan(share.presented_fen), yuan(share.paid_fen))
        console.print(table)
    if found.positions:
        paid = {one.creditor.id: str(one.value_date) for one in found.instructions}
        figures = map(figure, ("gross", "fee", "position"))
        table = Listing("role", "party", *figures, "standing", "paid on", title="Positions, yuan")
        for row in found.positions:
            amounts = (yuan(amount) for amount in (row.gross_fen, row.fee_fen, row.position_fen))
            value_date = paid.get(row.party, "") if row.role is Role.PARTICIPANT else ""
            table.add(row.role, row.party, *amounts, row.standing, value_date)
        console.print(table)
    for refusal in found.refusals:
        console.print(
            Text.assemble(
                (f"Would refuse at {refusal.step}:", "red"), f" {refusal.reason}; {refusal.remedy}"
            ),
            soft_wrap=True,
        )
    console.print(
        "Nothing was booked. Institutions were not asked; the ledger's own refusals show in the night."
    )


def _show_results(results: TriedResults) -> None:
    """What would be refused of other cities' results: files by us, taps by centres, lines that fit no tap."""
    lines = [
        f"Would be turned away: {one.arrival.name}: {one.message.removesuffix(f'; {one.remedy}')}; {one.remedy}"
        for one in results.turned_away
    ]
    lines += [
        f"Would be refused by {one.centre}: {one.reason}, {one.taps:,} of the taps of {one.operator}, "
        f"{yuan(one.amount_fen)} yuan"
        for one in results.refused
    ]
    lines += [
        f"Would fit no tap: line {one.line} of {one.file}, on tap {one.place} of file {one.number}, "
        f"{yuan(one.amount_fen)} yuan: {one.why}"
        for one in results.odd[:_ODD_SHOWN]
    ]
    if len(results.odd) > _ODD_SHOWN:
        lines.append(f"Would fit no tap: {len(results.odd) - _ODD_SHOWN:,} more lines")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
