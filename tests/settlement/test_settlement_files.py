"""Files: whole or not there, and harmless to who opens them."""

from pathlib import Path

import pytest

from settlement.files import placed, write_csv


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
