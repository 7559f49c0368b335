"""Records as columns say what the records say, and the rules price them as the tariff does."""

import csv
import tempfile
from dataclasses import replace
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearing.columns import (
    EPOCH,
    Presented,
    numbers,
    rows_of,
    rule_table,
    tap_table,
    texts,
    truths,
    with_fares,
)
from clearing.engine.rules import BOUNDS, FARE, KINDS, LOOK, MATCH, OWN, PRICE, TWINS, rule_text
from clearing.facts import epoch_s, tariff_facts
from clearing.tap_file import PACKED, tap_days
from clearing.verification import tac_columns
from clearing.wire.bcd import moment_of, pack_moment
from clearing.wire.record import JOURNEYS, RecordError, TapRecord
from clearing.wire.ride import Ride
from clearing.wire.tariff import Band, Tariff, fare_fen
from clearing.workfiles import write_groups
from tests.support.clearing_day import DAY, TAP, at, card_no, shenzhen
from tests.support.rules import run

LONG_AGO = at(0, day=date(1995, 1, 1))
whole = st.integers(0, 0xFFFFFFFF)
records = st.builds(
    replace,
    st.just(TAP),
    ride=st.sampled_from([ride for ride in Ride if ride in JOURNEYS]),
    counter=st.integers(0, 0xFFFF),
    balance_before_fen=whole,
    amount_fen=whole,
    terminal=st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex().upper()),
    terminal_sequence=whole,
    tac=st.binary(min_size=4, max_size=4),
    moment=st.integers(0, 10**9).map(lambda late_s: pack_moment(LONG_AGO + timedelta(seconds=late_s))),
    linked=st.booleans(),
    full_fare=st.booleans(),
    holder_class=st.sampled_from([1, 2, 3]),
    list_fare_fen=st.integers(0, 3_000),
).map(TapRecord.pack)  # fmt: skip


def presented(raw: list[bytes], operator: str = "BUS-1", sequence: int = 1) -> Presented:
    return Presented(operator, sequence, DAY, False, np.arange(len(raw)), b"".join(raw))


@settings(max_examples=60)
@given(raw=st.lists(st.one_of(records, st.binary(min_size=64, max_size=64)), max_size=8))
def test_columns_hold_what_records_hold(raw: list[bytes]) -> None:
    table = tap_table([presented(raw)])
    assert rows_of(table).tobytes() == b"".join(raw)
    for n, row in enumerate(table.to_pylist()):
        try:
            record = TapRecord.unpack(raw[n])
        except RecordError as error:
            assert row["malformed"] and row["flaw"] == str(error)[:200]
            assert row["at_s"] is None and row["tap_day"] is None
            continue
        when = moment_of(record.moment)
        assert not row["malformed"] and row["flaw"] == ""
        assert row["at_s"] == epoch_s(when)
        assert row["tap_day"] == (when.date() - date(1970, 1, 1)).days
        for name in ("ride", "issuer", "card_no", "counter", "balance_before_fen", "amount_fen", "kind", "terminal",
                     "terminal_sequence", "list_fare_fen", "holder_class", "linked", "full_fare", "line",
                     "station", "key_version", "algorithm"):  # fmt: skip
            assert row[name] == getattr(record, name), name
        assert row["tac"] == record.tac.hex().upper()


@given(raw=st.lists(st.one_of(records, st.binary(min_size=64, max_size=64)), max_size=8))
def test_a_kind_of_tap_says_what_a_tariff_has_to_know(raw: list[bytes]) -> None:
    taps = tap_table([presented(raw)])
    told = with_fares(
        taps.select(["no", "tap_day", "fare_kind", "malformed"]).filter(taps["fare_kind"].is_valid())
    )
    readable = [row for row in taps.to_pylist() if not row["malformed"]]
    names = ("no", "tap_day", "ride", "holder_class", "list_fare_fen", "linked", "full_fare")
    assert told.select(names).to_pylist() == [{name: row[name] for name in names} for row in readable]


