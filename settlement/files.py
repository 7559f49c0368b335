"""Files that are either whole or not there: written beside their place, synced, and renamed into it."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ledger.durable import put_in_place

CSV_ENCODING: Final = "utf-8-sig"
"""UTF-8 with a byte order mark: without it, spreadsheet programs take Chinese names for something else."""

CSV_END: Final = "\r\n"
"""What ends a row (RFC 4180), as the csv module writes it."""

_FORMULA = re.compile(r"[=+@\t\r]|-(?![0-9.]+$)")


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """Give a path to write to; on leaving without an exception it becomes `path`, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    yield draft
    put_in_place(draft, path)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Place a CSV file under these column names (RFC 4180); returns its path."""
    with placed(path) as draft, draft.open("w", encoding=CSV_ENCODING, newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows(harmless(row) for row in rows)
    return path


def harmless(row: Sequence[object]) -> list[object]:
    """The row with a quote before text that a spreadsheet would run as a formula; numbers stay as they are.

    Names of files and of participants come from outside and are shown on finance's own machines.
    """
    return [f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell for cell in row]
