"""QR records and batches: round trips, every flaw by its name, and what no bytes may do."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearing.wire.batch import BatchError, BatchFlaw
from clearing.wire.names import qr_batch_name
from clearing.wire.qr_batch import parse_qr_batch_name, read_qr_batch, write_qr_batch
from clearing.wire.qr_record import AMOUNT_OFFSET, CODE_BYTES, QR_RECORD_BYTES, QrRide
from clearing.wire.record import JOURNEYS, RecordError
from clearing.wire.ride import Ride

MADE_AT = bytes.fromhex("20180901233000")
RIDE = QrRide(
    Ride.BUS, "518000000001", 7, bytes.fromhex("20180901080000"), 160, 200, True, False, 1, 2, 3, b"code"
)
RIDES = st.builds(
    QrRide, ride=st.sampled_from(sorted(JOURNEYS)).map(Ride),
    terminal=st.from_regex(r"[0-9A-F]{12}", fullmatch=True),
    terminal_sequence=st.integers(0, 0xFFFFFFFF), moment=st.just(RIDE.moment),
    amount_fen=st.integers(0, 0xFFFFFFFF), list_fare_fen=st.integers(0, 0xFFFFFFFF), linked=st.booleans(),
    full_fare=st.booleans(), line=st.integers(0, 0xFFFF), station=st.integers(0, 0xFFFF),
    tariff_version=st.integers(0, 0xFFFF), code=st.binary(min_size=1, max_size=CODE_BYTES),
)  # fmt: skip


def batch_of(*rides: QrRide, operator: str = "BUS-1", sequence: int = 42) -> bytes:
    return write_qr_batch(
        operator=operator, sequence=sequence, business_date=date(2018, 9, 1), made_at=MADE_AT,
        mac_key_version=1, records=[ride.pack() for ride in rides], mac=lambda digest: digest[:16],
    )  # fmt: skip


def resealed(data: bytes) -> bytes:
    """The same file with a checksum that holds, as a sender with wrong software would make it."""
    digest = sha256(data[:-64]).digest()
    return data[:-60] + digest + data[-28:]


@given(ride=RIDES)
@settings(max_examples=60)
def test_a_record_is_read_as_it_was_written(ride: QrRide) -> None:
    packed = ride.pack()
    assert (len(packed), QrRide.unpack(packed)) == (QR_RECORD_BYTES, ride)
    assert int.from_bytes(packed[AMOUNT_OFFSET : AMOUNT_OFFSET + 4], "big") == ride.amount_fen


@given(data=st.binary(max_size=QR_RECORD_BYTES + 1) | st.binary(min_size=50, max_size=50).map(
    lambda head: (b"\1\1" + head).ljust(QR_RECORD_BYTES, b"\0")))  # fmt: skip
@settings(max_examples=100)
def test_whatever_the_record_only_the_modules_own_error_comes_out(data: bytes) -> None:
    try:
        ride = QrRide.unpack(data)
    except RecordError:
        return
    assert ride.pack() == data


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"terminal": "51"}, "terminal"),
        ({"terminal": "no"}, "terminal"),
        ({"moment": bytes(7)}, "moment"),
        ({"code": b""}, "code length"),
        ({"code": bytes(CODE_BYTES + 1)}, "code length"),
        ({"amount_fen": -1}, "a number"),
        ({"ride": 5}, "ride"),
    ],
)
def test_a_record_that_cannot_be_is_not_written(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(RecordError) as refused:
        replace(RIDE, **wrong).pack()  # type: ignore[arg-type]
    assert refused.value.field == field


@given(rides=st.lists(RIDES, max_size=4), sequence=st.integers(1, 0xFFFFFFFF))
@settings(max_examples=30)
def test_a_batch_is_read_as_it_was_written(rides: list[QrRide], sequence: int) -> None:
    batch = read_qr_batch(batch_of(*rides, sequence=sequence))
    assert [QrRide.unpack(body) for body in batch.records] == rides
    assert batch.header.amount_fen == sum(ride.amount_fen for ride in rides)
    assert (batch.header.operator, batch.header.sequence, batch.mac) == ("BUS-1", sequence, batch.digest[:16])


GOOD = batch_of(RIDE, RIDE)


@pytest.mark.parametrize(
    ("spoil", "flaw"),
    [
        (lambda data: b"", BatchFlaw.EMPTY),
        (lambda data: b"OCB1" + data[4:], BatchFlaw.NOT_A_BATCH),
        (lambda data: data[:27] + b"\0\x40" + data[29:], BatchFlaw.RECORD_SIZE),
        (lambda data: data[:20], BatchFlaw.TRUNCATED),
        (lambda data: data[:-1], BatchFlaw.TRUNCATED),
        (lambda data: data + b"\0", BatchFlaw.TRAILING),
        (lambda data: data[:-64] + b"OCE1" + data[-60:], BatchFlaw.TRAILER),
        (lambda data: data[:80] + b"\xff" + data[81:], BatchFlaw.CHECKSUM),
        (lambda data: resealed(data[:4] + b"bus     " + data[12:]), BatchFlaw.OPERATOR),
        (lambda data: resealed(data[:4] + b"\xff" * 8 + data[12:]), BatchFlaw.OPERATOR),
        (lambda data: resealed(data[:12] + bytes(4) + data[16:]), BatchFlaw.SEQUENCE),
        (lambda data: resealed(data[:16] + b"\x20\x18\x13\x01" + data[20:]), BatchFlaw.BUSINESS_DATE),
        (lambda data: resealed(data[:20] + bytes(7) + data[27:]), BatchFlaw.MADE_AT),
        (lambda data: resealed(data[:41] + b"\0" + data[42:]), BatchFlaw.MAC_KEY_VERSION),
        (lambda data: resealed(data[:63] + b"\1" + data[64:]), BatchFlaw.RESERVED),
        (lambda data: data[:-1] + b"\1", BatchFlaw.RESERVED),
        (lambda data: resealed(data[:40] + b"\1" + data[41:]), BatchFlaw.TOTAL),
    ],
)
def test_a_wrong_file_is_refused_for_its_flaw(spoil: Callable[[bytes], bytes], flaw: BatchFlaw) -> None:
    with pytest.raises(BatchError) as refused:
        read_qr_batch(spoil(GOOD))
    assert refused.value.flaw is flaw


@given(place=st.integers(0, len(GOOD) - 1), value=st.integers(0, 255))
@settings(max_examples=100)
def test_whatever_byte_is_changed_only_the_modules_own_error_comes_out(place: int, value: int) -> None:
    changed = GOOD[:place] + bytes([value]) + GOOD[place + 1 :]
    for data in (changed, changed[:place], resealed(changed)):
        try:
            read_qr_batch(data)
        except BatchError:
            continue
        assert data[:4] == b"OQB1"


def test_a_record_or_mac_of_another_length_is_not_put_into_a_batch() -> None:
    with pytest.raises(ValueError, match="384 bytes"):
        write_qr_batch(operator="BUS-1", sequence=1, business_date=date(2018, 9, 1), made_at=MADE_AT,
                       mac_key_version=1, records=[b"short"], mac=lambda digest: digest[:16])  # fmt: skip
    with pytest.raises(ValueError, match="16 bytes"):
        write_qr_batch(operator="BUS-1", sequence=1, business_date=date(2018, 9, 1), made_at=MADE_AT,
                       mac_key_version=1, records=[], mac=lambda digest: digest)  # fmt: skip


def test_a_name_says_whose_batch_it_is() -> None:
    assert parse_qr_batch_name(qr_batch_name("BUS-1", 42)) == ("BUS-1", 42)
    for name in ("BUS-1-00000042.ocb", "BUS-1-42.oqb", "bus-1-00000042.oqb", "BUS-1-000000042.oqb"):
        assert parse_qr_batch_name(name) is None
