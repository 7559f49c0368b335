"""What holds for every history: caps, order, late batches, rounding once, and a slow reference for the flat rules."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from clearing.sectors.transit.base_fare import fits
from clearing.sectors.transit.card_fares import Priced, period_start, price_card, price_cards, rounded
from clearing.sectors.transit.fare_legs import LegKind
from clearing.sectors.transit.fare_taps import Holding, Tap, TapKind
from clearing.sectors.transit.fare_tariff import (
    AsListed,
    Discount,
    FareTariff,
    PayLess,
    PayShare,
    Period,
    Scope,
)
from clearing.sectors.transit.late_taps import adjustments
from tests.support.fare_examples import AS_OF, shipped

CITY = (shipped("example-city-1"), shipped("example-city-2"))
STEPS = (shipped("stepped-monthly-1"),)
BEGIN = datetime(2026, 6, 27, tzinfo=UTC)  # the tariff changes within
PLACES = {
    "bus": ("",),
    "ferry": ("",),
    "metro": ("东门", "中心", "南站", "机场"),
    "regional": ("中心", "西郊", "湖滨", "山门"),
    "suburban": ("石桥", "北门", "河口"),
}


@st.composite
def histories(draw: st.DrawFn) -> list[Tap]:
    """Up to 25 taps of up to two cards over a week; many at close instants."""
    taps = []
    for place in range(draw(st.integers(1, 25))):
        mode = draw(st.sampled_from(list(PLACES)))
        one = len(PLACES[mode]) == 1
        taps.append(
            Tap(
                id=f"{place:02d}",
                card=draw(st.sampled_from("ab")),
                at=BEGIN + timedelta(minutes=10 * draw(st.integers(0, 6 * 24 * 7))),
                kind=TapKind.RIDE if one else draw(st.sampled_from([TapKind.ENTRY, TapKind.EXIT])),
                mode=mode,
                station=draw(st.sampled_from(PLACES[mode])),
                line=draw(st.sampled_from(["1", "2"])),
                category=draw(st.sampled_from(["standard", "student", "senior", "staff"])),
                list_fare_fen=draw(st.none() | st.integers(0, 2000)),
                linked=draw(st.booleans()),
                full_fare=draw(st.sampled_from([False, False, False, True])),
            )
        )
    return taps


holdings = st.lists(
    st.builds(
        Holding,
        st.sampled_from("ab"),
        st.just("day pass"),
        st.integers(0, 7 * 24).map(lambda hours: BEGIN + timedelta(hours=hours)),
    ),
    max_size=2,
)


def all_legs(
    tariffs: tuple[FareTariff, ...], taps: list[Tap], bought: list[Holding], as_of: datetime = AS_OF
) -> list[Priced]:
    return [leg for legs in price_cards(tariffs, taps, bought, as_of).values() for leg in legs]


@given(histories(), holdings, st.randoms(use_true_random=False))
def test_a_price_does_not_depend_on_the_order_in_which_taps_come(taps, bought, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = [*taps, *taps[: len(taps) // 2]]
    random.shuffle(shuffled)
    assert price_cards(CITY, shuffled, bought, AS_OF) == price_cards(CITY, taps, bought, AS_OF)


@given(histories(), holdings)
def test_no_price_is_negative_and_no_discount_makes_a_leg_dearer(
    taps: list[Tap], bought: list[Holding]
) -> None:
    for leg in all_legs(CITY, taps, bought):
        assert 0 <= leg.penalty_fen <= leg.price_fen
        assert isinstance(leg.price_fen, int)
        without_overtime = [step.after for step in leg.steps if step.rule != "overtime"]
        assert without_overtime == sorted(without_overtime, reverse=True)
        if leg.refusal:
            assert (leg.price_fen, leg.steps) == (0, ())


@given(histories(), holdings, st.integers(0, 1500), st.integers(0, 5000))
def test_a_cap_is_never_exceeded(taps: list[Tap], bought: list[Holding], day_fen: int, week_fen: int) -> None:
    tariff = replace(CITY[0], valid_to=None)
    tariff = replace(
        tariff,
        caps=(replace(tariff.caps[0], limit_fen=day_fen), replace(tariff.caps[1], limit_fen=week_fen)),
    )
    paid_fen: dict[tuple[str, str, date], int] = defaultdict(int)
    for leg in all_legs((tariff,), taps, bought):
        for cap in tariff.caps:
            if not leg.leg.pays.full_fare and fits(tariff, cap.scope, leg.leg, ""):
                began = period_start(cap.per, tariff.day_of(leg.leg.began.at))
                paid_fen[cap.name, leg.leg.pays.card, began] += leg.price_fen - leg.penalty_fen
    for (name, _card, _day), fen in paid_fen.items():
        assert fen <= {"day cap": day_fen, "week cap": week_fen}[name]


@given(histories(), holdings, st.data())
@settings(max_examples=60)
def test_late_batches_cost_together_what_the_history_costs_in_order(
    taps: list[Tap], bought: list[Holding], data: st.DataObject
) -> None:
    batch_of = {tap.id: data.draw(st.integers(0, 3), label=tap.id) for tap in taps}
    charged_fen: dict[str, int] = {}
    for batch in range(4):
        known = [tap for tap in taps if batch_of[tap.id] <= batch]
        # The nights go by while batches are missing: entries may be given up and taken back.
        as_of = AS_OF if batch == 3 else BEGIN + timedelta(days=2 * batch)
        for due in adjustments(CITY, known, bought, charged_fen, as_of):
            charged_fen[due.tap.id] = charged_fen.get(due.tap.id, 0) + due.due_fen
    at_once = {leg.leg.pays.id: leg.price_fen for leg in all_legs(CITY, taps, bought)}
    assert {name: fen for name, fen in charged_fen.items() if fen} == {
        name: fen for name, fen in at_once.items() if fen
    }


@given(histories())
def test_every_tap_is_paid_by_itself_or_by_the_exit_of_its_journey(taps: list[Tap]) -> None:
    legs = all_legs(CITY, taps, [])
    paying = [leg.leg.pays.id for leg in legs]
    begun = [leg.leg.began.id for leg in legs if leg.leg.kind is LegKind.JOURNEY]
    assert sorted(paying + begun) == sorted(tap.id for tap in taps)


@given(st.lists(st.integers(0, 30_000), max_size=30))
def test_steps_of_a_month_agree_with_a_slow_sum(listed_fen: list[int]) -> None:
    taps = [
        Tap(f"{place:02d}", "n", datetime(2026, 5, 1, 4, place, tzinfo=UTC), TapKind.RIDE, "rail", "",
            list_fare_fen=fen)
        for place, fen in enumerate(listed_fen)
    ]  # fmt: skip
    spent, expected = 0, []
    for fen in listed_fen:
        share = 100 if spent < 10_000 or spent >= 40_000 else 80 if spent < 15_000 else 50
        expected.append(min((2 * fen * share + 100) // 200, 45_000 - spent))
        spent += expected[-1]
    assert [leg.price_fen for leg in price_card(STEPS, taps, (), AS_OF)] == expected


shares = st.integers(0, 10_000).map(lambda bp: PayShare("share", bp))
reductions = st.integers(0, 500).map(lambda fen: PayLess("less", fen))


@given(st.integers(0, 100_000), st.lists(shares | reductions, max_size=5))
def test_stacked_discounts_are_exact_and_rounded_once_half_up(
    fen: int, pays: list[PayShare | PayLess]
) -> None:
    tariff = replace(
        STEPS[0],
        fares=(replace(STEPS[0].fares[0], price=AsListed("list", 100_000)),),
        discounts=tuple(Discount(f"d{place}", Scope(), pay) for place, pay in enumerate(pays)),
        caps=(),
    )
    exact = Fraction(fen)
    for pay in pays:
        exact = (
            exact * pay.pay_bp / 10_000
            if isinstance(pay, PayShare)
            else max(Fraction(0), exact - pay.off_fen)
        )
    tap = Tap("1", "n", BEGIN, TapKind.RIDE, "rail", "", list_fare_fen=fen)
    [leg] = price_card((tariff,), [tap], (), AS_OF)
    assert leg.price_fen == rounded(exact)
    assert exact - Fraction(1, 2) < leg.price_fen <= exact + Fraction(1, 2)


@given(st.dates(date(2020, 1, 1), date(2035, 1, 1)), st.sampled_from(list(Period)))
def test_a_period_begins_at_or_before_its_days_and_with_itself(day: date, per: Period) -> None:
    start = period_start(per, day)
    assert start <= day <= start + timedelta(days={Period.DAY: 0, Period.WEEK: 6, Period.MONTH: 30}[per])
    assert period_start(per, start) == start
    assert per is not Period.WEEK or start.weekday() == 0


@given(histories())
def test_an_open_entry_costs_nothing_and_a_forgotten_one_pays(taps: list[Tap]) -> None:
    entry = replace(taps[0], kind=TapKind.ENTRY, mode="metro", station="东门", category="standard")
    soon, late = entry.at + timedelta(minutes=300), entry.at + timedelta(minutes=301)
    [open_leg] = all_legs(CITY, [entry], [], soon)
    [missing] = all_legs(CITY, [entry], [], late)
    assert (open_leg.leg.kind, open_leg.price_fen) == (LegKind.OPEN, 0)
    assert (missing.leg.kind, missing.penalty_fen) == (LegKind.MISSING_EXIT, missing.price_fen)
    assert missing.price_fen in (700, 800)
