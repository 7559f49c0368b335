"""Fare tariffs at random: every kind of rule, few names, so that rules meet."""

from datetime import date, timedelta

from hypothesis import strategies as st

from clearing.sectors.transit.fare_tariff import (
    WEEKDAYS,
    AreaFare,
    AsListed,
    Band,
    ByAreas,
    ByDistance,
    ByMatrix,
    Cap,
    Discount,
    DistanceStep,
    EntryExit,
    Fare,
    FareTariff,
    FixedCharge,
    Flat,
    HalfCharge,
    HighestCharge,
    Line,
    ListCharge,
    Matrix,
    OneTap,
    Pay,
    PayBands,
    PayFixed,
    PayLess,
    PayShare,
    PaySteps,
    PayTogether,
    Period,
    Price,
    Product,
    Quota,
    Scope,
    SpendStep,
    Transfer,
    Window,
)

FIRST_DAY = date(2026, 6, 26)
"""A Friday; the month ends within the week of the histories."""
GATED, OPEN_MODES = ("metro", "rail"), ("bus", "ferry")
MODES = (*GATED, *OPEN_MODES)
STATIONS = ("甲", "乙", "丙")
CATEGORIES = ("standard", "student")
OPERATORS = ("BUS-1", "METRO-1")
LINES = ("1", "2", "R")
fen = st.integers(0, 900)
shares = st.sampled_from([0, 3333, 5000, 9500, 10_000])
periods = st.sampled_from(list(Period))
clocks = st.sampled_from(["00:00", "07:00", "12:00", "20:30", "24:00"])
matrices = st.lists(st.none() | fen, min_size=9, max_size=9).map(
    lambda cells: Matrix(STATIONS, False, (tuple(cells[:3]), tuple(cells[3:6]), tuple(cells[6:])))
)
both_ways = st.lists(st.none() | fen, min_size=6, max_size=6).map(
    lambda cells: Matrix(STATIONS, True, (tuple(cells[:1]), tuple(cells[1:3]), tuple(cells[3:])))
)


def few(names: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.one_of(st.just(()), st.just(()), st.lists(st.sampled_from(names), max_size=2).map(tuple))


def windows() -> st.SearchStrategy[Window]:
    days = st.lists(st.sampled_from(WEEKDAYS), min_size=3, max_size=7, unique=True).map(tuple)
    calendar = st.sampled_from([None, None, "holidays", "none"])
    return st.builds(Window, days, clocks, clocks, calendar, calendar)


def scopes(fares: tuple[str, ...] = ()) -> st.SearchStrategy[Scope]:
    return st.builds(
        Scope,
        few(MODES),
        few(fares) if fares else st.just(()),
        few(OPERATORS),
        few(LINES),
        few(CATEGORIES),
        st.just(()) | st.lists(windows(), max_size=2).map(tuple),
    )


def prices() -> st.SearchStrategy[Price]:
    steps = st.tuples(fen, fen).map(lambda two: (DistanceStep(5_000, two[0]), DistanceStep(None, two[1])))
    places = st.sampled_from(["in", "out", "*"])
    pairs = st.lists(st.builds(AreaFare, places, places, fen), min_size=1, max_size=3).map(tuple)
    areas = st.just({"甲": ("in",), "乙": ("in", "out"), "丙": ("out",)})
    return st.one_of(
        st.builds(Flat, st.just("flat"), fen),
        st.builds(AsListed, st.just("list"), st.integers(100, 900)),
        st.builds(ByMatrix, st.just("matrix"), st.sampled_from(["one", "two"])),
        st.builds(ByDistance, st.just("distance"), st.just("net"), steps),
        st.builds(ByAreas, st.just("areas"), areas, pairs),
    )


def pays() -> st.SearchStrategy[Pay]:
    bands = st.tuples(st.integers(1, 400), shares, shares).map(
        lambda three: (Band(three[0], three[1]), Band(None, three[2]))
    )
    steps = st.tuples(st.integers(0, 500), shares, shares).map(
        lambda three: (SpendStep(three[0], three[1]), SpendStep(three[0] + 400, three[2]))
    )
    return st.one_of(
        st.builds(PayShare, st.just("share"), shares),
        st.builds(PayLess, st.just("less"), fen),
        st.builds(PayFixed, st.just("fixed"), fen),
        st.builds(PayBands, st.just("bands"), bands),
        st.builds(PaySteps, st.just("steps"), periods, steps),
        st.builds(PayTogether, st.just("together"), fen),
    )


def charges() -> st.SearchStrategy[HalfCharge]:
    return st.one_of(
        st.builds(FixedCharge, st.just("fixed"), fen),
        st.just(HighestCharge("highest")),
        st.builds(ListCharge, st.just("list"), fen),
    )


@st.composite
def fare_tariffs(draw: st.DrawFn, version: int = 1) -> FareTariff:
    """A tariff of a few rules; versions differ in all but the names of their rules."""
    gated = st.builds(
        EntryExit, st.just("entry_exit"), st.integers(30, 200), fen, st.integers(200, 400), charges(), charges()
    )  # fmt: skip
    names = ("fare 0", "fare 1", "fare 2")
    transfers = st.none() | st.builds(
        Transfer, st.integers(20, 300), st.sampled_from(["begin", "end", "first"]), few(MODES), few(names),
        st.booleans(), st.integers(1, 3),
    )  # fmt: skip
    quotas = st.none() | st.none() | st.builds(Quota, st.integers(1, 3), periods)
    mode_of_line = st.sampled_from([*MODES, "tram"])
    starts = FIRST_DAY + timedelta(days=3 * (version - 1))
    ends = draw(st.none() | st.integers(0, 6).map(lambda days: starts + timedelta(days=days)))
    return FareTariff(
        format="onecard-fares-1",
        name="random",
        version=version,
        valid_from=starts,
        valid_to=ends,
        currency="CNY",
        zone=draw(st.sampled_from(["Asia/Shanghai", "Asia/Shanghai", "Asia/Kathmandu", "Europe/Berlin"])),
        modes={name: draw(gated) for name in GATED} | dict.fromkeys(OPEN_MODES, OneTap("one")),
        categories={"standard": (1,), "student": (2, 4)},
        fares=tuple(
            Fare(name, draw(scopes()), draw(prices())) for name in names[: draw(st.integers(1, 3))]
        )
        + (Fare("rest", Scope(), Flat("flat", 200)),) * draw(st.booleans()),
        discounts=tuple(
            Discount(
                f"discount {place}", draw(scopes((*names, "rest"))), draw(pays()), draw(st.booleans()),
                draw(st.sampled_from([False, False, True])), draw(transfers),
                draw(st.sampled_from([None, None, None, "pass", "unsold"])), draw(quotas),
            )
            for place in range(draw(st.integers(0, 4)))
        ),
        caps=tuple(
            Cap(f"cap {place}", draw(scopes((*names, "rest"))), draw(periods), draw(st.integers(0, 1500)))
            for place in range(draw(st.integers(0, 2)))
        ),
        products=(Product("pass", 500, draw(periods), draw(st.integers(1, 2))),),
        calendars={"holidays": (FIRST_DAY + timedelta(days=1), FIRST_DAY + timedelta(days=4))},
        matrices={"one": draw(matrices), "two": draw(both_ways)},
        networks={"net": {"L1": {"甲": 0, "乙": 3_000}, "L2": {"乙": 0, "丙": 4_000}}},
        aliases={"1-1": "甲", "1-2": "乙", "2-1": "丙", "3-1": "甲"},
        lines={"3": Line("R", draw(mode_of_line))},
    )  # fmt: skip
