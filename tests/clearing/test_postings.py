"""Who is credited and from whose money, as numbers and in the books."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from card.hotlist import HotlistEntry, hotlist_card
from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing.postings import batch_columns, shares
from clearing.totals import RideTotal, cleared_totals
from clearing.wire.bcd import pack_moment
from clearing.wire.ride import Ride
from ledger.balances import balance
from ledger.db import writing
from ledger.history import history
from tests.support.clearing_day import DAY, TAP, SmallCity, at, card_no, signed

taps = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(1, 500), st.integers(0, 500)),
    max_size=20,
)


@given(taps=taps, purses=st.dictionaries(st.sampled_from("abc"), st.integers(0, 900)))
def test_purses_pay_in_the_order_of_counters_as_far_as_they_reach(
    taps: list[tuple[str, int, int, int]], purses: dict[str, int]
) -> None:
    cards = [card for card, *_ in taps]
    counters, amounts, owed = (np.array([row[n] for row in taps], np.int64) for n in (1, 2, 3))
    paid = np.minimum(amounts, owed)
    parts = shares(cards, counters, amounts, paid, purses)
    left = dict(purses)
    for n in sorted(range(len(taps)), key=lambda n: (cards[n], counters[n], n)):
        covered = min(left.get(cards[n], 0), int(amounts[n]))
        left[cards[n]] = left.get(cards[n], 0) - covered
        assert parts.purse_paid[n] + parts.purse_over[n] == covered
        assert parts.purse_paid[n] == min(covered, paid[n]), "the operator comes before the rider's refund"
        assert parts.purse_paid[n] + parts.short_paid[n] == paid[n]
        assert parts.purse_over[n] + parts.short_over[n] == amounts[n] - paid[n]


MADE_AT = {
    (operator, sequence): datetime(2026, 3, 1, sequence, tzinfo=UTC)
    for operator in ("BUS-1", "METRO")
    for sequence in (1, 2)
}
PAID_TAPS = (
    # operator, sequence, retried, card, counter, amount, paid
    ("BUS-1", 1, False, "A", 2, 170, 160),
    ("BUS-1", 1, False, "A", 1, 100, 100),
    ("BUS-1", 1, False, "B", 1, 50, 40),
    ("BUS-1", 2, True, "A", 3, 80, 70),
    ("METRO", 1, False, "C", 7, 300, 300),
    ("METRO", 2, False, "A", 4, 90, 60),
)
"""Purse A has 215: it covers counter 1, 115 of counter 2, and nothing after; B has 45, C no purse."""


def test_each_part_of_a_tap_is_a_line_of_its_own_batch() -> None:
    names = ("operator", "sequence", "retried", "card_no", "counter", "amount_fen", "paid_fen")
    table = pa.table(dict(zip(names, zip(*PAID_TAPS, strict=True), strict=True)))
    cards = [card for _, _, _, card, *_ in PAID_TAPS]
    counters, amounts, paid = (np.array([row[n] for row in PAID_TAPS], np.int64) for n in (4, 5, 6))
    parts = shares(cards, counters, amounts, paid, {"A": 215, "B": 45})
    headings, lines = batch_columns(table, parts, MADE_AT, date(2026, 3, 2))
    assert [(one.reference, one.kind, one.event_at.hour, one.narrative) for one in headings] == [
        ("batch:BUS-1:1", "clearing", 1, "BUS-1 batch 1"),
        ("batch:BUS-1:2:2026-03-02", "clearing", 2, "BUS-1 batch 2, out of suspense"),
        ("batch:METRO:1", "clearing", 1, "METRO batch 1"),
        ("batch:METRO:2", "clearing", 2, "METRO batch 2"),
    ]
    columns = (lines.entry, lines.debit.to_pylist(), lines.credit.to_pylist(), lines.amount_fen)
    short, over = "suspense:purse_shortfall", "suspense:overcharge"
    assert list(zip(*columns, lines.item.to_pylist(), strict=True)) == [
        (0, "purse:A", "clearing:BUS-1", 115, "A:2"),
        (0, short, "clearing:BUS-1", 45, "A:2"),
        (0, short, over, 10, "A:2"),
        (0, "purse:A", "clearing:BUS-1", 100, "A:1"),
        (0, "purse:B", "clearing:BUS-1", 40, "B:1"),
        (0, "purse:B", over, 5, "B:1"),
        (0, short, over, 5, "B:1"),
        (1, short, "clearing:BUS-1", 70, "A:3"),
        (1, short, over, 10, "A:3"),
        (2, short, "clearing:METRO", 300, "C:7"),
        (3, short, "clearing:METRO", 60, "A:4"),
        (3, short, over, 30, "A:4"),
    ]


@pytest.fixture
def city(engine: Engine, hsm_process: RunningHsm, tmp_path: Path) -> Iterator[SmallCity]:
    with Hsm(hsm_process.host, hsm_process.port) as hsm:
        small = SmallCity(engine, hsm, tmp_path / "city")
        small.furnish(purse_fen=300)
        yield small


def test_a_batch_is_one_entry_with_a_line_a_tap(city: SmallCity) -> None:
    second = replace(
        TAP, card_no=card_no(2), ride=Ride.METRO_EXIT, list_fare_fen=400, amount_fen=200, holder_class=2
    )
    city.present("BUS-1", 7, [signed(TAP), signed(second)])
    results = city.clear()
    assert (results["post"].counts["entries"], results["post"].counts["paid_fen"]) == (1, 360)
    movements = city.look(history, "clearing:BUS-1")
    assert {(m.reference, m.kind, m.item, m.amount_fen, m.counter_account) for m in movements} == {
        ("batch:BUS-1:7", "clearing", f"{card_no(1)}:1", 160, f"purse:{card_no(1)}"),
        ("batch:BUS-1:7", "clearing", f"{card_no(2)}:1", 200, f"purse:{card_no(2)}"),
    }
    assert city.look(cleared_totals, DAY) == [
        RideTotal("BUS-1", Ride.BUS, 1, 200, 160),
        RideTotal("BUS-1", Ride.METRO_EXIT, 1, 400, 200),
    ]


def test_an_overcharge_is_kept_for_the_rider(city: SmallCity) -> None:
    city.present("BUS-1", 1, [signed(replace(TAP, amount_fen=170))])
    city.clear()
    assert city.look(balance, "clearing:BUS-1").balance_fen == 160
    assert city.look(balance, "suspense:overcharge").net_fen == -10
    assert city.look(balance, f"purse:{card_no(1)}").balance_fen == 130


def test_the_operator_is_paid_where_the_shadow_purse_is_too_small(city: SmallCity) -> None:
    rides = [replace(TAP, counter=n, balance_before_fen=10_000 - 160 * (n - 1)) for n in (1, 2, 3)]
    city.present("BUS-1", 1, [signed(rides[2]), signed(rides[0]), signed(rides[1])])
    city.clear()
    assert city.look(balance, "clearing:BUS-1").balance_fen == 480
    assert city.look(balance, f"purse:{card_no(1)}").balance_fen == 0
    assert city.look(balance, "suspense:purse_shortfall").net_fen == 180
    short = {m.item: m.amount_fen for m in city.look(history, "suspense:purse_shortfall")}
    assert short == {f"{card_no(1)}:2": -20, f"{card_no(1)}:3": -160} or short == {
        f"{card_no(1)}:2": 20,
        f"{card_no(1)}:3": 160,
    }


def test_a_tap_in_the_hotlists_grace_is_paid_and_a_later_one_is_not(city: SmallCity) -> None:
    with writing(city.engine) as conn:
        hotlist_card(conn, HotlistEntry(card_no(1), at(8), at(9), "lost"))
    late = replace(TAP, counter=2, balance_before_fen=9_840, moment=pack_moment(at(9)))
    city.present("BUS-1", 1, [signed(TAP), signed(late)])
    city.clear()
    assert list(city.verdicts().values()) == ["hotlisted_grace", "hotlisted"]
    assert city.look(balance, "clearing:BUS-1").balance_fen == 160
