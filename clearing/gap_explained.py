"""Numbers that no tap will come for, as where a card was pulled before it paid: somebody says so, and why."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from sqlalchemy import Connection, insert

from clearing.gap_tables import terminal_explained
from clearing.open_gaps import CYCLE, own_number
from clearing.terminal_book import known_of, store
from clearing.terminal_numbers import MOST_MISSING, NO_DAY, Numbered, count


class ExplanationRefusal(StrEnum):
    """Why an explanation is not taken, in order of precedence."""

    NUMBERS_MALFORMED = "numbers_malformed"
    UNSIGNED = "unsigned"
    NOTHING_MISSING = "nothing_missing"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Numbers `first` to `last` of a terminal, as it counts, are no taps: who says so, and why.

    Where the counter wraps in between, `last` is below `first`.
    """

    operator: str
    terminal: str
    first: int
    last: int
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class ExplanationRefused:
    """An explanation that is not taken; the message says what to do."""

    reason: ExplanationRefusal
    message: str


def explain(conn: Connection, given: Explanation, *, at: datetime) -> int | ExplanationRefused:
    """Ask no longer for numbers, and keep why; how many were missing. A tap that comes all the same is judged as any.

    No night may run meanwhile: it would write down what it knew before.
    """
    span = (given.last - given.first) % CYCLE + 1
    if not (1 <= given.first <= CYCLE and 1 <= given.last <= CYCLE and span <= MOST_MISSING):
        message = f"numbers {given.first} to {given.last} are not at most {MOST_MISSING} of 1 to {CYCLE}"
        return ExplanationRefused(
            ExplanationRefusal.NUMBERS_MALFORMED, f"{message}; give them as `gaps` lists them"
        )
    if not (0 < len(given.by.strip()) <= 64 and 0 < len(given.why.strip()) <= 200):
        message = "say who explains, in at most 64 characters, and why, in at most 200"
        return ExplanationRefused(ExplanationRefusal.UNSIGNED, message)
    validator = (given.operator, given.terminal)
    known = known_of(conn, {validator: 0})
    # Numbers that nobody vouches for fill what is missing and move nothing else, in every life that misses them.
    numbers, ends = own_number(given.first + np.arange(span)), known.lives.last_s
    number, at_s = np.tile(numbers, len(ends)), np.repeat(ends, span)
    unsure = Numbered(np.zeros(len(number), np.int64), number, at_s, np.zeros(len(number), np.bool_))
    found = count(unsure, known, NO_DAY)
    if not found.closed:
        message = f"none of {given.first} to {given.last} of {given.terminal} of {given.operator} is missing"
        return ExplanationRefused(
            ExplanationRefusal.NOTHING_MISSING, f"{message}; `onecard terminals gaps` lists what is"
        )
    store(conn, [validator], known, found.known)
    conn.execute(
        insert(terminal_explained).values(
            operator=given.operator, terminal=given.terminal, first_no=given.first, last_no=given.last,
            missing=found.closed, by=given.by.strip(), why=given.why.strip(), at=at,
        )
    )  # fmt: skip
    return found.closed
