"""The shapes that the fare kernel works on: taps and tariffs as columns of whole numbers.

Names (modes, lines, categories, fares, rules, products) are numbered over all tariffs of a night; -1 is none.
S scopes, F fares, D discounts, C caps and W windows stand one after the other, those of a tariff together.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

RIDE, ENTRY, EXIT = 0, 1, 2
"""Kinds of taps."""
FLAT, LISTED, TABLE = 0, 1, 2
"""Kinds of fares."""
FIXED_CHARGE, HIGHEST_CHARGE, LIST_CHARGE = 0, 1, 2
"""What half a journey costs."""
SHARE, LESS, FIXED, BANDS, STEPS, TOGETHER = 0, 1, 2, 3, 4, 5
"""Kinds of discounts."""
BEGIN, END, FIRST = 0, 1, 2
"""What a transfer is measured from."""
DAY, WEEK, MONTH = 0, 1, 2
"""Periods."""
NEW, GUEST, SETTLED, COPY = 0, 1, 2, 3
"""Taps that come before the night; those that nothing proves yet; those priced by earlier nights; repeated ones."""
UNPRICED_FEN = -1


@dataclass(frozen=True, slots=True)
class FareColumns:
    """Taps, a row each: those before the night first, in their order there, then those that earlier nights settled.

    `state` is NEW, GUEST (nothing proves it) or SETTLED; a settled one has the price `settled_fen`, -1 for none.
    """

    card_no: "pa.ChunkedArray[Any]"
    operator: "pa.ChunkedArray[Any]"
    sequence: Ints
    position: Ints
    at_s: Ints
    ride: Ints
    line: Ints
    station: Ints
    holder_class: Ints
    list_fare_fen: Ints
    linked: Truths
    full_fare: Truths
    retried: Truths
    records: npt.NDArray[np.uint8]
    state: Ints
    settled_fen: Ints


class Taps(NamedTuple):
    """Taps of cards, card by card and in the order of their instants within a card, one column a fact."""

    at_s: Ints
    slot: Ints
    """Which quarter of an hour the instant is in, by its place in `Tables.offset_s`."""
    tariff: Ints
    mode: Ints
    kind: Ints
    operator: Ints
    line: Ints
    category: Ints
    station: Ints
    list_fen: Ints
    linked: Truths
    full_fare: Truths
    state: Ints
    settled_fen: Ints


class Holdings(NamedTuple):
    """Products by card: those of card c are from `starts[c]` to before `starts[c + 1]`."""

    starts: Ints
    product: Ints
    bought_s: Ints
    slot: Ints


class Scopes(NamedTuple):
    """Which legs a rule is for, name by name (S × names), and its windows of the week (S × 2: from, to)."""

    mode: Truths
    operator: Truths
    line: Truths
    category: Truths
    fare: Truths
    """Column 0 is for a leg of which the fare is not chosen yet."""
    windows: Ints


class Windows(NamedTuple):
    """Parts of the week; minutes of the day; calendars are ranges in `days`."""

    weekdays: Truths
    start: Ints
    end: Ints
    on: Ints
    not_on: Ints
    calendars: Ints
    days: Ints


class Modes(NamedTuple):
    """What a tariff says of a mode (tariffs × modes)."""

    known: Truths
    gated: Truths
    limit_s: Ints
    overtime_fen: Ints
    forget_s: Ints
    missing_exit: Ints
    missing_exit_fen: Ints
    missing_entry: Ints
    missing_entry_fen: Ints


class Fares(NamedTuple):
    """Fares; a table has a row and a column for each of its places, the last of which is any that it does not know."""

    of_tariff: Ints
    name: Ints
    scope: Ints
    kind: Ints
    amount_fen: Ints
    place: Ints
    """F × stations: the place of a station in the fare's table."""
    places: Ints
    table: Ints
    """Where the fare's rows begin in `cells`, and its highest fares in `highest`."""
    high: Ints
    cells: Ints
    """Fen, or minus the number of the refusal."""
    highest: Ints
    """A pair for each place: the highest fare from it, and to it; -1 where there is none."""


class Discounts(NamedTuple):
    """Discounts. `rule` is the number of its name among the rules that remember; -1 where it remembers nothing."""

    of_tariff: Ints
    rule: Ints
    scope: Ints
    last: Truths
    only_linked: Truths
    product: Ints
    """-2: one that the tariff does not sell."""
    product_per: Ints
    product_periods: Ints
    quota: Ints
    quota_per: Ints
    within_s: Ints
    measured_from: Ints
    after_mode: Truths
    after_fare: Truths
    other_line: Truths
    most: Ints
    pay: Ints
    amount: Ints
    """Fen; or the numerator of a share."""
    whole: Ints
    """The denominator of a share and of bands."""
    per: Ints
    parts: Ints
    """D × 2: its bands or steps, from and to, in `part`."""
    part: Ints
    """Bands: top (-1: open) and numerator. Steps: from, numerator and denominator."""


class Caps(NamedTuple):
    """Caps."""

    of_tariff: Ints
    rule: Ints
    scope: Ints
    per: Ints
    limit_fen: Ints


class Tables(NamedTuple):
    """All that the tariffs of a night say. `rules` is how many of them remember something."""

    offset_s: Ints
    """Tariffs × slots: how far local time is before UTC."""
    category_known: Truths
    scopes: Scopes
    windows: Windows
    modes: Modes
    fares: Fares
    discounts: Discounts
    caps: Caps
    counted_per: Ints
    """Tariffs × rules: by which period a rule's sum counts; -1 where the tariff has no such sum."""
    quota_per: Ints
    """Tariffs × rules: by which period its uses count."""
    has_quota: Truths


class Work(NamedTuple):
    """What the walk along one card remembers: a row for each of its taps, a column for each rule."""

    kind: Ints
    began: Ints
    done: Truths
    fare: Ints
    first: Ints
    """The tap that the leg began with, when it was counted."""
    day: Ints
    counted_fen: Ints
    counts: Truths
    used: Truths
    given: Truths
    chained: Truths
    chain_first_s: Ints
    transfers: Ints
    chain_fen: Ints
    waiting: Ints
    before: Ints
    """Of the leg before: the tap that pays it, the tap that it began with, its fare."""
