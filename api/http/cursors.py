"""Places in a list: a cursor names the last row seen, so rows that come meanwhile shift nothing.

A cursor carries no authority: whoever holds one still sees only their own list. So it is not signed.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

from api.http.problems import Problem, problem
from clearing.holder.happening import Place, Sort
from clearing.holder.history import read_place, written

Cursor = Annotated[
    str | None, Query(max_length=64, description="`next_cursor` of the page before; none: the first page")
]
LongCursor = Annotated[
    str | None, Query(max_length=400, description="`next_cursor` of the page before; none: the first page")
]
Limit = Annotated[int, Query(ge=1, le=100, description="how many at most")]
Row = TypeVar("Row")


def cursor_of(list_name: str, row_id: int) -> str:
    """The cursor after the row of that number in a list."""
    return urlsafe_b64encode(f"{list_name}:{row_id}".encode()).rstrip(b"=").decode()


def place_of(list_name: str, cursor: str | None) -> int | None:
    """The number of the row that a cursor of this list stands after; none for the first page.

    Problem: cursor_invalid.
    """
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, UnicodeError):
        text = ""
    name, _, digits = text.rpartition(":")
    if (
        name != list_name
        or not digits.isdecimal()
        or len(digits) > 18
        or cursor_of(name, int(digits)) != cursor
    ):
        raise _not_of_this_list()
    return int(digits)


def page_by_instant(
    rows: Sequence[Row], limit: int, place: Callable[[Row], Place]
) -> tuple[list[Row], str | None]:
    """The same of a list in the order of instants."""
    shown = list(rows[:limit])
    return shown, written(place(shown[-1])) if len(rows) > limit else None


def instant_of(sort: Sort, cursor: str | None) -> Place | None:
    """The place that a cursor of a list in the order of instants stands after; none for the first page.

    Problem: cursor_invalid.
    """
    if cursor is None:
        return None
    place = read_place(cursor)
    if place is None or place.sort is not sort:
        raise _not_of_this_list()
    return place


def _not_of_this_list() -> Problem:
    return problem("cursor_invalid", "the cursor is not one of this list; begin again without it")


def page_of(
    list_name: str, rows: Sequence[Row], limit: int, row_id: Callable[[Row], int]
) -> tuple[list[Row], str | None]:
    """The first `limit` of `limit + 1` rows asked for, and the cursor where one more was there."""
    shown: list[Any] = list(rows[:limit])
    return shown, cursor_of(list_name, row_id(shown[-1])) if len(rows) > limit else None
