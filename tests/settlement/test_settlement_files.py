"""Files: whole or not there, and harmless to who opens them."""

import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from city.home import CITY_ZONE
from settlement.files import placed, write_csv
from settlement.workbook import Workbook


def test_a_file_that_fails_half_way_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    write_csv(path, ("name",), [("before",)])
    with pytest.raises(ZeroDivisionError), placed(path) as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"\xef\xbb\xbfname\r\nbefore\r\n"


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+cmd", "'+cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3", "'-2+3"),
        ("-0.05", "-0.05"),
        ("-12", "-12"),
        ("深圳地铁", "深圳地铁"),
        (-5, "-5"),
    ],
)
def test_a_cell_from_outside_never_becomes_a_formula(tmp_path: Path, cell: object, written: str) -> None:
    path = write_csv(tmp_path / "out" / "report.csv", ("name", "next"), [(cell, "")])
    assert path.read_text(encoding="utf-8-sig").splitlines()[1] == f"{written},"


def test_a_workbook_leaves_nothing_outside_its_place_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night that is killed then leaves no halves of statements in the machine's folder of temporary files."""
    elsewhere = tmp_path / "temporary"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    with Workbook(tmp_path / "book.xlsx", datetime(2026, 3, 2, tzinfo=UTC)) as book:
        book.sheet("Taps", ("card", "yuan"))
        for number in range(2_000):
            book.row((f"{number:020d}", number))
        assert list(elsewhere.iterdir()) == []
    assert (tmp_path / "book.xlsx").stat().st_size > 0


def test_a_workbook_is_the_same_whatever_zone_its_instant_is_given_in(tmp_path: Path) -> None:
    made_at = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
    for name, instant in (("utc", made_at), ("city", made_at.astimezone(CITY_ZONE))):
        with Workbook(tmp_path / name, instant) as book:
            book.head(("one line",))
    assert (tmp_path / "utc").read_bytes() == (tmp_path / "city").read_bytes()


def test_a_file_that_finds_no_room_leaves_no_half_behind(tmp_path: Path) -> None:
    """Written by a process that may write no file of more than ten bytes, as on a disk that is full."""
    write = "import pathlib, sys; from clearing.atomic_files import *; write_new(pathlib.Path(sys.argv[1]), bytes(99))"
    tried = subprocess.run(
        ["prlimit", "--fsize=10", sys.executable, "-c", write, tmp_path / "archived"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert tried.returncode == 1 and "File too large" in tried.stderr
    assert list(tmp_path.iterdir()) == []
