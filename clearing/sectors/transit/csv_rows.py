"""CSV as people bring it: a header, then a row a line."""

import csv
import io
from collections.abc import Sequence

from clearing.sectors.transit.fare_file import Flaw, TariffFlawed


def rows_of(text: str) -> tuple[Sequence[str], list[dict[str, str]]]:
    """The names in the header, and the rows by them; a cell that is not there is empty. Raises TariffFlawed."""
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    try:
        return reader.fieldnames or (), list(reader)
    except csv.Error as error:
        remedy = "write plain CSV, with quotes doubled in quotes"
        raise TariffFlawed((Flaw(f"line {reader.line_num + 1}", str(error), remedy),)) from error
