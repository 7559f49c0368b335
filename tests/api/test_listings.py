"""What a table shows at a terminal of any width, and in a pipe."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from api.doors import Screen
from api.listings import PROSE_CELLS, Listing, figure, prose

ROOT = Path(__file__).parents[2]
ID = "03104870000000900005"
WORDS = st.text("abcde-:0123456789收款", min_size=1, max_size=30)
CELLS = st.lists(WORDS, max_size=8).map(" ".join)


@pytest.fixture(autouse=True)
def _nobody_says_how_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def printed(listing: Listing, columns: int | None) -> list[str]:
    """The lines on a terminal of so many columns; in a pipe where none are given."""
    out = io.StringIO()
    terminal = columns is not None
    Screen(file=out, width=columns, force_terminal=terminal, color_system=None, highlight=False).print(
        listing
    )
    return out.getvalue().splitlines()


def items() -> Listing:
    listing = Listing(figure("no"), "card", prose("what"), figure("yuan"), "due on")
    listing.add("7", ID, "two taps of which both have one counter; it is hotlisted", "4.00", "2026-03-03")
    listing.add("12", ID, "", "1,500.00", "2026-04-01")
    return listing


def test_in_a_pipe_a_row_is_one_line_and_ends_with_its_last_cell() -> None:
    assert printed(items(), None) == [
        "no  card                  what                                                          yuan  due on",
        "─" * 104,
        f" 7  {ID}  two taps of which both have one counter; it is hotlisted      4.00  2026-03-03",
        f"12  {ID}                                                            1,500.00  2026-04-01",
    ]


def test_prose_gives_way_first_between_words() -> None:
    assert printed(items(), 80) == [
        "no  card                  what                                  yuan  due on",
        "─" * 80,
        f" 7  {ID}  two taps of which both have one       4.00  2026-03-03",
        "                          counter; it is hotlisted",
        f"12  {ID}                                    1,500.00  2026-04-01",
    ]


def test_what_has_no_room_stands_under_its_row() -> None:
    assert printed(items(), 60) == [
        "no  card                      yuan  due on",
        "─" * 46,
        f" 7  {ID}      4.00  2026-03-03",
        "  what  two taps of which both have one counter; it is",
        "        hotlisted",
        f"12  {ID}  1,500.00  2026-04-01",
    ]
    assert printed(items(), 30) == [
        "no      yuan  due on",
        "─" * 24,
        " 7      4.00  2026-03-03",
        f"  card  {ID}",
        "  what  two taps of which both",
        "        have one counter; it",
        "        is hotlisted",
        "12  1,500.00  2026-04-01",
        f"  card  {ID}",
    ]


@given(
    rows=st.lists(st.tuples(WORDS, CELLS, WORDS, CELLS), max_size=5), columns=st.integers(min_value=1, max_value=130)
)  # fmt: skip
def test_no_cell_is_cut_and_no_word_broken_at_any_width(rows: list[tuple[str, ...]], columns: int) -> None:
    listing = Listing("id", prose("what is open"), figure("yuan"), prose("said"))
    for row in rows:
        listing.add(*row)
    shown = "\n".join(printed(listing, columns))
    words = shown.replace("─", "").split()
    for row in rows:
        assert row[0] in shown and row[2] in shown
    expected = sorted(word for row in rows for cell in row for word in cell.split())
    for heading in "id", "what is open", "yuan", "said":
        for word in heading.split():
            while word in words:
                words.remove(word)
    assert sorted(words) == expected


@given(rows=st.lists(st.tuples(WORDS, CELLS), max_size=5), columns=st.integers(PROSE_CELLS + 34, 130))
def test_no_line_is_wider_than_the_terminal_where_its_words_are_not(
    rows: list[tuple[str, str]], columns: int
) -> None:
    listing = Listing("id", prose("what"))
    for row in rows:
        listing.add(*row)
    assert all(Text(line).cell_len <= columns for line in printed(listing, columns))


def test_cells_are_no_markup_and_a_line_break_in_one_breaks_no_row() -> None:
    listing = Listing("by", prose("said"))
    listing.add("[red]lin[/red]", "first\nsecond")
    assert printed(listing, None)[2] == "[red]lin[/red]  first second"
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        listing.add("alone")


def test_columns_in_the_environment_are_obeyed_in_a_pipe_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert printed(items(), None) == printed(items(), 60)


def test_every_table_is_such_a_listing() -> None:
    rooms = (ROOT / room for room in ("api", "city", "clearing", "settlement", "card", "ledger", "terminals"))
    strays = [
        path for room in rooms for path in room.rglob("*.py") if "rich.table" in path.read_text("utf-8")
    ]
    assert strays == [], "make it with api/listings.py, which cuts nothing"


def test_words_are_no_markup_and_a_text_brings_its_own_style() -> None:
    out = io.StringIO()
    screen = Screen(file=out, width=80, color_system=None)
    screen.print("written to /srv/[old]/books[/old]")
    screen.print(Text.assemble(("totals", "red"), " of [x]"))
    assert out.getvalue().splitlines() == ["written to /srv/[old]/books[/old]", "totals of [x]"]
