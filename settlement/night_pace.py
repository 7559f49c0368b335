"""What a night is expected to take, from what past nights took: a fixed part and a part for each tap, a step.

Nothing here reads a clock. Times are estimates and decide nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, select

from settlement.night_log import RunState, recorded_steps
from settlement.tables import night_run

NIGHTS: Final = 7
"""So many of the newest timed nights are asked."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A step takes `fixed_ms` and `per_tap_us` for each tap of the night."""

    fixed_ms: int
    per_tap_us: int

    def expected_ms(self, taps: int) -> int:
        """What the step is expected to take on a night of so many taps."""
        return self.fixed_ms + self.per_tap_us * taps // 1_000


@dataclass(frozen=True, slots=True)
class PastNight:
    """A timed night: how many taps it had, what each step took, and how many bytes of files it left."""

    business_date: date
    taps: int
    took_ms: Mapping[str, int]
    left_bytes: int


FIXED_MS: Final = 200
UNKNOWN: Final = Pace(FIXED_MS, 0)
"""A step that is not in DEFAULTS and that no past night has done."""

DEFAULTS: Final[Mapping[str, Pace]] = MappingProxyType(
    {
        "check_books_before": Pace(FIXED_MS, 2),
        "collect": Pace(FIXED_MS, 2),
        "verify": Pace(FIXED_MS, 4),
        "match": Pace(FIXED_MS, 3),
        "price": Pace(FIXED_MS, 1),
        "post": Pace(FIXED_MS, 45),
        "net": Pace(FIXED_MS, 2),
        "report": Pace(FIXED_MS, 12),
        "reconcile": Pace(FIXED_MS, 5),
        "hand_over": Pace(FIXED_MS, 1),
        "check_books_after": Pace(FIXED_MS, 8),
        "seal": Pace(FIXED_MS, 1),
    }
)
"""What a first night is expected to take: some 12,000 taps a second. Two idle cores take two thirds of it."""


def past_nights(conn: Connection, *, before: date) -> list[PastNight]:
    """The newest finished nights before a business date whose every step was timed, newest first."""
    table = night_run.c
    query = (
        select(table.business_date)
        .where(table.business_date < before, table.state == RunState.FINISHED)
        .order_by(table.business_date.desc())
        .limit(3 * NIGHTS)
    )
    found: list[PastNight] = []
    for business_date in conn.scalars(query):
        steps = recorded_steps(conn, business_date)
        took = {one.step: one.duration_ms for one in steps if one.duration_ms is not None}
        if len(took) == len(steps) and len(found) < NIGHTS:
            taps = next((one.counts["taps"] for one in steps if one.step == "collect"), 0)
            left = sum(mark.size_bytes for one in steps for mark in one.files)
            found.append(PastNight(business_date, taps, took, left))
    return found


def paces(past: Sequence[PastNight], steps: Sequence[str]) -> dict[str, Pace]:
    """The pace of each step, from past nights where there are any, else from DEFAULTS."""
    found = {}
    for step in steps:
        seen = [(night.taps, night.took_ms[step]) for night in past if step in night.took_ms]
        found[step] = pace_of(seen) if seen else DEFAULTS.get(step, UNKNOWN)
    return found


def pace_of(seen: Sequence[tuple[int, int]]) -> Pace:
    """The straight line nearest to (taps, ms) of past nights that falls nowhere, neither below zero.

    Where all nights were of one size nothing tells the fixed part from the other: up to FIXED_MS are taken
    for fixed, and the rest grows with the taps. `seen` is not empty.
    """
    taps, ms = sum(taps for taps, _ in seen), sum(ms for _, ms in seen)
    squares, products = sum(taps * taps for taps, _ in seen), sum(taps * ms for taps, ms in seen)
    # Least squares, in whole numbers: a fixed part of 0 must not come out a hair below.
    spread = len(seen) * squares - taps * taps
    if spread:
        slope, fixed = len(seen) * products - taps * ms, ms * squares - taps * products
        if slope < 0:
            return Pace(ms // len(seen), 0)
        if fixed >= 0:
            return Pace(fixed // spread, (2_000 * slope + spread) // (2 * spread))
    fixed_ms = int(min(FIXED_MS, median(ms for _, ms in seen)))
    if not taps:
        return Pace(fixed_ms, 0)
    return Pace(fixed_ms, max(0, ms - fixed_ms * len(seen)) * 1_000 // taps)
