"""Cells of a report as columns of texts, so that nothing need be done once a row.

Each is the text that `settlement.statement_lines` makes of the same value in Python; of no value it is empty.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clearing.columns import CITY_OFFSET_S, DAY_S, EPOCH
from settlement.bank_files import decimal_yuan


def joined_cells(cells: Sequence[Any]) -> Any:
    """Rows of cells with commas between them; they need no quotes."""
    return pc.binary_join_element_wise(*cells, ",")


def number_texts(numbers: Any) -> Any:
    """Whole numbers as they are."""
    return numbers.cast(pa.string())


def yuan_texts(amounts: Any) -> Any:
    """Amounts in fen as yuan with two decimals (see `settlement.bank_files.decimal_yuan`)."""
    return each_once(amounts, decimal_yuan)


def date_texts(days: Any) -> Any:
    """Days since 1970-01-01 as ISO 8601 has them."""
    return each_once(days, lambda day: (EPOCH + timedelta(days=day)).isoformat())


def city_time_texts(at_s: Any) -> Any:
    """Instants, in seconds since the epoch, on the city's clock."""
    known = at_s.is_valid()
    local_s = at_s.fill_null(0).to_numpy() + CITY_OFFSET_S
    days, clock = date_texts(pa.array(local_s // DAY_S)), _times_of_day().take(pa.array(local_s % DAY_S))
    return pc.if_else(known, pc.binary_join_element_wise(days, clock, " "), "")


def each_once(values: Any, text: Callable[[Any], str]) -> Any:
    """The texts of values, of which there are few, so that each is made once."""
    encoded = values.dictionary_encode()
    texts = pa.array(map(text, encoded.dictionary.to_pylist()), pa.string())
    return texts.take(encoded.indices).fill_null("")


@cache
def _times_of_day() -> Any:
    """Every second of a day, as `08:15:00`."""
    seconds = np.arange(DAY_S)
    parts: list[Any] = [
        pc.utf8_lpad(number_texts(pa.array(part)), 2, "0")
        for part in (seconds // 3600, seconds // 60 % 60, seconds % 60)
    ]
    return pc.binary_join_element_wise(*parts, ":")
