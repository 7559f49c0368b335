"""All that happened to a holder's money in one list over all channels, newest first, in pages of any size.

Every source is asked for its newest rows before a place, and the answers are merged by one total order: the
instant, then the source, then the source's own key. So a page is as cheap as its size, and whatever comes
meanwhile, nothing is shown twice or left out.
"""

import heapq
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection

from clearing.holder.happening import Happening, Place, Sort
from clearing.holder.movements import movements
from clearing.holder.sources import SOURCES, Source
from ledger.archive import Archive


def history_of(
    conn: Connection,
    holder: str,
    *,
    limit: int = 20,
    before: Place | None = None,
    archive: Archive | None = None,
) -> tuple[list[Happening], Place | None]:
    """A holder's newest happenings first, at most `limit`; with the place of the last where there are more.

    `before` is such a place. What moved pockets in archived months is read from `archive`.
    """
    sources: tuple[Source, ...] = (partial(movements, archive=archive), *SOURCES)
    found = [source(conn, holder, limit + 1, before) for source in sources]
    newest = merged(found)[: limit + 1]
    shown = newest[:limit]
    return shown, shown[-1].place if len(newest) > limit else None


def merged(sources: Iterable[Sequence[Happening]]) -> list[Happening]:
    """Happenings of several sources, each in order, in one order."""
    return list(heapq.merge(*sources, key=lambda one: one.place.order, reverse=True))


def written(place: Place) -> str:
    """A place as text that fits into an address."""
    content = json.dumps([place.at.isoformat(), place.sort.value, *place.key], separators=(",", ":"))
    return urlsafe_b64encode(content.encode()).rstrip(b"=").decode()


def read_place(text: str) -> Place | None:
    """The place that a text says, or None where it says none."""
    try:
        content = json.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        at, sort, *key = content
        place = Place(datetime.fromisoformat(at).astimezone(UTC), Sort(sort), tuple(key))
    except (ValueError, TypeError, RecursionError, OverflowError):
        return None
    shapes = {Sort.TAP: (str, int, int), Sort.RIDE: (str, int, int), Sort.TOPUP: (str,), Sort.LOAD: (str,)}
    shape = shapes.get(place.sort, (int,))
    fits = len(key) == len(shape) and all(map(_is_part, key, shape))
    return place if fits and written(place) == text else None


def _is_part(part: object, kind: type) -> bool:
    """Whether a part of a key may go to the database: anything else was never shown by us."""
    if isinstance(part, str):
        return kind is str and part.isprintable()
    return type(part) is kind and isinstance(part, int) and abs(part) < 1 << 62
