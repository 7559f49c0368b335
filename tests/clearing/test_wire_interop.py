"""Files between cities: read as they were written, each way with magic of its own, and nothing else comes through."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearing.wire.batch import FRAME
from clearing.wire.frame import BatchError, BatchFlaw, BatchFrame
from clearing.wire.interop import ANSWER, PRESENTED, RESULT, ResultLine, read_results, result_lines
from tests.support.clearing_day import TAP

NUMBER = st.integers(0, (1 << 32) - 1)
LINES = st.lists(st.builds(ResultLine, NUMBER, NUMBER, NUMBER, st.integers(0, 255)), max_size=20)
KINDS = (FRAME, PRESENTED, RESULT, ANSWER)


def written(frame: BatchFrame, records: list[bytes]) -> bytes:
    return frame.write(
        operator="KUNMING", sequence=7, business_date=date(2018, 9, 1), made_at=bytes.fromhex("20180901200000"),
        mac_key_version=1, records=records, mac=lambda digest: digest[:16],
    )  # fmt: skip


@given(lines=LINES, frame=st.sampled_from([RESULT, ANSWER]))
def test_lines_are_read_as_they_were_written(lines: list[ResultLine], frame: BatchFrame) -> None:
    file = read_results(written(frame, [line.pack() for line in lines]), frame)
    assert result_lines(file.rows) == lines
    header = file.header
    assert (header.count, header.amount_fen) == (len(lines), sum(line.amount_fen for line in lines))


@given(data=st.binary(max_size=200), at=st.integers(0, 10_000))
def test_whatever_comes_only_the_error_of_frames_comes_out(data: bytes, at: int) -> None:
    whole = written(RESULT, [ResultLine(1, 2, 3, 0).pack()])
    place = at % len(whole)
    for content in (data, whole[:place] + data + whole[place:], whole[:place]):
        try:
            read_results(content)
        except BatchError as error:
            assert error.remedy and error.flaw in BatchFlaw


@pytest.mark.parametrize("sent", KINDS, ids=lambda one: one.suffix)
@pytest.mark.parametrize("read", KINDS, ids=lambda one: one.suffix)
def test_no_file_can_be_sent_back_to_who_made_it(sent: BatchFrame, read: BatchFrame) -> None:
    content = written(sent, [TAP.pack()] if sent.record_bytes == 64 else [ResultLine(1, 0, 160, 0).pack()])
    if sent is read:
        assert read.read(content).header.sequence == 7
        return
    with pytest.raises(BatchError) as refused:
        read.read(content)
    assert refused.value.flaw is BatchFlaw.NOT_A_BATCH
    assert read.parse_name(sent.name("KUNMING", 7)) is None


def test_the_worked_bytes_of_the_format_are_these() -> None:
    assert ResultLine(1, 2, 160, 6).pack().hex() == "0000000100000002000000a006000000"
    content = written(RESULT, [ResultLine(1, 2, 160, 6).pack()])
    assert content[:12] == b"OCR1KUNMING " and content[27] == 16 and len(content) == 64 + 16 + 64
    assert content[-64:-60] == b"OCS1"
