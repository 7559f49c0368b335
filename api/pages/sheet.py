"""Figures as tables, whatever they are: a column for each field, so that a new figure is shown as it comes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from typing import Any

from api.pages.page import local
from api.pages.texts import Words
from ledger.money import yuan

MONEY, NUMBER, TEXT, CODE = "money", "number", "text", "code"
_CODES = ("account_no", "card", "card_no", "code", "end_to_end_id", "id", "message_id", "statement")
"""Columns of numbers and codes: shown as they are, never as words."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one cell shows, how it is set, and whether it is good or bad news."""

    text: str
    kind: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table to be shown: its heading's key, headings of columns with their kind, and the rows of cells."""

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Cell, ...], ...]


def sheet(words: Words, name: str, rows: Iterable[Any], columns: Sequence[str] = ()) -> Sheet:
    """A table of frozen dataclasses of one type, by their fields or by the attributes named.

    Amounts are fields whose names end in `_fen`; they are shown in yuan.
    """
    found = list(rows)
    chosen = tuple(columns) or (tuple(one.name for one in fields(found[0])) if found else ())
    shown = tuple(tuple(cell(words, column, getattr(row, column)) for column in chosen) for row in found)
    kinds = [
        next((row[place].kind for row in shown if row[place].text), TEXT) for place in range(len(chosen))
    ]
    headings = tuple(words.word("field", column.removesuffix("_fen")) for column in chosen)
    return Sheet(name, tuple(zip(headings, kinds, strict=True)), shown)


def listed(words: Words, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Sheet:
    """A table of rows that are already as a file has them, under the file's own headings."""
    headings = tuple((words.word("field", column), TEXT) for column in columns)
    shown = tuple(
        tuple(cell(words, column, value) for column, value in zip(columns, row, strict=True)) for row in rows
    )
    return Sheet(name, headings, shown)


def cell(words: Words, column: str, value: Any) -> Cell:
    """One value of a column."""
    if value is None or value == "":
        return Cell("", TEXT)
    if isinstance(value, bool):
        return Cell(words(f"ui.{'yes' if value else 'no'}"), TEXT, "good" if value else "bad")
    if isinstance(value, int):
        return Cell(yuan(value), MONEY) if column.endswith("_fen") else Cell(str(value), NUMBER)
    if isinstance(value, bytes):
        return Cell(value.hex(), CODE)
    if isinstance(value, datetime):
        return Cell(local(value), TEXT)
    if isinstance(value, date):
        return Cell(value.isoformat(), TEXT)
    if column in _CODES:
        return Cell(str(value), CODE)
    tone = {"unexplained": "bad", "rejected": "bad"}.get(str(value), "")
    return Cell(words.word("word", value), TEXT, tone)


def further(words: Words, figures: Any, known: Collection[str]) -> tuple[list[Sheet], Mapping[str, str]]:
    """Whatever a set of figures holds beside its `known` fields: tables, and single figures by heading."""
    sheets: list[Sheet] = []
    singles: dict[str, str] = {}
    for name in (one.name for one in fields(figures) if one.name not in known):
        value = getattr(figures, name)
        if isinstance(value, tuple) and value and all(is_dataclass(row) for row in value):
            sheets.append(sheet(words, name, value))
        elif isinstance(value, Mapping):
            singles |= {
                words.word("field", key): cell(words, str(key), one).text for key, one in value.items()
            }
        elif isinstance(value, int | str) and value != "":
            singles[words.word("field", name.removesuffix("_fen"))] = cell(words, name, value).text
    return sheets, singles
