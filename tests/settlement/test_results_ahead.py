"""What plan and dry run say of other cities' results before the night that takes them, and leave as it was."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from card.hsm.client import Hsm
from clearing.context import Night
from clearing.interop.trial import TriedResults
from clearing.wire.interop import PRESENTED, ResultLine
from clearing.wire.result_code import ResultCode
from ledger.db import reading
from settlement.dry_run import dry_run
from settlement.night import run_night
from settlement.night_plan import NightPlan, plan_night
from settlement.positions import positions_of
from tests.settlement.small_day import AT, DAY, night_of
from tests.support.night_books import contents, everything
from tests.support.other_city import KUNMING, befriend, guest, put_guests, put_results

NEXT = DAY + timedelta(days=1)
LINES = (
    ResultLine(1, 0, 160, ResultCode.ACCEPTED),
    ResultLine(1, 1, 200, ResultCode.ACCEPTED),  # 40 fen above the tariff
    ResultLine(1, 2, 170, ResultCode.HOTLISTED),
    ResultLine(1, 2, 170, ResultCode.HOTLISTED),  # said twice: nothing new
    ResultLine(1, 3, 161, ResultCode.ACCEPTED),  # the tap shows 160
    ResultLine(7, 0, 160, ResultCode.ACCEPTED),  # nothing was handed over under that number
)


@pytest.fixture
def second_night(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> Night:
    """The night after the one that handed four guests' taps over: results on them lie in the inbox, good and bad."""
    guests = [guest(1), guest(2, amount_fen=200), guest(3, amount_fen=170), guest(4)]
    befriend(engine, city_hsm, tmp_path, guests)
    run_night(engine, night_of(tmp_path, city_hsm))
    inbox = tmp_path / "inbox"
    put_results(inbox, city_hsm, LINES)
    cut = put_results(inbox, city_hsm, LINES, 2)
    cut.write_bytes(cut.read_bytes()[:-1])
    flipped = put_results(inbox, city_hsm, LINES, 3)
    content = bytearray(flipped.read_bytes())
    content[-20] ^= 1  # of the MAC: no look from outside shows it
    flipped.write_bytes(content)
    put_guests(inbox, city_hsm, [guest(5)], sequence=4)
    return night_of(tmp_path, city_hsm, NEXT, AT + timedelta(days=1))


def planned(engine: Engine, night: Night) -> NightPlan:
    with reading(engine) as conn:
        return plan_night(conn, night.business_date, night.inbox)


def tried(engine: Engine, night: Night, scratch: Path) -> TriedResults:
    found = dry_run(engine, night, scratch)
    assert found.refusals == [] and found.results is not None
    return found.results


def test_a_plan_counts_other_cities_results_and_what_waits_for_them(
    engine: Engine, second_night: Night
) -> None:
    plan = planned(engine, second_night)
    assert [(one.name, one.records, one.amount_fen, one.standing) for one in plan.result_files] == [
        (f"{KUNMING}-0000000{number}.ocr", len(LINES), sum(line.amount_fen for line in LINES), "new")
        for number in (1, 3)
    ]
    assert [(one.name, "truncated" in one.message) for one in plan.bad] == [(f"{KUNMING}-00000002.ocr", True)]
    assert [(one.name, one.waits_for) for one in plan.open_files] == [(PRESENTED.name(KUNMING, 1), "receipt")]
    assert (plan.odd_lines, plan.taps) == (0, 1 + plan.retried_taps), "a line is no tap"
    content = (second_night.inbox / "centres" / f"{KUNMING}-00000001.ocr").read_bytes()
    run_night(engine, second_night)
    (second_night.inbox / "centres" / f"{KUNMING}-00000001.ocr").write_bytes(content)
    with reading(engine) as conn:
        after = plan_night(conn, NEXT + timedelta(days=1), second_night.inbox)
    assert [one.standing for one in after.result_files] == ["repeated"]
    assert (after.odd_lines, after.bad) == (2, ())


def test_a_dry_run_says_which_results_would_be_refused_and_why(
    engine: Engine, second_night: Night, tmp_path: Path
) -> None:
    rows, files = everything(engine), contents(second_night.inbox)
    archive = contents(second_night.archive)
    results = tried(engine, second_night, tmp_path / "scratch")
    assert (everything(engine), contents(second_night.inbox), contents(second_night.archive)) == (
        rows, files, archive,
    )  # fmt: skip
    assert {one.arrival.name: one.flaw for one in results.turned_away} == {
        f"{KUNMING}-00000002.ocr": "truncated", f"{KUNMING}-00000003.ocr": "mac_wrong",
    }  # fmt: skip
    (refused,) = results.refused
    assert (refused.operator, refused.centre, refused.reason, refused.taps, refused.amount_fen) == (
        "BUS-1", KUNMING, "hotlisted", 1, 170,
    )  # fmt: skip
    assert [(one.line, one.why) for one in results.odd] == [(4, "amount_differs"), (5, "tap_unknown")]
    assert (results.owed_fen, results.overcharged_fen) == ({"BUS-1": 320, KUNMING: -360}, 40)


def test_a_dry_run_with_results_comes_to_what_the_night_comes_to(
    engine: Engine, second_night: Night, tmp_path: Path
) -> None:
    found = dry_run(engine, second_night, tmp_path / "scratch")
    report = run_night(engine, second_night)
    (route,) = [step.counts for step in report.steps if step.step == "route"]
    assert found.results is not None
    assert {name: route[name] for name in found.results.counts} == dict(found.results.counts)
    with reading(engine) as conn:
        assert list(found.positions) == positions_of(conn, NEXT)
    assert {one.party: one.position_fen for one in found.positions}[KUNMING] == -360


def test_lines_that_fitted_no_tap_before_are_counted_and_not_told_as_new(
    engine: Engine, second_night: Night, tmp_path: Path
) -> None:
    run_night(engine, second_night)
    later = night_of(tmp_path, second_night.hsm, NEXT + timedelta(days=1), AT + timedelta(days=2))
    put_results(later.inbox, later.hsm, [ResultLine(1, 3, 160, ResultCode.ACCEPTED)], 4)
    results = tried(engine, later, tmp_path / "scratch")
    assert (results.counts["lines_odd"], results.odd, results.turned_away) == (1, (), ())
    assert results.owed_fen == {"BUS-1": 160, KUNMING: -160}
