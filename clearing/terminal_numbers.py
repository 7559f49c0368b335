"""Validators number their taps: which numbers have come, which are missing, and when a counter starts anew.

All of it over columns, a step of NumPy for all terminals at once. A number is counted on where the counter wraps
(after 4294967295 comes 1; 0 is no number), so that the numbers of one life only grow.

A life ends when the terminal's counter starts anew, as when its SAM is replaced. That is seen at the first tap
that is later than all taps of the life and whose number the life has had already, lies below its first, or lies so
far off that no day's traffic explains it. A number that is missing is taken for the missing tap. One night finds
at most one new life of a terminal, so a terminal that does not count at all costs one row a night.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from clearing.open_gaps import CYCLE

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_MISSING = 100_000
"""Numbers that a terminal may be ahead or behind; beyond that it is another counter."""
NEVER_S = -(1 << 37)
"""An instant before any tap."""
NO_DAY = -1
_BITS = 40


@dataclass(frozen=True, slots=True)
class Numbered:
    """Taps of a night, a row each: the terminal's place among tonight's, its own number (1 or more), the instant.

    `sure` are those whose TAC holds, and with it the number; others only fill what is known to be missing.
    """

    terminal: Ints
    number: Ints
    at_s: Ints
    sure: Bools


@dataclass(frozen=True, slots=True)
class Lives:
    """Lives of counters, by terminal and beginning; `began_s` of the first is NEVER_S, `number` counts from 1."""

    terminal: Ints
    number: Ints
    began_s: Ints
    last_s: Ints
    heard_day: Ints


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of numbers that have all come, by life and number; `life` is the place of the life in its `Lives`.

    `gap_day` is the day that noticed what is missing before the run, NO_DAY before the first run of a life.
    """

    life: Ints
    first: Ints
    last: Ints
    gap_day: Ints

    @property
    def missing(self) -> Ints:
        """How many numbers are missing before each run."""
        between = self.first - np.roll(self.last, 1) - 1
        return np.where(self.gap_day == NO_DAY, 0, between)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of some terminals' numbers."""

    lives: Lives
    runs: Runs


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known after a night, and what it brought: numbers found missing, come at last, fitting nowhere."""

    known: Known
    noticed: int
    closed: int
    restarted: int
    unplaced: int


NOTHING = Known(
    Lives(*(np.empty(0, np.int64) for _ in range(5))), Runs(*(np.empty(0, np.int64) for _ in range(4)))
)
"""Where no terminal was ever heard."""


def count(taps: Numbered, known: Known, day: int) -> Counted:
    """Add a night's taps to what is known of their terminals; the order of the taps makes no difference."""
    # In the order of their numbers, since that makes all that follows quicker.
    order = np.argsort(_key(taps.terminal, taps.number))
    taps = Numbered(taps.terminal[order], taps.number[order], taps.at_s[order], taps.sure[order])
    known = _born(taps, known)
    if not len(known.lives.terminal):
        return Counted(known, 0, 0, 0, len(taps.number))
    known, restarted = _restarted(taps, known)
    lives = known.lives
    low, high, _ = _hull(taps, known)
    life = _life_of(lives, taps.terminal, taps.at_s)
    counted_on = _counted_on(taps.number, high[life])
    near = (life >= 0) & (counted_on >= low[life] - MOST_MISSING) & (counted_on <= high[life] + MOST_MISSING)
    heard = near & taps.sure
    np.minimum.at(low, life[heard], counted_on[heard])
    np.maximum.at(high, life[heard], counted_on[heard])
    placed = heard | (near & (counted_on >= low[life]) & (counted_on <= high[life]))
    last_s, heard_day = lives.last_s.copy(), lives.heard_day.copy()
    np.maximum.at(last_s, life[heard], taps.at_s[heard])
    heard_day[life[heard]] = day
    runs, noticed, closed = _merged(known.runs, life[placed], counted_on[placed], day)
    after = Known(replace(lives, last_s=last_s, heard_day=heard_day), runs)
    return Counted(after, noticed, closed, restarted, int((~placed).sum()))


