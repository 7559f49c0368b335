"""The Shenzhen trace: what is read from a row, and what a bad row says."""

from pathlib import Path

import pytest

from city.szt import BadRow, SztTap, TraceError, read_trace
from clearing.wire.batch import Ride

HEADER = "card_no,deal_date,mode,company_name,site,equ_no,site_code,deal_value,deal_money,fare_class"
ROW = "FHEEEDADJ,2018-09-01 11:18:07,METRO_OUT,地铁五号线,下水径,263030102,263030,400,380,STD"


def trace(*rows: str) -> bytes:
    return "\n".join([HEADER, *rows, ""]).encode()


def test_a_row_becomes_a_tap_with_the_city_zone() -> None:
    (tap,) = read_trace(trace(ROW))
    assert isinstance(tap, SztTap)
    assert (tap.row, tap.card, tap.ride, tap.company) == (2, "FHEEEDADJ", Ride.METRO_EXIT, "地铁五号线")
    assert tap.at.isoformat() == "2018-09-01T11:18:07+08:00"
    assert (tap.list_fare_fen, tap.holder_class, tap.linked, tap.full_fare) == (400, 1, False, False)


@pytest.mark.parametrize(
    ("fare_class", "holder_class", "linked", "full_fare"),
    [
        ("STD", 1, False, False),
        ("STD_TRANSFER40", 1, True, False),
        ("TRANSFER40_UNMARKED", 1, True, False),
        ("HALF", 2, False, False),
        ("FREE", 3, False, False),
        ("FULL", 1, False, True),
    ],
)
def test_the_fare_class_says_holder_and_discounts(
    fare_class: str, holder_class: int, linked: bool, full_fare: bool
) -> None:
    (tap,) = read_trace(trace(ROW.replace("STD", fare_class)))
    assert isinstance(tap, SztTap)
    assert (tap.holder_class, tap.linked, tap.full_fare) == (holder_class, linked, full_fare)


@pytest.mark.parametrize(
    ("good", "bad", "field"),
    [
        ("FHEEEDADJ", "", "card_no"),
        ("2018-09-01 11:18:07", "yesterday", "deal_date"),
        ("METRO_OUT", "TAXI", "mode"),
        ("地铁五号线", "", "company_name"),
        ("263030102", "26303010x", "equ_no"),
        (",400,", ",-4,", "deal_value"),
        (",400,", ",4.00,", "deal_value"),
        ("STD", "SENIOR", "fare_class"),
    ],
)
def test_a_bad_row_is_kept_with_its_field_and_remedy_and_the_others_go_on(
    good: str, bad: str, field: str
) -> None:
    first, second = read_trace(trace(ROW.replace(good, bad), ROW))
    assert isinstance(first, BadRow)
    assert (first.row, first.field, first.original) == (2, field, ROW.replace(good, bad))
    assert first.remedy.startswith("give ")
    assert isinstance(second, SztTap)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the header has no card_no"),
        (b"card_no,deal_date\n", "the header has no mode"),
        ("公司".encode("gbk"), "is not UTF-8"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_whole(data: bytes, says: str) -> None:
    with pytest.raises(TraceError, match=says):
        list(read_trace(data))


def test_every_row_of_the_real_trace_can_be_read(shared_data: Path) -> None:
    rows = list(read_trace((shared_data / "szt" / "szt_taps_10k_sample.csv").read_bytes()))
    assert len(rows) == 10_000
    assert [row for row in rows if isinstance(row, BadRow)] == []
