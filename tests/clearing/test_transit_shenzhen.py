"""Shenzhen's matrix and bus rules as one tariff, held against the real taps of 2018-09-01."""

import csv
import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from city.szt import SztTap, read_trace
from clearing.sectors.transit.card_fares import Priced, price_cards
from clearing.sectors.transit.fare_check import check_tariff
from clearing.sectors.transit.fare_columns import price_columns
from clearing.sectors.transit.fare_file import TariffFlawed, read_fares, write_fares
from clearing.sectors.transit.fare_legs import LegKind
from clearing.sectors.transit.fare_taps import Tap, TapKind
from clearing.sectors.transit.fare_tariff import FareTariff, Matrix
from clearing.sectors.transit.matrix_file import PaidArea, fares_of_rules, read_codes, read_matrix
from clearing.sectors.transit.recorded_taps import RecordedTap
from clearing.wire.ride import Ride
from clearing.wire.tariff import parse_tariff
from tests.support.fare_columns import NightTap, fare_columns
from tests.support.fare_examples import FARES

RULES = parse_tariff((FARES.parent / "tariffs" / "shenzhen-2018.json").read_text(encoding="utf-8"))
AREA = PaidArea(limit_min=240, overtime_fen=0, forget_min=1200, missing_exit_fen=0)
KINDS = {Ride.BUS: TapKind.RIDE, Ride.METRO_ENTRY: TapKind.ENTRY, Ride.METRO_EXIT: TapKind.EXIT}
CLASSES = {1: "standard", 2: "half", 3: "free"}
AS_OF = datetime(2018, 9, 4, tzinfo=UTC)


def tap_of(row: SztTap) -> Tap:
    return Tap(
        f"{row.row:05d}", row.card, row.at, KINDS[row.ride], "bus" if row.ride is Ride.BUS else "metro",
        row.site, row.company, row.site, CLASSES[row.holder_class],
        None if row.ride is Ride.METRO_ENTRY else row.list_fare_fen, row.linked, row.full_fare,
    )  # fmt: skip


def priced_taps(tariff: FareTariff, shared_data: Path) -> tuple[list[Priced], dict[str, int]]:
    """All legs, and what each tap really paid."""
    data = (shared_data / "szt" / "szt_taps_10k_sample.csv").read_bytes()
    taps = [tap_of(row) for row in read_trace(data) if isinstance(row, SztTap)]
    lines = csv.DictReader(data.decode("utf-8-sig").splitlines())
    paid_fen = {f"{number:05d}": int(line["deal_money"]) for number, line in enumerate(lines, 2)}
    return [leg for legs in price_cards((tariff,), taps, (), AS_OF).values() for leg in legs], paid_fen


@pytest.fixture(scope="module")
def matrix(shared_data: Path) -> Matrix:
    return read_matrix((shared_data / "szt" / "szmc_fare_matrix_2024.csv.gz").read_bytes())


def test_every_real_tap_pays_what_it_paid_where_list_fares_are_the_gates(shared_data: Path) -> None:
    legs, paid_fen = priced_taps(fares_of_rules(RULES, None, {}, AREA), shared_data)
    assert {leg.leg.pays.id for leg in legs if leg.price_fen != paid_fen[leg.leg.pays.id]} == set()
    by_company: Counter[tuple[str, str]] = Counter()
    for leg in legs:
        kind = {"ride": "BUS", "entry": "METRO_IN", "exit": "METRO_OUT"}[leg.leg.pays.kind]
        by_company[leg.leg.pays.operator, kind] += leg.price_fen
    totals = json.loads((shared_data / "szt" / "reference_totals_10k.json").read_text(encoding="utf-8"))
    for row in totals["by_company_mode"]:
        assert by_company[row["company"], row["mode"]] == row["paid_fen"]
    assert sum(by_company.values()) == totals["all"]["paid_fen"]