def _born(taps: Numbered, known: Known) -> Known:
    """A first life for terminals that have none and show a sure tap."""
    most = max(taps.terminal.max(initial=-1), known.lives.terminal.max(initial=-1))
    shown = np.zeros(most + 1, np.bool_)
    shown[taps.terminal[taps.sure]] = True
    shown[known.lives.terminal] = False
    new = np.flatnonzero(shown)
    return _with(known, new, np.ones(len(new), np.int64), np.full(len(new), NEVER_S))


def _restarted(taps: Numbered, known: Known) -> tuple[Known, int]:
    """A new life from the first tap that shows that the counter has started anew."""
    lives = known.lives
    newest = _newest(lives, taps.terminal)
    rows = np.flatnonzero(taps.sure & (newest >= 0) & (taps.at_s > lives.last_s[newest]))
    newest, at_s = newest[rows], taps.at_s[rows]
    low, high, has_runs = _hull(taps, known)
    counted_on = _counted_on(taps.number[rows], high[newest])
    far = (counted_on < low[newest] - MOST_MISSING) | (counted_on > high[newest] + MOST_MISSING)
    had = _among(known.runs, newest, counted_on) | _again(newest, counted_on, at_s)
    shows = far | had | (has_runs[newest] & (counted_on < low[newest]))
    began_s = np.full(len(lives.terminal), -NEVER_S)
    np.minimum.at(began_s, newest[shows], at_s[shows])
    ended = np.flatnonzero(began_s != -NEVER_S)
    return _with(known, lives.terminal[ended], lives.number[ended] + 1, began_s[ended]), len(ended)


def _with(known: Known, terminal: Ints, number: Ints, began_s: Ints) -> Known:
    """What is known, with further lives that nothing has been heard of yet."""
    if not len(terminal):
        return known
    lives = known.lives
    terminals, numbers = np.append(lives.terminal, terminal), np.append(lives.number, number)
    order = np.lexsort((numbers, terminals))
    silent = np.full(len(terminal), NEVER_S), np.full(len(terminal), NO_DAY)
    more = Lives(
        terminals[order], numbers[order],
        np.append(lives.began_s, began_s)[order],
        np.append(lives.last_s, silent[0])[order],
        np.append(lives.heard_day, silent[1])[order],
    )  # fmt: skip
    moved = np.empty_like(order)
    moved[order] = np.arange(len(order))
    # The order among the lives there were is kept, so the runs stay sorted.
    return Known(more, replace(known.runs, life=moved[known.runs.life]))


def _newest(lives: Lives, terminal: Ints) -> Ints:
    """The place of each terminal's newest life; -1 where it has none."""
    place = np.searchsorted(lives.terminal, terminal, "right") - 1
    return _if_its_own(lives, terminal, place)


def _life_of(lives: Lives, terminal: Ints, at_s: Ints) -> Ints:
    """The place of the life in which each tap was made; -1 where there is none."""
    place = np.searchsorted(_key(lives.terminal, lives.began_s), _key(terminal, at_s), "right") - 1
    return _if_its_own(lives, terminal, place)


def _if_its_own(lives: Lives, terminal: Ints, place: Ints) -> Ints:
    if not len(lives.terminal):
        return np.full(len(terminal), -1)
    return np.where((place >= 0) & (lives.terminal[place] == terminal), place, -1)


