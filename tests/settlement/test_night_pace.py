"""What a night is expected to take: from past nights where there are any, never below zero, never falling."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis.strategies import integers, lists, tuples

from ledger.db import reading
from settlement.night import STEPS, run_night
from settlement.night_pace import DEFAULTS, UNKNOWN, Pace, pace_of, paces, past_nights
from tests.settlement.conftest import PreparedDay
from tests.settlement.small_day import DAY

NAMES = [name for name, _ in STEPS]


@given(
    seen=lists(tuples(integers(0, 10_000_000), integers(0, 10_000_000)), min_size=1, max_size=7),
    taps=integers(0, 10_000_000),
    more=integers(0, 10_000_000),
)
def test_more_taps_never_take_less_and_nothing_takes_less_than_nothing(
    seen: list[tuple[int, int]], taps: int, more: int
) -> None:
    pace = pace_of(seen)
    assert 0 <= pace.expected_ms(taps) <= pace.expected_ms(taps + more)


@given(
    fixed_ms=integers(0, 60_000), per_tap_us=integers(0, 5_000),
    sizes=lists(integers(0, 1_000).map(lambda size: size * 1_000), min_size=2, max_size=7, unique=True),
)  # fmt: skip
def test_nights_that_kept_one_pace_tell_it_exactly(fixed_ms: int, per_tap_us: int, sizes: list[int]) -> None:
    kept = Pace(fixed_ms, per_tap_us)
    found = pace_of([(size, kept.expected_ms(size)) for size in sizes])
    assert abs(found.fixed_ms - fixed_ms) <= 1 + per_tap_us // 1_000
    assert abs(found.per_tap_us - per_tap_us) <= 1


def test_one_night_is_taken_to_grow_with_its_taps_beyond_a_fixed_part() -> None:
    assert pace_of([(1_000, 2_200)]) == Pace(200, 2_000)
    assert pace_of([(1_000, 150)]) == Pace(150, 0)
    assert pace_of([(0, 900)]) == Pace(200, 0)


def test_nights_without_a_fixed_part_are_not_given_one() -> None:
    assert pace_of([(size, 3 * size // 1_000) for size in (5_000, 7_000, 11_000)]) == Pace(0, 3)


def test_a_first_night_has_defaults_for_every_step() -> None:
    first = paces([], NAMES)
    assert first == {name: DEFAULTS.get(name, UNKNOWN) for name in NAMES}
    assert set(DEFAULTS) <= set(NAMES)


def test_only_nights_that_were_timed_to_the_end_are_experience(day: PreparedDay) -> None:
    ticks = iter(range(10_000))
    run_night(day.engine, day.night, clock=lambda: float(next(ticks)))
    with reading(day.engine) as conn:
        (night,) = past_nights(conn, before=DAY + timedelta(days=1))
        assert past_nights(conn, before=DAY) == []
    assert (night.taps, set(night.took_ms), set(night.took_ms.values())) == (12, set(NAMES), {1_000})
    assert night.left_bytes > 0
    assert paces([night], ["seal"])["seal"].expected_ms(12) == 200 + 800 * 1_000 // 12 * 12 // 1_000


def test_a_night_without_a_clock_teaches_nothing(settled: PreparedDay) -> None:
    with reading(settled.engine) as conn:
        assert past_nights(conn, before=date(2030, 1, 1)) == []
