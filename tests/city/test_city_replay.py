"""Replaying a trace: to the fen, once, and taken up where it was cut off."""

import json
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from city.home import Home
from city.plan import read_plan
from city.processes import RunningHsm
from city.replay import Replayed, ReplayRefused, can_take, replay
from city.report import totals_report
from city.world import City
from ledger.db import make_engine, reading
from ledger.tables import entry
from settlement.night import unobserved
from settlement.reports import night_summary
from tests.city.killed_replay import killed

DAY = date(2018, 9, 1)
PLAN = read_plan("shenzhen")
SMALL = """card_no,deal_date,mode,company_name,site,equ_no,site_code,deal_value,deal_money,fare_class
AAAAAAAAB,2018-09-01 08:00:00,METRO_IN,地铁一号线,罗湖,260001101,260001,0,0,ENTRY
AAAAAAAAB,2018-09-01 08:30:00,METRO_OUT,地铁五号线,下水径,263030102,263030,400,380,STD
AAAAAAAAC,2018-09-01 08:01:00,BUS,巴士集团,M506,231017343,,200,160,STD
AAAAAAAAD,2018-09-01 08:02:00,BUS,西部公共汽车,B1,231017344,,700,350,HALF
AAAAAAAAE,2018-09-01 08:03:00,BUS,巴士集团,M506,231017343,,300,200,STD_TRANSFER40
AAAAAAAAE,2018-09-01 09:03:00,BUS,巴士集团,M506,231017343,,300,0,FREE
AAAAAAAAF,2018-09-01 09:04:00,BUS,无名公司,M506,231017349,,300,240,STD
""".encode()


def quiet(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


def replayed(city: City, data: bytes, day: date = DAY) -> Replayed:
    return replay(city, PLAN, data, business_date=day, progress=quiet, observe=unobserved)


def test_the_real_day_is_cleared_to_the_fen(
    shared_data: Path, make_city: Callable[[Path, Engine], City], tmp_path: Path, sqlite_template: Path
) -> None:
    (tmp_path / "onecard.db").write_bytes(sqlite_template.read_bytes())
    engine = make_engine(f"sqlite:///{tmp_path / 'onecard.db'}")
    city = make_city(tmp_path, engine)
    data = (shared_data / "szt" / "szt_taps_10k_sample.csv").read_bytes()
    assert replayed(city, data).bad_rows == ()
    expected = json.loads((shared_data / "szt" / "reference_totals_10k.json").read_text())
    with reading(engine) as conn:
        found = totals_report(conn, PLAN, DAY)
        summary = night_summary(conn, DAY)
    assert found["all"] == expected["all"]
    assert found["by_company_mode"] == sorted(
        expected["by_company_mode"], key=lambda row: (row["company"], row["mode"])
    )
    assert summary.taps_by_money == {"paid": 10_000}
    assert sum(row.net_fen + row.fee_fen for row in summary.operators) == expected["all"]["paid_fen"]
    assert replayed(city, data).already
    with reading(engine) as conn:
        assert totals_report(conn, PLAN, DAY) == found
    engine.dispose()


def test_a_small_trace_is_priced_by_rule_and_what_cannot_be_played_is_listed(city: City) -> None:
    outcome = replayed(city, SMALL)
    assert [(row.row, row.field) for row in outcome.bad_rows] == [(7, "fare_class"), (8, "company_name")]
    with reading(city.engine) as conn:
        report = totals_report(conn, PLAN, DAY)
    assert report["all"] == {"rows": 5, "list_fen": 1_600, "paid_fen": 1_090}


def test_the_same_trace_again_changes_nothing_and_says_so(city: City) -> None:
    first = replayed(city, SMALL)
    before = books_of(city)
    again = replayed(city, SMALL, date(2018, 9, 2))
    assert (first.already, again.already) == (False, True)
    assert (again.business_date, again.bad_rows) == (DAY, first.bad_rows)
    assert books_of(city) == before


def test_another_trace_is_taken_on_the_day_that_the_books_are_at(city: City) -> None:
    replayed(city, SMALL)
    other = SMALL.replace(b"2018-09-01", b"2018-09-02")
    with pytest.raises(ReplayRefused, match="are at business day 2018-09-02, not 2018-09-05"):
        replayed(city, other, date(2018, 9, 5))
    replayed(city, other, date(2018, 9, 2))
    with reading(city.engine) as conn:
        assert totals_report(conn, PLAN, date(2018, 9, 2))["all"]["paid_fen"] == 1_090


def test_a_trace_without_a_good_row_is_refused(city: City) -> None:
    with pytest.raises(ReplayRefused, match="no row of the trace can be replayed"):
        replayed(city, SMALL.splitlines(keepends=True)[0])


@pytest.fixture(scope="module")
def calm_books(
    make_city: Callable[[Path, Engine], City], tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> list[tuple[object, ...]]:
    """The books after the small trace, which nothing has disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    (folder / "calm.db").write_bytes(sqlite_template.read_bytes())
    calm = make_city(folder / "calm", make_engine(f"sqlite:///{folder / 'calm.db'}"))
    replayed(calm, SMALL)
    books = books_of(calm)
    calm.engine.dispose()
    return books


@pytest.mark.parametrize("cut", ["loads", "taps", "verify", "post", "seal"])
def test_a_replay_killed_and_run_again_ends_in_the_same_books(
    city: City, cut: str, hsm_process: RunningHsm, calm_books: list[tuple[object, ...]]
) -> None:
    assert killed(hsm_process, city, SMALL, DAY, cut) == -signal.SIGKILL
    replayed(city, SMALL)
    assert books_of(city) == calm_books


def test_a_home_whose_books_are_at_another_day_cannot_take_the_trace(
    tmp_path: Path, sqlite_template: Path
) -> None:
    home = Home(tmp_path)
    assert can_take(home, SMALL, DAY)
    (tmp_path / "onecard.db").write_bytes(sqlite_template.read_bytes())
    assert can_take(home, SMALL, DAY)


def books_of(city: City) -> list[tuple[object, ...]]:
    """Every entry of the books, by what it is about."""
    with reading(city.engine) as conn:
        query = select(entry.c.reference, entry.c.business_date, entry.c.kind).order_by(entry.c.reference)
        return [tuple(row) for row in conn.execute(query)]
