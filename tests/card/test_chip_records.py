"""The purse log, trips and the paid area, on real cards and on ours."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card.chip.records import PaidArea, PurseRecord, RecordError, TripKind, TripRecord

H = bytes.fromhex
UINT32 = st.integers(0, 0xFFFFFFFF)


def blob(width: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=width, max_size=width)


@given(blob(23))
def test_a_purse_record_reads_and_writes_every_byte(raw: bytes) -> None:
    assert PurseRecord.unpack(raw).pack() == raw


@given(blob(48))
def test_a_trip_record_reads_and_writes_every_byte(raw: bytes) -> None:
    assert TripRecord.unpack(raw).pack() == raw


PAID_AREAS = st.builds(
    PaidArea, st.booleans(), blob(7), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), blob(6), UINT32
)


@given(PAID_AREAS)
def test_the_paid_area_reads_back_as_it_was_written(area: PaidArea) -> None:
    assert len(area.pack()) == 128
    assert PaidArea.unpack(area.pack()) == area


@given(PAID_AREAS, st.integers(48, 128 * 8 - 1))
def test_a_bit_turned_under_the_checksum_is_noticed(area: PaidArea, bit: int) -> None:
    turned = bytearray(area.pack())
    turned[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RecordError, match="checksum"):
        PaidArea.unpack(bytes(turned))


@pytest.mark.parametrize("record", [PurseRecord, TripRecord, PaidArea])
def test_a_record_of_another_length_is_refused(record: type[PurseRecord | TripRecord | PaidArea]) -> None:
    with pytest.raises(RecordError, match="5 bytes"):
        record.unpack(bytes(5))


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (PurseRecord(1, 0, 100, 6, bytes(5), bytes(7)), "terminal"),
        (PurseRecord(1, 1 << 24, 100, 6, bytes(6), bytes(7)), "overdraft_fen"),
        (PurseRecord(1 << 16, 0, 100, 6, bytes(6), bytes(7)), "record"),
        (PurseRecord(1, 0, -1, 6, bytes(6), bytes(7)), "record"),
        (PaidArea(inside=True, moment=b""), "moment"),
    ],
)
def test_a_record_field_that_does_not_fit_is_named(record: PurseRecord | PaidArea, field: str) -> None:
    with pytest.raises(RecordError) as refused:
        record.pack()
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["tunion_nfsee.json", "tunion_records_beijing_2024.json"])
def test_real_purse_logs_say_what_is_known_of_them(shared_data: Path, name: str) -> None:
    document = json.loads((shared_data / "chip" / name).read_text())
    raws = [H(answer)[:-2] for sent, answer in document["apdus"] if sent[6:8] == "C4"]
    assert len(raws) == len(document["expected"]["log"]) > 0
    for raw, known in zip(raws, document["expected"]["log"], strict=True):
        record = PurseRecord.unpack(raw)
        assert record == PurseRecord(
            known["seq"],
            int(known["overdraft"], 16),
            known["amount_fen"],
            known["type"],
            H(known["terminal"]),
            H(known["ts"]),
        )


def test_a_real_trip_says_what_is_known_of_it(shared_data: Path) -> None:
    document = json.loads((shared_data / "chip" / "tunion_records_beijing_2024.json").read_text())
    (raw,) = [H(answer)[:-2] for sent, answer in document["apdus"] if sent[6:8] == "F4"]
    (known,) = document["expected"]["travel"]
    assert TripRecord.unpack(raw) == TripRecord(
        kind=TripKind.EXIT,
        terminal=H(known["terminal"]),
        industry=known["industry"],
        line=H(known["line"]),
        station=H(known["station"]),
        operator=H(known["operator"]),
        amount_fen=known["amount_fen"],
        balance_fen=known["balance_fen"],
        moment=H(known["ts"]),
        city=H(known["city"]),
        acquirer=H(known["acquirer"]),
    )
