"""CSV as people bring it: a header, then a row a line."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from clearing.sectors.transit.fare_file import Flaw, TariffFlawed

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2099
"""No card was used before these years and none will be after: such a time is a slip, and no day of any zone."""

BEYOND: Final = ""
"""Under which a row has its cells beyond the header."""
MOST_FLAWS: Final = 50


def numbered_rows(
    data: bytes, needed: Sequence[str], optional: Sequence[str] = ()
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a file by the names in its header, each with its line's number, blanks around cells left out.

    Raises TariffFlawed where it is no UTF-8 or no CSV, where a name is missing, unknown or there twice, and where a
    row has more cells than there are names.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        flaw = Flaw("the file", f"byte {error.start}", "save it as UTF-8")
        raise TariffFlawed((flaw,)) from error
    header, rows = rows_of(text)
    missing = [name for name in needed if name not in header]
    unknown = [name for name in header if name not in (*needed, *optional)]
    twice = [name for name in (*needed, *optional) if header.count(name) > 1]
    if missing or unknown or twice:
        remedy = f"head it {','.join(needed)}" + (f" and any of {','.join(optional)}" if optional else "")
        value = f"no {', '.join(missing)}" if missing else f"{', '.join(unknown)} unknown"
        raise TariffFlawed((Flaw("the header", f"{', '.join(twice)} twice" if twice else value, remedy),))
    beyond = tuple(
        Flaw(
            f"row {number}",
            f"{','.join(row[BEYOND])} beyond the header",
            f"give {len(header)} cells, with quotes around one with a comma",
        )
        for number, row in rows
        if BEYOND in row
    )
    if beyond:
        raise TariffFlawed(beyond[:MOST_FLAWS])
    return [(number, {name: value.strip() for name, value in row.items()}) for number, row in rows]


def instant_of(value: str, zone: tzinfo) -> datetime | None:
    """A cell's instant, as ISO 8601 writes it; without an offset it is in `zone`. None where it is none of our time."""
    try:
        at = datetime.fromisoformat(value)
        aware = at if at.tzinfo else at.replace(tzinfo=zone)
        return aware if FIRST_YEAR <= aware.astimezone(UTC).year <= LAST_YEAR else None
    except (ValueError, OverflowError):
        return None


def rows_of(text: str) -> tuple[Sequence[str], list[tuple[int, dict[str, Any]]]]:
    """The names in the header, and the rows by them, each with its line's number. Raises TariffFlawed.

    A cell that is not there is empty; those beyond the header are a list under BEYOND.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey=BEYOND, restval="")
    try:
        return reader.fieldnames or (), [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        remedy = "write plain CSV, with quotes doubled in quotes"
        raise TariffFlawed((Flaw(f"line {reader.line_num + 1}", str(error), remedy),)) from error
