"""The batch file: taken whole or refused with one clear flaw."""

import itertools
from collections.abc import Callable
from datetime import date
from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clearing.wire.batch import (
    Batch,
    BatchError,
    BatchFlaw,
    Ride,
    TapRecord,
    parse_batch_name,
    read_batch,
    write_batch,
)
from clearing.wire.names import batch_name

DAY = date(2018, 9, 1)
MADE_AT = bytes.fromhex("20180902003000")


def tap(amount_fen: int, counter: int = 1) -> bytes:
    return TapRecord(
        ride=Ride.BUS, issuer="01011000", card_no="03104870000000001234", counter=counter,
        balance_before_fen=10000, amount_fen=amount_fen, kind=9, terminal="518000000001",
        terminal_sequence=counter, moment=bytes.fromhex("20180901081500"), key_version=1,
        algorithm=0, tac=b"\1\2\3\4", list_fare_fen=amount_fen, holder_class=1, linked=False,
        full_fare=True, line=1, station=2, tariff_version=1, hotlist_version=1,
    ).pack()  # fmt: skip


def seal(digest: bytes) -> bytes:
    """Stands in for the HSM's MAC: reading does not look at it."""
    return sha256(b"seal" + digest).digest()[:16]


def batch(*amounts_fen: int, operator: str = "METRO-1", sequence: int = 42) -> bytes:
    return write_batch(
        operator=operator, sequence=sequence, business_date=DAY, made_at=MADE_AT, mac_key_version=1,
        records=[tap(amount, counter) for counter, amount in enumerate(amounts_fen)], mac=seal,
    )  # fmt: skip


WHOLE = batch(200, 0, 315)


def resealed(data: bytes, *changes: tuple[int, str]) -> bytes:
    """Change bytes and make the checksum right again, as a maker of wrong files would."""
    raw = bytearray(data)
    for offset, text in changes:
        raw[offset : offset + len(text) // 2] = bytes.fromhex(text)
    raw[-60:-28] = sha256(raw[:-64]).digest()
    return bytes(raw)


@given(
    amounts=st.lists(st.integers(0, 2**32 - 1), max_size=20),
    operator=st.from_regex(r"\A[A-Z0-9]([A-Z0-9-]{0,6}[A-Z0-9])?\Z"),
    sequence=st.integers(1, 2**32 - 1),
)
def test_what_is_written_is_read_back(amounts: list[int], operator: str, sequence: int) -> None:
    data = batch(*amounts, operator=operator, sequence=sequence)
    read = read_batch(data)
    assert (read.header.operator, read.header.sequence, read.header.business_date) == (
        operator,
        sequence,
        DAY,
    )
    assert (read.header.made_at, read.header.mac_key_version) == (MADE_AT, 1)
    assert (read.header.count, read.header.amount_fen) == (len(amounts), sum(amounts))
    assert [read.tap(index).amount_fen for index in range(len(amounts))] == amounts
    assert read.rows()["amount_fen"].tolist() == amounts
    assert (read.digest, read.mac) == (sha256(data[:-64]).digest(), seal(read.digest))
    assert parse_batch_name(batch_name(operator, sequence)) == (operator, sequence)


def test_a_tap_beyond_the_last_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        read_batch(WHOLE).tap(3)


@pytest.mark.parametrize(
    ("data", "flaw", "offset"),
    [
        (b"", BatchFlaw.EMPTY, 0),
        (b"PK\x03\x04 an archive", BatchFlaw.NOT_A_BATCH, 0),
        (b"OCB", BatchFlaw.TRUNCATED, 3),
        (WHOLE[:63], BatchFlaw.TRUNCATED, 63),
        (WHOLE[:64], BatchFlaw.TRUNCATED, 64),
        (WHOLE[:200], BatchFlaw.TRUNCATED, 200),
        (WHOLE[:-64], BatchFlaw.TRUNCATED, len(WHOLE) - 64),
        (WHOLE[:-1], BatchFlaw.TRUNCATED, len(WHOLE) - 1),
        (WHOLE + b"\0", BatchFlaw.TRAILING, len(WHOLE)),
        (WHOLE + WHOLE, BatchFlaw.TRAILING, len(WHOLE)),
        (resealed(WHOLE, (27, "20")), BatchFlaw.RECORD_SIZE, 27),
        (resealed(WHOLE, (28, "00000002")), BatchFlaw.COUNT, 28),
        (resealed(WHOLE, (28, "00000004")), BatchFlaw.COUNT, 28),
        (WHOLE[:-64] + b"OCB1" + WHOLE[-60:], BatchFlaw.TRAILER, len(WHOLE) - 64),
        (WHOLE[:100] + b"\x77" + WHOLE[101:], BatchFlaw.CHECKSUM, len(WHOLE) - 60),
        (resealed(WHOLE, (4, "6d6574726f202020")), BatchFlaw.OPERATOR, 4),
        (resealed(WHOLE, (4, "ff")), BatchFlaw.OPERATOR, 4),
        (resealed(WHOLE, (4, "2020202020202020")), BatchFlaw.OPERATOR, 4),
        (resealed(WHOLE, (12, "00000000")), BatchFlaw.SEQUENCE, 12),
        (resealed(WHOLE, (16, "20180931")), BatchFlaw.BUSINESS_DATE, 16),
        (resealed(WHOLE, (16, "2018090A")), BatchFlaw.BUSINESS_DATE, 16),
        (resealed(WHOLE, (20, "20180902250000")), BatchFlaw.MADE_AT, 20),
        (resealed(WHOLE, (40, "00")), BatchFlaw.MAC_KEY_VERSION, 40),
        (resealed(WHOLE, (41, "01")), BatchFlaw.RESERVED, 41),
        (WHOLE[:-1] + b"\1", BatchFlaw.RESERVED, len(WHOLE) - 12),
        (resealed(WHOLE, (32, "0000000000000204")), BatchFlaw.TOTAL, 32),
    ],
)
def test_a_wrong_file_is_refused_with_its_flaw_and_offset(data: bytes, flaw: BatchFlaw, offset: int) -> None:
    with pytest.raises(BatchError) as refused:
        read_batch(data)
    error = refused.value
    assert (error.flaw, error.offset) == (flaw, offset)
    assert f"at byte {offset}" in str(error)
    assert error.field in str(error)
    assert str(error).endswith(error.remedy)


def test_the_flaws_come_in_the_order_of_their_precedence() -> None:
    spoilers: list[tuple[BatchFlaw, Callable[[bytes], bytes]]] = [
        (BatchFlaw.RECORD_SIZE, lambda data: resealed(data, (27, "20"))),
        (BatchFlaw.COUNT, lambda data: resealed(data, (28, "00000009"))),
        (BatchFlaw.OPERATOR, lambda data: resealed(data, (4, "ff"))),
        (BatchFlaw.SEQUENCE, lambda data: resealed(data, (12, "00000000"))),
        (BatchFlaw.BUSINESS_DATE, lambda data: resealed(data, (16, "20180931"))),
        (BatchFlaw.MADE_AT, lambda data: resealed(data, (20, "9A"))),
        (BatchFlaw.MAC_KEY_VERSION, lambda data: resealed(data, (40, "00"))),
        (BatchFlaw.RESERVED, lambda data: resealed(data, (41, "01"))),
        (BatchFlaw.TOTAL, lambda data: resealed(data, (39, "00"))),
    ]
    order = list(BatchFlaw)
    for (first, spoil_first), (second, spoil_second) in itertools.combinations(spoilers, 2):
        with pytest.raises(BatchError) as refused:
            read_batch(spoil_second(spoil_first(WHOLE)))
        assert refused.value.flaw is min(first, second, key=order.index), (first, second)


@example(bit=27 * 8 + 1)
@example(bit=31 * 8)
@given(bit=st.integers(0, len(WHOLE) * 8 - 1))
def test_one_bit_turned_is_refused_or_shows_in_the_mac(bit: int) -> None:
    turned = bytearray(WHOLE)
    turned[bit // 8] ^= 0x80 >> bit % 8
    if len(WHOLE) - 28 <= bit // 8 < len(WHOLE) - 12:
        assert read_batch(bytes(turned)).mac != seal(read_batch(bytes(turned)).digest)
    else:
        with pytest.raises(BatchError):
            read_batch(bytes(turned))


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_a_file_cut_at_any_byte_is_refused_there(length: int) -> None:
    with pytest.raises(BatchError) as refused:
        read_batch(WHOLE[:length])
    assert refused.value.offset == length
    assert refused.value.flaw is (BatchFlaw.TRUNCATED if length else BatchFlaw.EMPTY)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: WHOLE[:64] + tail))
