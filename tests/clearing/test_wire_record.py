"""The 64-byte tap record: round trip, refusals, and the same answer from columns as from values."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearing.wire.moments import moments_of
from clearing.wire.record import RECORD_BYTES, RECORD_DTYPE, RecordError, TapRecord, unreadable
from clearing.wire.ride import Ride

TAP = TapRecord(
    ride=Ride.METRO_EXIT,
    issuer="01011000",
    card_no="03104870000000001234",
    counter=0x36,
    balance_before_fen=10000,
    amount_fen=200,
    kind=9,
    terminal="518000000001",
    terminal_sequence=0x57,
    moment=bytes.fromhex("20260131164329"),
    key_version=1,
    algorithm=0,
    tac=bytes.fromhex("800122FC"),
    list_fare_fen=210,
    holder_class=1,
    linked=False,
    full_fare=True,
    line=5,
    station=0x5840,
    tariff_version=1,
    hotlist_version=7,
)
PACKED = bytes.fromhex(
    "01 03 01011000 03104870000000001234 0036 00002710 000000C8 09 518000000001 00000057"
    "20260131164329 01 00 800122FC 000000D2 01 02 0005 5840 0001 0007"
)


def uints(width: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << 8 * width) - 1)


def hexes(width: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=width, max_size=width).map(lambda raw: raw.hex().upper())


def taps() -> st.SearchStrategy[TapRecord]:
    return st.builds(
        TapRecord,
        ride=st.sampled_from(Ride), issuer=hexes(4), card_no=st.integers(0, 10**20 - 1).map("{:020d}".format),
        counter=uints(2), balance_before_fen=uints(4), amount_fen=uints(4), kind=st.sampled_from((6, 9)),
        terminal=hexes(6), terminal_sequence=uints(4),
        moment=st.datetimes().map(lambda at: bytes.fromhex(f"{at.year:04d}{at:%m%d%H%M%S}")),
        key_version=uints(1), algorithm=uints(1), tac=st.binary(min_size=4, max_size=4),
        list_fare_fen=uints(4), holder_class=st.integers(1, 255), linked=st.booleans(),
        full_fare=st.booleans(), line=uints(2), station=uints(2), tariff_version=uints(2),
        hotlist_version=uints(2),
    ).map(lambda tap: replace(tap, kind=6) if tap.ride is Ride.PURCHASE else tap)  # fmt: skip


def test_the_layout_is_the_documents() -> None:
    assert TAP.pack() == PACKED
    assert TapRecord.unpack(PACKED) == TAP


@given(taps())
def test_what_is_packed_is_unpacked_unchanged(tap: TapRecord) -> None:
    packed = tap.pack()
    assert len(packed) == RECORD_BYTES == RECORD_DTYPE.itemsize
    assert TapRecord.unpack(packed) == tap
    row = np.frombuffer(packed, RECORD_DTYPE)[0]
    assert (int(row["counter"]), int(row["amount_fen"]), int(row["list_fare_fen"]), int(row["station"])) == (
        tap.counter, tap.amount_fen, tap.list_fare_fen, tap.station,
    )  # fmt: skip
    assert bytes(row["tac"]) == tap.tac
    assert bytes(row["moment"]) == tap.moment


@pytest.mark.parametrize(
    ("field", "offset", "value"),
    [
        ("version", 0, "02"),
        ("ride", 1, "00"),
        ("ride", 1, "06"),
        ("kind", 1, "05"),  # a purchase at a counter is no CAPP purchase
        ("card_no", 6, "A3"),
        ("kind", 26, "02"),
        ("moment", 37, "20260230"),
        ("moment", 41, "240000"),
        ("moment", 37, "2026013F"),
        ("holder_class", 54, "00"),
        ("flags", 55, "04"),
    ],
)
def test_a_value_the_format_does_not_know_is_refused_by_its_field(
    field: str, offset: int, value: str
) -> None:
    data = bytearray(PACKED)
    data[offset : offset + len(value) // 2] = bytes.fromhex(value)
    with pytest.raises(RecordError) as refused:
        TapRecord.unpack(bytes(data))
    assert refused.value.field == field
    assert refused.value.remedy in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (replace(TAP, card_no="123"), "card_no"),
        (replace(TAP, issuer="0101"), "issuer"),
        (replace(TAP, terminal="zz"), "terminal"),
        (replace(TAP, tac=b"\0"), "tac"),
        (replace(TAP, moment=b"\x20\x26"), "moment"),
        (replace(TAP, counter=0x10000), "a number"),
        (replace(TAP, amount_fen=-1), "a number"),
        (replace(TAP, holder_class=0), "holder_class"),
    ],
)
def test_a_value_without_a_place_in_the_record_is_not_written(wrong: TapRecord, field: str) -> None:
    with pytest.raises(RecordError) as refused:
        wrong.pack()
    assert refused.value.field == field


@pytest.mark.parametrize("length", [0, 63, 65])
def test_another_length_is_refused(length: int) -> None:
    with pytest.raises(RecordError, match="length"):
        TapRecord.unpack(bytes(length))


@settings(max_examples=300)
@given(tap=taps(), changes=st.lists(st.tuples(st.integers(0, 63), uints(1)), max_size=3))
def test_columns_find_unreadable_exactly_what_values_refuse(
    tap: TapRecord, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(tap.pack())
    for offset, byte in changes:
        data[offset] = byte
    try:
        read = TapRecord.unpack(bytes(data))
        assert read.pack() == data
        refused = False
    except RecordError:
        refused = True
    assert unreadable(np.frombuffer(bytes(data), RECORD_DTYPE)).tolist() == [refused]


@given(
    moments=st.lists(
        st.sampled_from(["20260302080000", "20260302080001", "20260303080000", "20260230080000"])
    )
)
def test_a_moment_is_read_alike_alone_and_beside_others(moments: list[str]) -> None:
    packed = np.array([list(bytes.fromhex(one)) for one in moments], np.uint8).reshape(-1, 7)
    together = moments_of(packed)
    for place in range(len(moments)):
        alone = moments_of(packed[place : place + 1])
        for name in ("days", "seconds", "good"):
            assert getattr(together, name)[place] == getattr(alone, name)[0]
    assert len(together.days) == len(together.seconds) == len(together.good) == len(moments)


def test_columns_know_every_day_of_the_calendar_and_no_other() -> None:
    days = [
        (year, month, day) for year in (0, 1900, 2000, 2023, 2024) for month in range(14) for day in range(33)
    ]
    rows = np.tile(np.frombuffer(PACKED, RECORD_DTYPE), len(days))
    for row, (year, month, day) in zip(rows, days, strict=True):
        row["moment"][:4] = list(bytes.fromhex(f"{year:04d}{month:02d}{day:02d}"))
    for row, bad in zip(rows, unreadable(rows), strict=True):
        try:
            TapRecord.unpack(row.tobytes())
            assert not bad
        except RecordError:
            assert bad
