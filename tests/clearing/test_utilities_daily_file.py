"""The biller's daily file: there and back, and every flaw told with its line, its field and the remedy."""

from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearing.sectors.utilities.daily_file import (
    BillerFileError,
    FileFlaw,
    FileLine,
    read_daily_file,
    write_daily_file,
)

DESCRIPTION = Path(__file__).resolve().parents[2] / "docs" / "formats" / "biller-file.md"
DAY = date(2018, 9, 1)
MADE_AT = datetime(2018, 9, 1, 16, 0, tzinfo=UTC)
GOOD = write_daily_file(
    "WATER-1",
    DAY,
    1,
    [FileLine("app:1", "A1", "B1", 3000, MADE_AT), FileLine("app:2", "A2", "B3", 4000, MADE_AT)],
    made_at=MADE_AT,
)
EXAMPLE = b"""OCU1|WATER-1|20180901|1|2|7000|20180901T160000Z
app:1|A1|B1|3000|20180901T160000Z
app:2|A2|B3|4000|20180901T160000Z
"""
NUMBERS = st.from_regex(r"[0-9A-Za-z][0-9A-Za-z-]{0,31}", fullmatch=True)
INSTANTS = st.integers(946_684_800, 4_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))
LINES = st.lists(
    st.builds(
        FileLine,
        st.from_regex(r"[!-{}~]{1,80}", fullmatch=True),
        NUMBERS,
        NUMBERS,
        st.integers(1, 10**14),
        INSTANTS,
    ),
    max_size=5,
    unique_by=lambda line: line.reference,
)


def signed(body: bytes) -> bytes:
    """A body with the trailer that fits it."""
    return body + b"OCE1|" + sha256(body).hexdigest().encode() + b"\n"


def test_the_file_looks_as_its_description_says() -> None:
    assert signed(EXAMPLE) == GOOD
    assert GOOD.decode() in DESCRIPTION.read_text()


@given(lines=LINES, issue=st.integers(1, 999_999), made_at=INSTANTS)
def test_what_is_written_is_read_again(lines: list[FileLine], issue: int, made_at: datetime) -> None:
    content = write_daily_file("GAS-1", DAY, issue, lines, made_at=made_at)
    file = read_daily_file(content)
    assert file.lines == tuple(sorted(lines, key=lambda line: line.reference))
    header = file.header
    assert (header.biller, header.business_date, header.issue, header.made_at) == (
        "GAS-1",
        DAY,
        issue,
        made_at,
    )
    assert (header.count, header.amount_fen) == (len(lines), sum(line.amount_fen for line in lines))
    assert file.digest == sha256(content).hexdigest()


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda body: signed(b"OCU1|" + body + b"\n")))
def test_any_bytes_are_a_file_or_the_files_own_error(content: bytes) -> None:
    try:
        read_daily_file(content)
    except BillerFileError as error:
        assert error.remedy and error.flaw in FileFlaw


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(position: int, change: int) -> None:
    spoilt = bytearray(GOOD)
    spoilt[position] ^= change
    with pytest.raises(BillerFileError):
        read_daily_file(bytes(spoilt))


@given(st.integers(0, len(GOOD) - 1))
def test_no_part_of_a_file_is_taken_for_it(length: int) -> None:
    with pytest.raises(BillerFileError) as caught:
        read_daily_file(GOOD[:length])
    assert caught.value.flaw in (FileFlaw.NOT_A_FILE, FileFlaw.TRUNCATED)


@pytest.mark.parametrize(
    ("old", "new", "flaw", "line", "field"),
    [
        (b"|2|7000|", b"|3|7000|", FileFlaw.COUNT_WRONG, 1, "count"),
        (b"|2|7000|", b"|2|7001|", FileFlaw.AMOUNT_WRONG, 1, "amount"),
        (b"|2|7000|", b"|3|7001|", FileFlaw.COUNT_WRONG, 1, "count"),
        (b"app:2", b"app:1", FileFlaw.REFERENCE_TWICE, 3, "reference"),
        (b"|3000|", b"|0|", FileFlaw.FIELD_MALFORMED, 2, "amount"),
        (b"|3000|", b"|-3000|", FileFlaw.FIELD_MALFORMED, 2, "amount"),
        (b"|3000|", b"|03000|", FileFlaw.FIELD_MALFORMED, 2, "amount"),
        (b"|3000|", b"|30.00|", FileFlaw.FIELD_MALFORMED, 2, "amount"),
        (b"|4000|", b"|100000000000001|", FileFlaw.FIELD_MALFORMED, 3, "amount"),
        (b"|A1|", b"|A 1|", FileFlaw.FIELD_MALFORMED, 2, "account"),
        (b"|B3|", b"||", FileFlaw.FIELD_MALFORMED, 3, "bill"),
        (b"|20180901|", b"|20180931|", FileFlaw.FIELD_MALFORMED, 1, "business date"),
        (b"|1|2|", b"|0|2|", FileFlaw.FIELD_MALFORMED, 1, "issue"),
        (b"4000|20180901T160000Z", b"4000|20180901T250000Z", FileFlaw.FIELD_MALFORMED, 3, "written off at"),
        (b"4000|20180901T160000Z", b"4000", FileFlaw.FIELD_MALFORMED, 3, "fields"),
        (b"app:1", b"app\xe9", FileFlaw.FIELD_MALFORMED, 0, "byte"),
        (b"OCU1", b"OCU2", FileFlaw.NOT_A_FILE, 1, "first field"),
    ],
)
def test_a_flaw_is_told_with_its_place(old: bytes, new: bytes, flaw: FileFlaw, line: int, field: str) -> None:
    with pytest.raises(BillerFileError) as caught:
        read_daily_file(signed(EXAMPLE.replace(old, new)))
    error = caught.value
    assert (error.flaw, error.line, error.field) == (flaw, line, field)
    assert error.remedy in str(error)
