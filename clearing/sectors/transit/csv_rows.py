"""CSV as people bring it: a header, then a row a line."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime

from clearing.sectors.transit.fare_file import Flaw, TariffFlawed


def numbered_rows(
    data: bytes, needed: Sequence[str], optional: Sequence[str] = ()
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a file by the names in its header, each with its line's number, blanks around cells left out.

    Raises TariffFlawed where it is no UTF-8 or no CSV, and where a name is missing or unknown.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        flaw = Flaw("the file", f"byte {error.start}", "save it as UTF-8")
        raise TariffFlawed((flaw,)) from error
    header, rows = rows_of(text)
    missing = [name for name in needed if name not in header]
    unknown = [name for name in header if name not in (*needed, *optional)]
    if missing or unknown:
        remedy = f"head it {','.join(needed)}" + (f" and any of {','.join(optional)}" if optional else "")
        value = f"no {', '.join(missing)}" if missing else f"{', '.join(unknown)} unknown"
        raise TariffFlawed((Flaw("the header", value, remedy),))
    return [
        (number, {name: value.strip() for name, value in row.items() if name})
        for number, row in enumerate(rows, 2)
    ]


def is_moment(value: str) -> bool:
    """Whether a cell is a date and time as ISO 8601 writes them."""
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def rows_of(text: str) -> tuple[Sequence[str], list[dict[str, str]]]:
    """The names in the header, and the rows by them; a cell that is not there is empty. Raises TariffFlawed."""
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    try:
        return reader.fieldnames or (), list(reader)
    except csv.Error as error:
        remedy = "write plain CSV, with quotes doubled in quotes"
        raise TariffFlawed((Flaw(f"line {reader.line_num + 1}", str(error), remedy),)) from error
