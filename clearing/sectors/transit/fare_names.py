"""Numbers for the names of all tariffs of a night, and the scopes, windows and modes in those numbers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from clearing.columns import day_number
from clearing.sectors.transit.fare_arrays import (
    FIXED_CHARGE,
    HIGHEST_CHARGE,
    LIST_CHARGE,
    Ints,
    Modes,
    Scopes,
    Truths,
    Windows,
)
from clearing.sectors.transit.fare_tariff import (
    WEEKDAYS,
    EntryExit,
    FareTariff,
    FixedCharge,
    HalfCharge,
    HighestCharge,
    PaySteps,
    Scope,
)

MINUTE_S = 60


class Numbers:
    """Names in the order in which they were first met, each with its number."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._of = {name: number for number, name in enumerate(dict.fromkeys(names))}

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, name: str) -> int:
        return self._of[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)

    def get(self, name: str | None) -> int:
        """The name's number; -1 for one that is not known."""
        return -1 if name is None else self._of.get(name, -1)


@dataclass(frozen=True, slots=True)
class Names:
    """All names that a night's taps and tariffs have. `fares` begins with the empty one: not chosen yet."""

    modes: Numbers
    operators: Numbers
    lines: Numbers
    categories: Numbers
    fares: Numbers
    rules: Numbers
    """Rules that remember: caps, steps, quotas, transfers."""
    products: Numbers


def names_of(
    tariffs: Sequence[FareTariff],
    *,
    modes: Iterable[str],
    operators: Iterable[str],
    lines: Iterable[str],
    categories: Iterable[str],
) -> Names:
    """The names in these tariffs, with those that the night's taps have."""
    remembering = [
        *(
            discount.name
            for tariff in tariffs
            for discount in tariff.discounts
            if discount.quota or discount.transfer or isinstance(discount.pay, PaySteps)
        ),
        *(cap.name for tariff in tariffs for cap in tariff.caps),
    ]
    return Names(
        Numbers([*modes, *(mode for tariff in tariffs for mode in tariff.modes)]),
        Numbers(operators),
        Numbers(lines),
        Numbers([*categories, *(name for tariff in tariffs for name in tariff.categories)]),
        Numbers(["", *(fare.name for tariff in tariffs for fare in tariff.fares)]),
        Numbers(remembering),
        Numbers(product.name for tariff in tariffs for product in tariff.products),
    )


def ints(rows: Sequence[object], width: int | None = None) -> Ints:
    """Whole numbers as a column, or as rows of so many."""
    made = np.array(rows, np.int64)
    return made if width is None else made.reshape(-1, width)


def column(rows: Ints, place: int) -> Ints:
    """One column of rows, contiguous as the kernel is compiled for."""
    return np.ascontiguousarray(rows[:, place])


def among(allowed: Sequence[str], names: Numbers) -> Truths:
    """Which names a list allows; an empty list allows all."""
    return np.array([not allowed or name in allowed for name in names], np.bool_)


@dataclass(slots=True)
class ScopeList:
    """Scopes and windows, numbered as they come."""

    names: Names
    scopes: list[Scope] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    weekdays: list[list[bool]] = field(default_factory=list)
    minutes: list[tuple[int, int]] = field(default_factory=list)
    calendars: list[tuple[int, int]] = field(default_factory=list)
    on: list[tuple[int, int]] = field(default_factory=list)
    days: list[int] = field(default_factory=list)

    def add(self, tariff: FareTariff, scope: Scope) -> int:
        """The number of a scope of this tariff."""
        first = len(self.minutes)
        for window in scope.when:
            self.weekdays.append([day in window.weekdays for day in WEEKDAYS])
            self.minutes.append((_minutes(window.start), _minutes(window.end)))
            self.on.append((self._calendar(tariff, window.on), self._calendar(tariff, window.not_on)))
        self.scopes.append(scope)
        self.ranges.append((first, len(self.minutes)))
        return len(self.scopes) - 1

    def _calendar(self, tariff: FareTariff, name: str | None) -> int:
        if name is None:
            return -1
        first = len(self.days)
        self.days += sorted(day_number(day) for day in tariff.calendars.get(name, ()))
        self.calendars.append((first, len(self.days)))
        return len(self.calendars) - 1

    def made(self) -> tuple[Scopes, Windows]:
        """All that was added, as columns."""
        names = self.names
        scopes = Scopes(
            _rows([among(scope.modes, names.modes) for scope in self.scopes], len(names.modes)),
            _rows([among(scope.operators, names.operators) for scope in self.scopes], len(names.operators)),
            _rows([among(scope.lines, names.lines) for scope in self.scopes], len(names.lines)),
            _rows(
                [among(scope.categories, names.categories) for scope in self.scopes], len(names.categories)
            ),
            _rows([among(scope.fares, names.fares) for scope in self.scopes], len(names.fares)),
            ints(self.ranges, 2),
        )
        weekdays = np.array(self.weekdays, np.bool_).reshape(-1, len(WEEKDAYS))
        minutes, on = ints(self.minutes, 2), ints(self.on, 2)
        windows = Windows(
            weekdays, column(minutes, 0), column(minutes, 1), column(on, 0), column(on, 1),
            ints(self.calendars, 2), ints(self.days),
        )  # fmt: skip
        return scopes, windows


def _rows(rows: Sequence[Truths], width: int) -> Truths:
    return np.array(rows, np.bool_).reshape(-1, width)


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def modes_of(tariffs: Sequence[FareTariff], names: Numbers) -> Modes:
    """What each tariff says of each mode."""
    shape = len(tariffs), len(names)

    def none() -> Ints:
        return np.zeros(shape, np.int64)

    made = Modes(
        np.zeros(shape, np.bool_), np.zeros(shape, np.bool_),
        none(), none(), none(), none(), none(), none(), none(),
    )  # fmt: skip
    for place, tariff in enumerate(tariffs):
        for name, mode in tariff.modes.items():
            here = place, names[name]
            made.known[here] = True
            if isinstance(mode, EntryExit):
                made.gated[here] = True
                made.limit_s[here] = mode.limit_min * MINUTE_S
                made.overtime_fen[here] = mode.overtime_fen
                made.forget_s[here] = mode.forget_min * MINUTE_S
                made.missing_exit[here], made.missing_exit_fen[here] = _charge(mode.missing_exit)
                made.missing_entry[here], made.missing_entry_fen[here] = _charge(mode.missing_entry)
    return made


def _charge(charge: HalfCharge) -> tuple[int, int]:
    if isinstance(charge, FixedCharge):
        return FIXED_CHARGE, charge.fare_fen
    if isinstance(charge, HighestCharge):
        return HIGHEST_CHARGE, 0
    return LIST_CHARGE, charge.most_fen


def known_categories(tariffs: Sequence[FareTariff], names: Numbers) -> Truths:
    """Which tariff knows which category."""
    return _rows(
        [np.array([name in tariff.categories for name in names], np.bool_) for tariff in tariffs], len(names)
    )
