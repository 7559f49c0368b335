"""Taps that never came: noticed by night, asked of their operators, and closed when they turn up."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, select

from card.hsm.client import Hsm
from clearing.gap_explained import Explanation, ExplanationRefusal, ExplanationRefused, explain
from clearing.gap_tables import terminal_explained, terminal_life, terminal_run
from clearing.open_gaps import Gap, open_gaps
from clearing.terminal_parts import numbered_parts
from clearing.terminal_watch import Finding, watch
from clearing.verdict import WINDOW_DAYS
from ledger.db import metadata, migrate, writing
from tests.support.clearing_day import DAY, SmallCity, at, terminal_no
from tests.support.numbered_taps import BUS, numbered

METRO = terminal_no(3)
OURS = {"terminal_life", "terminal_run", "terminal_explained"}


@pytest.fixture
def city(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> Iterator[SmallCity]:
    small = SmallCity(engine, city_hsm, tmp_path / "city")
    small.furnish(cards=40)
    yield small


def later(days: int) -> date:
    return DAY + timedelta(days=days)


def requests(city: SmallCity, day: date, operator: str = "BUS-1") -> dict[str, Any] | None:
    path = city.night(day).folder / "out" / "requests" / f"{operator}.json"
    return json.loads(path.read_text()) if path.exists() else None


def present(city: SmallCity, sequence: int, numbers: Sequence[int], day: date = DAY) -> None:
    city.present("BUS-1", sequence, [numbered(number, day) for number in numbers])


def test_missing_numbers_are_asked_for_and_closed_when_they_turn_up(city: SmallCity) -> None:
    present(city, 1, [1, 2, 5, 9])
    counts = city.clear()["post"].counts
    assert (counts["gaps"], counts["missing_taps"], counts["missing_noticed"]) == (2, 5, 5)
    assert city.look(open_gaps) == [Gap("BUS-1", BUS, 3, 4, 2, DAY), Gap("BUS-1", BUS, 6, 8, 3, DAY)]
    asked = requests(city, DAY)
    assert asked is not None
    assert [(one["terminal"], one["first"], one["last"]) for one in asked["terminals"]] == [
        (BUS, 3, 4), (BUS, 6, 8)
    ]  # fmt: skip
    assert requests(city, DAY, "METRO-1") is None, "nothing is asked of who lost nothing"
    present(city, 2, [3, 4, 7])
    counts = city.clear(later(2))["post"].counts
    assert (counts["missing_came"], counts["missing_taps"], counts["missing_noticed"]) == (3, 2, 0)
    asked = requests(city, later(2))
    assert asked is not None
    assert asked["terminals"] == [
        {"terminal": BUS, "first": number, "last": number, "missing": 1, "noticed_on": "2018-09-01",
         "age_days": 2, "wanted_until": "2018-10-01"}
        for number in (6, 8)
    ]  # fmt: skip
    present(city, 3, [6, 8])
    assert city.clear(later(3))["post"].counts["gaps"] == 0
    assert requests(city, later(3)) is None
    assert len(city.look(lambda conn: list(conn.execute(select(terminal_run))))) == 1, (
        "one run, not a row a tap"
    )


def test_a_gap_of_a_terminal_that_has_fallen_silent_is_asked_for_until_it_is_too_late(
    city: SmallCity,
) -> None:
    present(city, 1, [1, 3])
    city.clear()
    for days, wanted in ((1, True), (WINDOW_DAYS, True), (WINDOW_DAYS + 1, False)):
        counts = city.clear(later(days))["post"].counts
        assert (requests(city, later(days)) is not None) == wanted
        assert counts["gaps"] == 1, "listed also when it is too late"


def test_what_a_night_counts_is_written_once_however_often_it_is_run(city: SmallCity) -> None:
    present(city, 1, [1, 2, 4])
    city.clear()

    def kept() -> list[list[Any]]:
        tables = (terminal_life, terminal_run)
        return city.look(lambda conn: [sorted(map(tuple, conn.execute(select(one)))) for one in tables])

    before = kept()
    city.step("post")
    assert kept() == before
    assert requests(city, DAY) is not None


def test_taps_that_cannot_be_read_or_came_twice_or_from_strange_terminals_count_for_nothing(
    city: SmallCity,
) -> None:
    tap = numbered(2)
    damaged = numbered(3).pack()[:1] + b"\x63" + numbered(3).pack()[2:]
    strange = numbered(9, terminal=terminal_no(9))
    city.present("BUS-1", 1, [numbered(1), tap, tap, damaged, numbered(4), strange])
    counts = city.clear()["post"].counts
    assert (counts["missing_taps"], counts["numbers_unplaced"]) == (1, 0)
    assert city.look(open_gaps) == [Gap("BUS-1", BUS, 3, 3, 1, DAY)], "the damaged one is asked for again"


def test_a_replaced_terminal_starts_a_life_of_its_own_and_is_reported(city: SmallCity) -> None:
    present(city, 1, [500, 501, 503])
    city.clear()
    present(city, 2, [1, 2, 3], later(1))
    assert city.clear(later(1))["post"].counts["counters_restarted"] == 1
    assert city.look(open_gaps) == [Gap("BUS-1", BUS, 502, 502, 1, DAY)]
    rows = city.look(lambda conn: list(conn.execute(select(terminal_life).order_by(terminal_life.c.life))))
    assert [(row.life, row.began_at) for row in rows] == [(1, None), (2, at(8, 1, day=later(1)))]
    found = city.look(lambda conn: list(watch(conn, later(1))))
    assert [(one.finding, one.terminal) for one in found if one.terminal == BUS] == [
        (Finding.GAPS, BUS), (Finding.RESTARTED, BUS)
    ]  # fmt: skip


def test_terminals_that_say_nothing_for_three_nights_are_reported_silent(city: SmallCity) -> None:
    present(city, 1, [1])
    city.present("METRO-1", 1, [numbered(2, terminal=METRO)])
    city.clear()
    present(city, 2, [2])
    city.clear(later(2))
    city.clear(later(3))
    found = city.look(lambda conn: list(watch(conn, later(3))))
    assert [(one.finding, one.terminal, one.heard_on) for one in found] == [
        (Finding.SILENT, terminal_no(2), None), (Finding.SILENT, METRO, DAY), (Finding.SILENT, terminal_no(4), None)
    ]  # fmt: skip
    assert found[1].days == 3


def test_each_terminal_is_counted_whole_in_one_part_however_many_there_are(city: SmallCity) -> None:
    given = {("BUS-1", BUS): [3, 1, 2, 7], ("BUS-1", terminal_no(2)): [5, 6], ("METRO-1", METRO): [9]}
    taps = {who: [numbered(number, terminal=who[1]) for number in own] for who, own in given.items()}
    city.present("BUS-1", 1, [*taps["BUS-1", BUS][:2], *taps["BUS-1", terminal_no(2)]])
    city.present("BUS-1", 2, taps["BUS-1", BUS][2:])
    city.present("METRO-1", 1, taps["METRO-1", METRO])
    city.clear()
    for part_taps, most in ((1, 7), (2, 4), (100, 1)):
        parts = [one for one in numbered_parts(city.night(), (), part_taps) if one[0]]
        assert 1 <= len(parts) <= most and (most == 1 or len(parts) > 1)
        found = {
            name: sorted(part.number[part.terminal == place].tolist())
            for names, part in parts
            for place, name in enumerate(names)
        }
        assert found == {who: sorted(own) for who, own in given.items()}
    assert [names for names, _ in numbered_parts(city.night(), ["BUS-1"])] == [[("METRO-1", METRO)]]


NO_TAP = Explanation("BUS-1", BUS, 3, 5, "lin", "card pulled before it paid")


def explained(city: SmallCity, given: Explanation) -> int | ExplanationRefused:
    with writing(city.engine) as conn:
        return explain(conn, given, at=at(12, day=later(1)))


def test_numbers_that_were_never_taps_are_explained_by_somebody_and_asked_for_no_longer(
    city: SmallCity,
) -> None:
    present(city, 1, [1, 2, 5, 9])
    city.clear()
    assert explained(city, NO_TAP) == 2, "5 has come, so two were missing"
    assert city.look(open_gaps) == [Gap("BUS-1", BUS, 6, 8, 3, DAY)]
    rows = city.look(lambda conn: list(conn.execute(select(terminal_explained))))
    assert [(row.first_no, row.last_no, row.missing, row.by, row.at) for row in rows] == [
        (3, 5, 2, "lin", at(12, day=later(1)))
    ]  # fmt: skip
    present(city, 2, [3])
    city.clear(later(2))
    assert city.verdicts()["BUS-1", 2, 0] == "accepted", "a tap that comes all the same is judged as any"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"first": 0}, ExplanationRefusal.NUMBERS_MALFORMED),
        ({"first": 9, "last": 8, "by": ""}, ExplanationRefusal.NUMBERS_MALFORMED),
        ({"by": " ", "operator": "NOBODY"}, ExplanationRefusal.UNSIGNED),
        ({"why": ""}, ExplanationRefusal.UNSIGNED),
        ({"first": 10, "last": 12}, ExplanationRefusal.NOTHING_MISSING),
        ({"operator": "NOBODY"}, ExplanationRefusal.NOTHING_MISSING),
    ],
)
def test_the_first_refusal_that_applies_to_an_explanation_is_told(
    city: SmallCity, changes: dict[str, Any], reason: ExplanationRefusal
) -> None:
    present(city, 1, [1, 4])
    city.clear()
    answer = explained(city, replace(NO_TAP, **changes))
    assert isinstance(answer, ExplanationRefused) and answer.reason is reason
    assert city.look(open_gaps) == [Gap("BUS-1", BUS, 2, 3, 2, DAY)]


def test_the_migration_makes_the_tables_as_they_are_defined_and_goes_down_and_up(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in OURS

    for _ in range(2):
        with engine.connect() as conn:
            options = {"include_object": ours, "compare_type": True}
            assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
        assert set(inspect(engine).get_table_names()) >= OURS
        while OURS & set(inspect(engine).get_table_names()):
            migrate(engine, "-1")
        migrate(engine)