@given(raw=st.lists(records, min_size=1, max_size=4))
def test_the_hsm_is_asked_about_the_bytes_of_the_record(raw: list[bytes]) -> None:
    columns = tac_columns(rows_of(tap_table([presented(raw)])))
    for n, packed in enumerate(raw):
        assert bytes(columns.issuer[n]) == packed[2:6] + b"\xff" * 4
        assert bytes(columns.card[n]) == packed[8:16]
        assert bytes(columns.amount[n]) + bytes(columns.kind[n]) + bytes(columns.terminal[n]) == packed[22:33]
        signed = (
            columns.terminal_sequence,
            columns.date,
            columns.time,
            columns.version,
            columns.algorithm,
            columns.tac,
        )
        assert b"".join(bytes(column[n]) for column in signed) == packed[33:50]


def test_taps_are_numbered_by_operator_sequence_and_position_whatever_order_they_come_in() -> None:
    one, two = TAP.pack(), replace(TAP, counter=2).pack()
    groups = [presented([one, two], "METRO-1", 2), presented([two], "BUS-1", 3), presented([], "BUS-1", 2)]
    table = tap_table(groups)
    assert table.equals(tap_table(groups[::-1]))
    assert list(zip(texts(table, "operator"), numbers(table, "position").tolist(), strict=True)) == [
        ("BUS-1", 0), ("METRO-1", 0), ("METRO-1", 1)
    ]  # fmt: skip
    assert not truths(table, "retried").any()


@given(raw=st.lists(st.one_of(records, st.binary(min_size=64, max_size=64)), max_size=8))
def test_taps_by_card_are_the_same_taps_in_another_order(raw: list[bytes]) -> None:
    groups = [presented(raw[:3], "METRO-1", 2), presented(raw[3:], "BUS-1", 3)]
    by_card = tap_table(groups, 5, by_card=True)
    keys = list(zip(texts(by_card, "card_no"), numbers(by_card, "counter").tolist(), strict=True))
    assert all(keys.index(key) + keys.count(key) > place for place, key in enumerate(keys))
    assert by_card.sort_by("no").equals(tap_table(groups, 5))


def test_only_the_columns_that_are_asked_for_are_made() -> None:
    whole, some = (
        tap_table([presented([TAP.pack()])]),
        tap_table([presented([TAP.pack()])], names=["terminal"]),
    )
    assert "terminal" in some.column_names and "card_no" not in some.column_names
    assert some.equals(whole.select(some.column_names))


@settings(max_examples=30, deadline=None)
@given(
    raw=st.lists(st.one_of(records, st.binary(min_size=64, max_size=64)), max_size=8), rows=st.integers(1, 3)
)
def test_the_file_of_the_taps_says_by_itself_which_days_they_are_of(raw: list[bytes], rows: int) -> None:
    table = rule_table([presented(raw)])
    days = [EPOCH + timedelta(day) for day in table["tap_day"].to_pylist() if day is not None]
    with tempfile.TemporaryDirectory() as folder:
        parts = [table.slice(start, rows) for start in range(0, len(raw), rows)]
        path = write_groups(Path(folder) / "taps.parquet", table.schema, parts, packed=PACKED)
        assert tap_days(path) == ((min(days), max(days)) if days else None)


def test_no_tap_at_all_makes_an_empty_table_of_the_same_columns() -> None:
    assert tap_table([]).schema == tap_table([presented([TAP.pack()])]).schema


def priced(raw: list[bytes], tariffs: list[Tariff]) -> list[int | None]:
    """The price of each record by the rules; None where no tariff covers its day."""
    inputs = {"tap": tap_table([presented(raw)])} | tariff_facts(tariffs)
    found = run(FARE, inputs, "fare")
    prices: dict[int, int] = dict(
        zip(numbers(found, "no").tolist(), numbers(found, "price_fen").tolist(), strict=True)
    )
    return [prices.get(n) for n in range(len(raw))]