def test_any_bytes_give_a_batch_or_its_error_and_nothing_else(data: bytes) -> None:
    try:
        assert isinstance(read_batch(data), Batch)
    except BatchError as error:
        assert 0 <= error.offset <= len(data)


def test_a_batch_without_taps_is_a_batch() -> None:
    assert read_batch(batch()).header.count == 0


def test_one_unreadable_record_does_not_sink_the_batch() -> None:
    read = read_batch(resealed(WHOLE, (64 + 1, "09")))
    with pytest.raises(Exception, match="ride is 9"):
        read.tap(0)
    assert read.tap(2).amount_fen == 315


@pytest.mark.parametrize("operator", ["", "metro", "NINE-LONG", "-A", "A-", "地铁", "A B"])
def test_a_batch_of_an_impossible_operator_is_not_written(operator: str) -> None:
    with pytest.raises(BatchError, match="operator"):
        batch(1, operator=operator)


@pytest.mark.parametrize("sequence", [0, -1, 2**32])
def test_a_batch_of_an_impossible_sequence_is_not_written(sequence: int) -> None:
    with pytest.raises(BatchError, match="sequence"):
        batch(1, sequence=sequence)


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("METRO-1-00000042.ocb", ("METRO-1", 42)),
        ("BUS-4294967295.ocb", ("BUS", 4294967295)),
        ("METRO-1-42.ocb", None),
        ("METRO-1-0000000042.ocb", None),
        ("metro-1-00000042.ocb", None),
        ("METRO-1-00000042.ocb.tmp", None),
        ("../A-00000001.ocb", None),
        ("METRO-1-00000042.ocb\n", None),
    ],
)
def test_a_name_is_read_only_as_it_is_written(name: str, parsed: tuple[str, int] | None) -> None:
    assert parse_batch_name(name) == parsed