def test_the_matrix_of_2024_knows_nearly_every_journey_of_2018(shared_data: Path, matrix: Matrix) -> None:
    legs, paid_fen = priced_taps(fares_of_rules(RULES, matrix, {}, AREA), shared_data)
    journeys = [leg for leg in legs if leg.leg.kind is LegKind.JOURNEY]
    same = [leg for leg in journeys if leg.price_fen == paid_fen[leg.leg.pays.id] and not leg.refusal]
    assert (len(same), len(journeys)) == (31, 32)
    [odd] = [leg for leg in journeys if leg not in same]
    assert abs(odd.price_fen - paid_fen[odd.leg.pays.id]) == 95, "one step of the matrix, less 5%"
    others = [leg for leg in legs if leg.leg.kind is not LegKind.JOURNEY]
    assert [leg for leg in others if leg.price_fen != paid_fen[leg.leg.pays.id]] == []


def night_tap(row: SztTap) -> NightTap:
    line, station = divmod(int(row.row), 1 << 16)
    return NightTap(
        RecordedTap(
            row.company, 1, row.row, row.card, int(row.at.timestamp()), int(row.ride), line, station,
            row.holder_class, row.list_fare_fen, row.linked, row.full_fare,
        )
    )  # fmt: skip


def test_the_nights_kernel_prices_every_real_tap_as_it_paid(shared_data: Path) -> None:
    data = (shared_data / "szt" / "szt_taps_10k_sample.csv").read_bytes()
    taps = [row for row in read_trace(data) if isinstance(row, SztTap)]
    paid_fen = [int(line["deal_money"]) for line in csv.DictReader(data.decode("utf-8-sig").splitlines())]
    columns = fare_columns([night_tap(row) for row in taps])
    tariff = fares_of_rules(RULES, None, {}, AREA)
    found = price_columns((tariff,), columns, [], int(AS_OF.timestamp()))
    assert (int(columns.list_fare_fen.sum()), int(found.price_fen.sum())) == (2_135_950, 1_745_845)
    assert found.price_fen.tolist() == paid_fen
    assert not found.refusal.any()


def test_the_published_matrix_has_every_pair_and_makes_a_tariff_without_flaws(
    shared_data: Path, matrix: Matrix
) -> None:
    codes = read_codes((shared_data / "szt" / "szt_site_codes.csv").read_bytes())
    tariff = fares_of_rules(RULES, matrix, codes, AREA)
    assert (len(matrix.stations), matrix.both_ways) == (306, True)
    assert sum(len(row) for row in matrix.fares_fen) == 46_971
    assert check_tariff(tariff) == []
    assert read_fares(write_fares(tariff)) == tariff
    assert len(tariff.aliases) > 100 and tariff.aliases["268-30"] == "宝安中心"


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("from,to,fare\n甲,乙,2\n", "the header is no fare_yuan: head it from,to,fare_yuan"),
        ("from,to,fare_yuan\n", "the matrix is empty: give its rows"),
        ("from,to,fare_yuan\n甲,乙,2.555\n", "row 2 fare_yuan is 2.555: give yuan, such as 4 or 4.50"),
        ("from,to,fare_yuan\n甲,,2\n", "row 2 is '甲' to '': name both stations"),
        (
            "from,to,fare_yuan\n甲,乙,2\n甲,乙,3\n",
            "row 3 fare_yuan is 3: an earlier row says 200 fen: give each pair one fare",
        ),
    ],
)
def test_a_matrix_that_cannot_be_read_is_refused_by_row(text: str, flaw: str) -> None:
    with pytest.raises(TariffFlawed) as refused:
        read_matrix(gzip.compress(text.encode()))
    assert str(refused.value) == flaw


def test_a_damaged_archive_and_a_cell_without_end_are_refused() -> None:
    whole = gzip.compress(b"from,to,fare_yuan\n" + bytes(range(65, 91)) * 9)
    for data in (
        whole[:20] + b"\xff\xff\xff" + whole[23:],
        whole[:-9],
        b"from,to,fare_yuan\n" + b"A" * 140_000,
    ):
        with pytest.raises(TariffFlawed):
            read_matrix(data)


def test_fares_that_differ_by_direction_make_a_square_and_a_missing_pair_a_gap() -> None:
    matrix = read_matrix("from,to,fare_yuan\n甲,甲,0\n甲,乙,2\n乙,甲,2.5\n".encode())
    assert matrix == Matrix(("甲", "乙"), False, ((0, 200), (250, None)))
    flaws = check_tariff(fares_of_rules(RULES, matrix, {}, AREA))
    assert [str(flaw) for flaw in flaws] == [
        "matrices.metro.fares_fen is no fare from 乙 to 乙: fill the gap"
    ]
