"""A diary survives whatever stops its writer, even in the middle of a line."""

from pathlib import Path

import pytest

from city.diary import Diary, read_diary


def test_what_was_noted_is_there_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "diary.jsonl"
    assert read_diary(path) == []
    with Diary(path) as diary:
        diary.note(asked="1-pay", body={"amount_fen": 5, "why": "面"})
        assert read_diary(path) == diary.lines
    with Diary(path) as again:
        again.note(answered="1-pay", status=201)
        assert [sorted(line) for line in again.lines] == [["asked", "body"], ["answered", "status"]]
    assert read_diary(path) == again.lines


@pytest.mark.parametrize("torn", [b'{"asked": "2', b"{", b'{"asked": "2-pay"}'])
def test_a_line_torn_by_a_crash_was_never_written(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "diary.jsonl"
    with Diary(path) as diary:
        diary.note(asked="1-pay")
    path.write_bytes(path.read_bytes() + torn)
    assert read_diary(path) == [{"asked": "1-pay"}]
    with Diary(path) as diary:
        assert diary.lines == [{"asked": "1-pay"}]
        diary.note(asked="2-pay")
    assert read_diary(path) == [{"asked": "1-pay"}, {"asked": "2-pay"}]
