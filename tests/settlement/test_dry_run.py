"""A dry run says what the night will come to, and leaves everything as it was."""

from dataclasses import replace
from pathlib import Path

import pytest

from card.hsm.client import Hsm
from clearing.context import StepResult
from ledger.db import reading, writing
from settlement.agreements import register_agreements
from settlement.dry_run import dry_run
from settlement.instructions import instructed_on
from settlement.night import NightRefused, Observe, run_night
from settlement.positions import positions_of
from settlement.reports import night_summary
from settlement.tables import agreement
from tests.settlement.conftest import PreparedDay
from tests.settlement.small_day import AGREEMENTS, DAY, MORNING
from tests.support.night_books import contents, everything


class Stop(Exception):
    """Stands for a crash that Python survives."""


def stop_before(step: str) -> Observe:
    def observe(name: str, state: str, _result: StepResult | None) -> None:
        if (name, state) == (step, "started"):
            raise Stop

    return observe


def test_a_dry_run_comes_to_what_the_night_comes_to(day: PreparedDay, tmp_path: Path) -> None:
    found = dry_run(day.engine, day.night, tmp_path / "scratch")
    assert found.refusals == []
    report = run_night(day.engine, day.night)
    counts = {step.step: dict(step.counts) for step in report.steps}
    assert {name: dict(found.counts[name]) for name in ("collect", "verify", "match", "price")} == {
        name: counts[name] for name in ("collect", "verify", "match", "price")
    }
    with reading(day.engine) as conn:
        assert list(found.positions) == positions_of(conn, DAY)
        instructed = instructed_on(conn, DAY)
        summary = night_summary(conn, DAY)
    assert {one.creditor.id: (one.amount_fen, one.value_date) for one in found.instructions} == {
        party: (one.amount_fen, one.value_date) for party, one in instructed.items()
    }
    assert sum(share.paid_fen for share in found.shares) == sum(row.paid_fen for row in summary.verdicts)


def test_a_dry_run_writes_into_nothing_but_its_own_folder(day: PreparedDay, tmp_path: Path) -> None:
    rows, files = everything(day.engine), contents(day.home)
    scratch = tmp_path / "scratch"
    dry_run(day.engine, day.night, scratch)
    assert (everything(day.engine), contents(day.home)) == (rows, files)
    assert (scratch / "night" / "work" / "priced.parquet").stat().st_size


def test_a_night_that_was_interrupted_before_its_postings_is_run_dry_from_what_it_collected(
    day: PreparedDay, tmp_path: Path
) -> None:
    before = dry_run(day.engine, day.night, tmp_path / "before")
    with pytest.raises(Stop):
        run_night(day.engine, day.night, observe=stop_before("match"))
    rows, files = everything(day.engine), contents(day.home)
    after = dry_run(day.engine, day.night, tmp_path / "after")
    assert (after.positions, after.shares) == (before.positions, before.shares)
    assert (everything(day.engine), contents(day.home)) == (rows, files)


def test_a_night_that_has_booked_is_not_run_dry(settled: PreparedDay, tmp_path: Path) -> None:
    with pytest.raises(NightRefused, match="it has booked"):
        dry_run(settled.engine, settled.night, tmp_path / "scratch")


def test_a_dry_run_says_what_would_stop_the_night(day: PreparedDay, tmp_path: Path) -> None:
    with writing(day.engine) as conn:
        conn.execute(agreement.delete().where(agreement.c.participant == "METRO-1"))
    found = dry_run(day.engine, day.night, tmp_path / "net")
    assert [(one.step, "METRO-1 has no agreement" in one.reason) for one in found.refusals] == [("net", True)]
    with writing(day.engine) as conn:
        register_agreements(conn, AGREEMENTS[:1], at=MORNING)
    silent = replace(day.night, hsm=Hsm("127.0.0.1", 1, timeout_s=1.0))
    assert [one.step for one in dry_run(day.engine, silent, tmp_path / "hsm").refusals] == ["collect"]
    untariffed = replace(day.night, tariffs=())
    assert [one.step for one in dry_run(day.engine, untariffed, tmp_path / "tariff").refusals] == ["match"]