def _hull(taps: Numbered, known: Known) -> tuple[Ints, Ints, Bools]:
    """The lowest and highest number of each life, and whether it had any before: else its first tap has both."""
    count_of = len(known.lives.terminal)
    low, high = np.zeros(count_of, np.int64), np.zeros(count_of, np.int64)
    has_runs: Bools = np.zeros(count_of, np.bool_)
    runs = known.runs
    # Runs are sorted: the first of a life written last from behind, the last from the front.
    low[runs.life[::-1]], high[runs.life], has_runs[runs.life] = runs.first[::-1], runs.last, True
    if not has_runs.all():
        life = _life_of(known.lives, taps.terminal, taps.at_s)
        new = taps.sure & (life >= 0) & ~has_runs[life]
        began_s, opening = np.full(count_of, -NEVER_S), np.full(count_of, CYCLE)
        np.minimum.at(began_s, life[new], taps.at_s[new])
        new &= taps.at_s == began_s[life]
        np.minimum.at(opening, life[new], taps.number[new])
        low[~has_runs] = high[~has_runs] = opening[~has_runs]
    return low, high, has_runs


def _counted_on(number: Ints, near: Ints) -> Ints:
    """The terminal's own number counted on to where it is nearest to `near` (as RFC 1982 compares numbers)."""
    half = CYCLE // 2
    return near + (number - near + half) % CYCLE - half


def _among(runs: Runs, life: Ints, counted_on: Ints) -> Bools:
    """Whether each number has come before tonight."""
    if not len(runs.life):
        return np.zeros(len(life), np.bool_)
    place = np.searchsorted(_key(runs.life, runs.first), _key(life, counted_on), "right") - 1
    among: Bools = (place >= 0) & (runs.life[place] == life) & (runs.last[place] >= counted_on)
    return among


def _again(life: Ints, counted_on: Ints, at_s: Ints) -> Bools:
    """Whether the same number came tonight from an earlier instant."""
    keys = _key(life, counted_on)
    ordered = np.sort(keys, kind="stable")
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    again = np.zeros(len(keys), np.bool_)
    if len(twice):
        rows = np.flatnonzero(np.isin(keys, twice))
        _, group = np.unique(keys[rows], return_inverse=True)
        earliest = np.full(int(group.max()) + 1, -NEVER_S)
        np.minimum.at(earliest, group, at_s[rows])
        again[rows] = at_s[rows] > earliest[group]
    return again


def _merged(runs: Runs, life: Ints, counted_on: Ints, day: int) -> tuple[Runs, int, int]:
    """The runs with further numbers, how many numbers are found missing, and how many missing ones have come."""
    first, last = _key(runs.life, runs.first), _key(runs.life, runs.last)
    given = np.sort(_key(life, counted_on), kind="stable")
    begins = _begins(given, given)
    starts, ends = np.append(first, given[begins]), np.append(last, given[_ends(begins)])
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    begins = _begins(starts, reach)
    firsts, lasts = starts[begins], reach[_ends(begins)]
    of_life = firsts >> _BITS
    after = of_life == np.roll(of_life, 1)
    after[:1] = False
    # What is missing before a run was missing before where it is a part of what was missing before an old run.
    gap_day = np.where(after, day, NO_DAY)
    old = np.searchsorted(first, firsts)
    within = after & (old < len(first))
    old = old[within]
    part = (runs.life[old] == of_life[within]) & (runs.gap_day[old] != NO_DAY)
    within[within] = part
    gap_day[within] = runs.gap_day[old[part]]
    merged = Runs(of_life, _number(firsts), _number(lasts), gap_day)
    still = int(merged.missing[within].sum())
    return merged, int(merged.missing.sum()) - still, int(runs.missing.sum()) - still


def _begins(starts: Ints, reach: Ints) -> Bools:
    """Which of sorted stretches do not join what comes before them; `reach` is how far that goes."""
    begins = np.ones(len(starts), np.bool_)
    begins[1:] = starts[1:] > reach[:-1] + 1
    return begins


def _ends(begins: Bools) -> Bools:
    """Which are the last of their stretch; the first row of all begins one."""
    return np.roll(begins, -1)


def _key(group: Ints, value: Ints) -> Ints:
    """Group and value as one number that sorts by both; values within a 2^39 of zero."""
    key: Ints = (group << _BITS) + (value + (1 << (_BITS - 1)))
    return key


def _number(key: Ints) -> Ints:
    value: Ints = (key & ((1 << _BITS) - 1)) - (1 << (_BITS - 1))
    return value
