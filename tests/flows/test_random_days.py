"""Whole days from a seed, from the chip to the seal: what must hold whatever happened on them."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from city.day import DayPlan, Mischief, plan_day
from city.demo import DEMO_DATE, Chips, compare_chips, live_day, moment
from city.plan import read_plan
from city.world import City, night_of
from clearing.engine.duck import IN_PROCESS
from ledger.balances import balances
from ledger.checks import check_books
from ledger.db import make_engine, reading
from settlement.night import run_night, unobserved
from settlement.reports import NightSummary, night_summary
from tests.support.depth import UNSHRUNK, examples

PLAN = read_plan("demo")
MakeCity = Callable[[Path, Engine], City]

days = st.builds(
    lambda riders, mischief, seed: plan_day(
        PLAN, DEMO_DATE, riders=riders, mischief=tuple(mischief), seed=seed
    ),
    riders=st.integers(1, 12),
    mischief=st.lists(st.sampled_from(Mischief), max_size=6),
    seed=st.integers(0, 10_000),
)


def quiet(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


def clear(city: City, business_date: date) -> NightSummary:
    """Run a night and tell what came of it."""
    at = moment(business_date, 23, 30)
    run_night(
        city.engine,
        night_of(city, business_date, at=at, progress=quiet, rules=IN_PROCESS),
        observe=unobserved,
    )
    with reading(city.engine) as conn:
        return night_summary(conn, business_date)


def lived_and_cleared(city: City, day: DayPlan) -> tuple[NightSummary, Chips]:
    """A day with its night, and the chips beside the books."""
    lived = live_day(city, day, progress=quiet)
    summary = clear(city, day.business_date)
    return summary, compare_chips(city, lived, summary.purse_liabilities_fen)


def holds(city: City, summary: NightSummary, chips: Chips) -> None:
    """The invariants of a day."""
    money = summary.taps_by_money
    assert summary.state == "finished"
    assert summary.presented == sum(money.values())
    assert summary.difference_fen == 0
    assert chips.unexplained_fen == 0
    assert sum(position.position_fen for position in summary.positions) == 0
    paid_fen = sum(row.paid_fen for row in summary.verdicts)
    assert paid_fen == sum(row.net_fen + row.fee_fen for row in summary.operators)
    with reading(city.engine) as conn:
        assert sum(balance.net_fen for balance in balances(conn)) == 0
        assert check_books(conn) == []


@examples(6, phases=UNSHRUNK)
@given(day=days)
def test_money_is_conserved_on_any_day(make_city: MakeCity, sqlite_template: Path, day: DayPlan) -> None:
    with tempfile.TemporaryDirectory() as folder:
        city = fresh_city(make_city, sqlite_template, Path(folder))
        summary, chips = lived_and_cleared(city, day)
        holds(city, summary, chips)
        city.engine.dispose()


@examples(2, phases=UNSHRUNK)
@given(day=days, data=st.data())
def test_files_in_any_order_and_any_number_of_times_lead_to_the_same_books(
    make_city: MakeCity, sqlite_template: Path, day: DayPlan, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        calm = fresh_city(make_city, sqlite_template, Path(one))
        live_day(calm, day, progress=quiet)
        files = sorted(calm.home.inbox.glob("*.ocb"))
        kept = {file.name: file.read_bytes() for file in files}
        expected = clear(calm, day.business_date)

        mixed = fresh_city(make_city, sqlite_template, Path(other))
        live_day(mixed, day, progress=quiet)
        for file in mixed.home.inbox.glob("*.ocb"):
            file.unlink()
        order = data.draw(st.permutations(sorted(kept)))
        for number, name in enumerate(order):
            (mixed.home.inbox / name).write_bytes(kept[name])
            if data.draw(st.booleans()):
                (mixed.home.inbox / f"again-{number}.ocb").write_bytes(kept[name])
        found = clear(mixed, day.business_date)
        assert found.verdicts == expected.verdicts
        assert found.trial_balance == expected.trial_balance
        assert books(mixed) == books(calm)

        for name, content in kept.items():
            (mixed.home.inbox / name).write_bytes(content)
        next_day = clear(mixed, day.business_date + timedelta(days=1))
        assert next_day.presented == 0
        assert books(mixed) == books(calm)
        calm.engine.dispose()
        mixed.engine.dispose()


def test_one_bad_tap_of_each_kind_gets_the_verdict_of_its_name(city: City) -> None:
    day = plan_day(PLAN, DEMO_DATE, riders=20, mischief=tuple(Mischief), seed=7)
    summary, chips = lived_and_cleared(city, day)
    holds(city, summary, chips)
    counts = {row.verdict: row.taps for row in summary.verdicts if row.verdict != "accepted"}
    assert counts == {kind.value: 2 if kind is Mischief.COUNTER_CONFLICT else 1 for kind in Mischief}


@pytest.mark.parametrize("mischief", list(Mischief))
def test_a_bad_tap_alone_harms_nobody_elses_rides(
    make_city: MakeCity, sqlite_template: Path, tmp_path: Path, mischief: Mischief
) -> None:
    city = fresh_city(make_city, sqlite_template, tmp_path)
    day = plan_day(PLAN, DEMO_DATE, riders=3, mischief=(mischief,), seed=3)
    summary, chips = lived_and_cleared(city, day)
    holds(city, summary, chips)
    ordinary = sum(1 for tap in day.taps if tap.card_no in {rider.card_no for rider in day.riders[:3]})
    accepted = sum(row.taps for row in summary.verdicts if row.verdict == "accepted")
    assert accepted >= ordinary > 0
    city.engine.dispose()


def fresh_city(make_city: MakeCity, template: Path, folder: Path) -> City:
    """An empty city on SQLite."""
    database = folder / "onecard.db"
    shutil.copyfile(template, database)
    return make_city(folder, make_engine(f"sqlite:///{database}"))


def books(city: City) -> dict[str, tuple[int, int]]:
    """Every account's debits and credits."""
    with reading(city.engine) as conn:
        return {one.code: (one.debits_fen, one.credits_fen) for one in balances(conn)}
