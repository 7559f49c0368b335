"""Numbers that validators gave and nobody presented, as the books have them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, select

from clearing.gap_tables import terminal_run
from clearing.verdict import WINDOW_DAYS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CYCLE = (1 << 32) - 1
"""The numbers of a counter: 1 to this one, then 1 again."""
Validator = tuple[str, str]
"""Operator and terminal."""
Row = tuple[Any, ...]
Number = TypeVar("Number", int, "npt.NDArray[np.int64]")
"""A number of a terminal, counted on where its counter wraps; or a column of them."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers of a terminal that never came, `first` to `last` as the terminal counts; the night that noticed.

    Where the counter wraps in between, `last` is below `first`.
    """

    operator: str
    terminal: str
    first: int
    last: int
    missing: int
    since: date

    @property
    def order(self) -> tuple[object, ...]:
        """By operator and terminal, the oldest first."""
        return self.operator, self.terminal, self.since, self.first

    @property
    def wanted_until(self) -> date:
        """The last business date on which such a tap is not too late."""
        return self.since + timedelta(days=WINDOW_DAYS)


def open_gaps(conn: Connection, operator: str | None = None) -> list[Gap]:
    """Every number that is missing, of one operator or of all, by operator, terminal, life and number."""
    query = select(terminal_run).where(terminal_run.c.gap_since.is_not(None))
    if operator is not None:
        query = query.where(terminal_run.c.operator == operator)
    keys = (terminal_run.c[name] for name in ("operator", "terminal", "life", "first_no"))
    return list(gaps_in(tuple(row) for row in conn.execute(query.order_by(*keys))))


def gaps_in(rows: Iterable[Row]) -> Iterator[Gap]:
    """What is missing before each of these runs, which are rows of their table."""
    for operator, terminal, _life, first_no, _last_no, after_no, since in rows:
        if since is not None:
            first, last = own_number(after_no + 1), own_number(first_no - 1)
            yield Gap(operator, terminal, first, last, first_no - after_no - 1, since)


def own_number(counted_on: Number) -> Number:
    """The terminal's own number, 1 to CYCLE, of one that was counted on."""
    return (counted_on - 1) % CYCLE + 1
