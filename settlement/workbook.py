"""A workbook of a report: one sheet that says what it is about, then sheets of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import xlsxwriter

from settlement.bank_files import decimal_yuan


@dataclass(frozen=True, slots=True)
class Yuan:
    """An amount to be shown in yuan; kept in fen until it is written."""

    amount_fen: int

    def __str__(self) -> str:
        return decimal_yuan(self.amount_fen)


Cell = str | int | Yuan

BOOK_LINES: Final = 500
"""Lines of a kind in a workbook: it is for a person who pages through; a program reads the CSV, which has all."""


class Workbook:
    """An XLSX whose bytes depend on its content and `made_at` alone; a head row equal to `bold` stands out."""

    def __init__(self, path: Path, made_at: datetime, *, bold: Sequence[str] = ()) -> None:
        # Text stays text: a card number is not a number, and nobody's name is a formula. In memory: a night that
        # is killed must not leave halves of statements in the machine's folder of temporary files, and where the disk
        # is full an archive that was begun would try, and complain, once more when it is forgotten.
        self._path, self._octets = path, BytesIO()
        self._book = xlsxwriter.Workbook(
            self._octets,
            {
                "in_memory": True,
                "strings_to_numbers": False,
                "strings_to_formulas": False,
                "strings_to_urls": False,
            },
        )
        self._book.set_properties({"created": made_at.astimezone(UTC).replace(tzinfo=None)})
        self._yuan = self._book.add_format({"num_format": "#,##0.00"})
        self._style = self._book.add_format({"bold": True})
        self._bold = bold
        self._head = self._book.add_worksheet("Statement")
        self._head.set_column(0, 0, 18)
        self._head.set_column(1, 5, 22)
        self._head_rows = 0
        self._rows = 0
        self._sheet: Any = None

    def __enter__(self) -> "Workbook":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._book.close()
        if kind is None:
            self._path.write_bytes(self._octets.getbuffer())

    def head(self, row: Sequence[Cell]) -> None:
        """Add a row to the first sheet."""
        self._write(self._head, self._head_rows, row, self._style if row == self._bold else None)
        self._head_rows += 1

    def sheet(self, name: str, columns: Sequence[str]) -> None:
        """Begin another sheet; `row` goes there from now on."""
        self._sheet = self._book.add_worksheet(name)
        self._sheet.freeze_panes(1, 0)
        self._sheet.set_column(0, len(columns) - 1, 14)
        self._write(self._sheet, 0, columns, self._style)
        self._rows = 0

    def row(self, row: Sequence[Cell]) -> None:
        """Add a row to the sheet begun last."""
        self._rows += 1
        self._write(self._sheet, self._rows, row, None)

    def _write(self, sheet: Any, number: int, row: Sequence[Cell], style: Any) -> None:
        for column, cell in enumerate(row):
            if isinstance(cell, Yuan):
                # Spreadsheets have no integers with a point; this is the last step before a reader's eye.
                sheet.write_number(number, column, cell.amount_fen / 100, self._yuan)
            elif isinstance(cell, int):
                sheet.write_number(number, column, cell)
            else:
                sheet.write_string(number, column, cell, style)