bands = st.lists(st.tuples(st.integers(1, 2_900), st.integers(0, 10_000)), max_size=3).map(
    lambda drawn: (
        *(Band(up_to_fen, pay_bp) for up_to_fen, pay_bp in sorted(dict(drawn).items())),
        Band(None, 6_667),
    )
)
tariffs = st.builds(
    replace,
    st.just(shenzhen()),
    linked_discount_fen=st.integers(0, 300),
    bands=st.fixed_dictionaries(dict.fromkeys(Ride, bands)),
    max_fare_fen=st.just(dict.fromkeys(Ride, 3_000)),
    class_pay_bp=st.fixed_dictionaries(
        {1: st.none() | st.integers(0, 10_000), 2: st.just(5_000), 3: st.just(0)}
    ),
)


@settings(max_examples=25, deadline=None)
@given(tariff=tariffs, raw=st.lists(records, min_size=1, max_size=10))
def test_the_rule_prices_as_the_tariff_does(tariff: Tariff, raw: list[bytes]) -> None:
    tariff = replace(tariff, valid_from=date(1990, 1, 1))
    expected = []
    for record in map(TapRecord.unpack, raw):
        facts = {
            name: getattr(record, name)
            for name in ("ride", "list_fare_fen", "holder_class", "linked", "full_fare")
        }
        expected.append(fare_fen(tariff, **facts))
    assert priced(raw, [tariff]) == expected


def test_yesterdays_tap_is_priced_by_yesterdays_tariff() -> None:
    old = replace(
        shenzhen(), valid_to=date(2018, 8, 31), bands={ride: (Band(None, 10_000),) for ride in Ride}
    )
    new = replace(shenzhen(), version=2, valid_from=date(2018, 9, 1))
    newer = replace(old, version=3, valid_from=date(2018, 9, 3), valid_to=date(2018, 9, 3))
    days = [date(2017, 12, 31), date(2018, 8, 31), date(2018, 9, 1), date(2018, 9, 3), date(2018, 9, 4)]
    raw = [replace(TAP, moment=pack_moment(at(0, day=day))).pack() for day in days]
    assert priced(raw, [newer, old, new]) == [None, 200, 160, 200, 160]
    assert priced(raw, [new, newer, old]) == [None, 200, 160, 200, 160]


def test_ten_thousand_real_taps_are_priced_to_the_fen(shared_data: Path) -> None:
    rides = {"METRO_IN": Ride.METRO_ENTRY, "METRO_OUT": Ride.METRO_EXIT, "BUS": Ride.BUS}
    with (shared_data / "szt" / "szt_taps_10k_sample.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    raw = [
        replace(
            TAP,
            card_no=card_no(n),
            ride=rides[row["mode"]],
            list_fare_fen=int(row["deal_value"]),
            amount_fen=int(row["deal_money"]),
            holder_class={"HALF": 2, "FREE": 3}.get(row["fare_class"], 1),
            linked=row["fare_class"] in ("STD_TRANSFER40", "TRANSFER40_UNMARKED"),
            full_fare=row["fare_class"] == "FULL",
        ).pack()
        for n, row in enumerate(rows)
    ]
    assert len(raw) == 10_000
    assert priced(raw, [shenzhen()]) == [int(row["deal_money"]) for row in rows]


RULES = sorted([*LOOK, *KINDS, *BOUNDS, *OWN, *TWINS, *MATCH, *PRICE])


def test_every_rule_that_is_written_down_is_run_once() -> None:
    written = [path.name for path in files("clearing.rules").iterdir() if path.name.endswith(".sql")]
    assert sorted(written) == [f"{rule}.sql" for rule in RULES]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_one_select_with_its_reason_above_it(rule: str) -> None:
    text = rule_text(rule)
    assert text.startswith("-- ")
    sql = "\n".join(line for line in text.upper().splitlines() if not line.startswith("--"))
    assert ";" not in sql
    for engine_dependent in ("DECIMAL", "HASH(", "UNSIGNED", "RANK(", "//", "::"):
        assert engine_dependent not in sql, engine_dependent
