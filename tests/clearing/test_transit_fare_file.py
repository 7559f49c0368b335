"""The tariff file: read strictly, written as it was read, and described by its schema."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearing.sectors.transit.fare_file import TariffFlawed, is_fare_file, read_fares, schema, write_fares
from clearing.sectors.transit.taps_file import read_taps
from tests.support.changed_json import changed_json
from tests.support.fare_examples import FARES, ROOT, ZONE, shipped

TEXT = (FARES / "example-city-1.json").read_text(encoding="utf-8")


def changed(*path: str | int, to: Any) -> str:
    """The example tariff with one member changed (or, where `to` is ..., left out)."""
    return changed_json(TEXT, *path, to=to)


def flaws_of(text: str) -> list[str]:
    with pytest.raises(TariffFlawed) as refused:
        read_fares(text)
    return [str(flaw) for flaw in refused.value.flaws]


def test_the_schema_in_the_documents_is_that_of_the_reader() -> None:
    written = json.loads((ROOT / "docs" / "formats" / "tariff.schema.json").read_text(encoding="utf-8"))
    assert written == schema()
    assert set(written["required"]) <= set(written["properties"])
    assert written["additionalProperties"] is False


@pytest.mark.parametrize("path", sorted(FARES.glob("*.json")), ids=lambda path: path.stem)
def test_a_shipped_tariff_is_written_as_it_stands(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert write_fares(read_fares(text)) == text


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        (changed("version", to=1.5), "version is 1.5: Input should be a valid integer"),
        (changed("valid_to", to=...), "valid_to is missing: write it"),
        (changed("valid_from", to=20260101), "valid_from is 20260101: write the day as YYYY-MM-DD"),
        (changed("capps", to=[]), "capps is []: it is not known here: correct its name, or take it away"),
        (
            changed("modes", "metro", "limit_min", to=0),
            "modes.metro.limit_min is 0: Input should be greater than or equal to 1",
        ),
        (
            changed("discounts", 4, "pay", "pay_bp", to=10_001),
            "discounts.4.pay.pay_bp is 10001: Input should be less than or equal to 10000",
        ),
        (
            changed("matrices", "metro", "fares_fen", 0, 0, to=-1),
            "matrices.metro.fares_fen.0.0 is -1: Input should be greater than or equal to 0",
        ),
        (
            changed("fares", 3, "price", "steps", 1, "fare_fen", to=-1),
            "fares.3.price.steps.1.fare_fen is -1: Input should be greater than or equal to 0",
        ),
        (
            changed("fares", 2, "price", "matrix", to=7),
            "fares.2.price.matrix is 7: Input should be a valid string",
        ),
        ('{"format": 1, "format": 2}', "format is twice: write it once"),
        ("{", "line 1 is Expecting property name enclosed in double quotes: write the file as JSON"),
    ],
)
def test_a_member_that_cannot_be_is_named_with_value_and_remedy(text: str, flaw: str) -> None:
    assert flaw in flaws_of(text)


def test_all_flaws_are_told_at_once() -> None:
    whole = json.loads(TEXT)
    whole["version"], whole["currency"] = 0, "yuan"
    assert len(flaws_of(json.dumps(whole))) == 2


def _lists_and_objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner) | st.dictionaries(st.text(), inner)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), _lists_and_objects))
def test_whatever_stands_in_a_file_only_flaws_come_out(value: Any) -> None:
    for text in (json.dumps(value), changed("caps", to=value), changed("fares", 0, "scope", to=value)):
        try:
            assert read_fares(text).name == "example-city"
        except TariffFlawed as refused:
            assert refused.flaws and all(flaw.remedy for flaw in refused.flaws)


def test_the_older_tariff_is_told_apart_by_its_missing_format() -> None:
    older = (FARES.parent / "tariffs" / "shenzhen-2018.json").read_text(encoding="utf-8")
    assert (is_fare_file(TEXT), is_fare_file(older)) == (True, False)


def test_days_are_those_of_the_tariffs_own_zone() -> None:
    tariff = shipped("example-city-2")
    assert not tariff.in_force(datetime(2026, 6, 30, 15, 59, tzinfo=UTC))
    assert tariff.in_force(datetime(2026, 6, 30, 16, 0, tzinfo=UTC))
    assert tariff.always().in_force(datetime(1990, 1, 1, tzinfo=UTC))


def test_taps_are_read_with_defaults_and_the_zone_of_the_tariff() -> None:
    data = "card,at,kind,mode,list_fare_fen,linked,paid_fen\nA,2026-03-02T08:00,ride,bus,200,1,160\n"
    [one] = read_taps(data.encode(), ZONE)
    assert one.tap.at == datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
    assert (one.tap.category, one.tap.linked, one.tap.full_fare) == ("standard", True, False)
    assert (one.tap.list_fare_fen, one.paid_fen, one.tap.id) == (200, 160, "row 0000002")


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        ("card,at,kind\n", "the header is no mode"),
        ("card,at,kind,mode\n" + "A" * 140_000, "line 2 is field larger than field limit (131072)"),
        ("card,at,kind,mode,colour\n", "the header is colour unknown"),
        ("card,at,kind,mode\n", "the file is no taps: give a row a tap"),
        ("card,at,kind,mode\nA,yesterday,ride,bus\n", "row 2 at is yesterday: give a time such as"),
        ("card,at,kind,mode\nA,2026-03-02,jump,bus\n", "row 2 kind is jump: give one of ride, entry, exit"),
        ("card,at,kind,mode,paid_fen\nA,2026-03-02,ride,bus,1.6\n", "row 2 paid_fen is 1.6: give whole fen"),
        (
            "id,card,at,kind,mode\n1,A,2026-03-02,ride,bus\n1,A,2026-03-02,ride,bus\n",
            "row 3 id is 1: give each",
        ),
    ],
)
def test_a_tap_that_cannot_be_read_is_named_by_its_row(data: str, flaw: str) -> None:
    with pytest.raises(TariffFlawed) as refused:
        read_taps(data.encode(), ZONE)
    assert flaw in str(refused.value)
