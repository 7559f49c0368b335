"""The fare kernel: discounts and caps over what the card's legs have left, as machine code.

Amounts are fractions `due / whole` of whole numbers, exact; `fare_plan` sees to it that they fit 64 bits.
"""

from clearing.sectors.transit.fare_arrays import (
    BANDS,
    BEGIN,
    END,
    FIXED,
    LESS,
    SHARE,
    STEPS,
    Holdings,
    Tables,
    Taps,
    Work,
)
from clearing.sectors.transit.fare_inner import inner
from clearing.sectors.transit.fare_kernel_base import DAY_S, after_periods, fits, local_s, period_start

WHOLE_BP = 10_000
TAP, BEGAN, FARE = 0, 1, 2
"""The columns of the leg before."""


@inner(_nrt=False)
def paid_fen(tables: Tables, taps: Taps, work: Work, first: int, end: int, rule: int, start: int) -> int:
    """What legs that count for the rule have cost in the period that begins at `start`."""
    sum_fen = 0
    for tap in range(first, end):
        row = tap - first
        if work.done[row] and work.counts[row, rule]:
            per = tables.counted_per[taps.tariff[work.first[row]], rule]
            if period_start(per, work.day[row]) == start:
                sum_fen += work.counted_fen[row]
    return sum_fen


@inner(_nrt=False)
def _uses(tables: Tables, taps: Taps, work: Work, first: int, end: int, rule: int, start: int) -> int:
    uses = 0
    for tap in range(first, end):
        row = tap - first
        if work.done[row] and work.used[row, rule]:
            per = tables.quota_per[taps.tariff[work.first[row]], rule]
            if period_start(per, work.day[row]) == start:
                uses += 1
    return uses


@inner(_nrt=False)
def _holds(
    tables: Tables, taps: Taps, holdings: Holdings, card: int, tariff: int, discount: int, began: int
) -> bool:
    discounts = tables.discounts
    today = local_s(tables, taps, tariff, began) // DAY_S
    for held in range(holdings.starts[card], holdings.starts[card + 1]):
        if (
            holdings.product[held] == discounts.product[discount]
            and holdings.bought_s[held] <= taps.at_s[began]
        ):
            bought = holdings.bought_s[held] + tables.offset_s[tariff, holdings.slot[held]]
            per, periods = discounts.product_per[discount], discounts.product_periods[discount]
            if today < after_periods(per, bought // DAY_S, periods):
                return True
    return False


@inner(_nrt=False)
def _no_transfer(tables: Tables, taps: Taps, work: Work, discount: int, tap: int, began: int) -> bool:
    discounts, before = tables.discounts, work.before
    rule = discounts.rule[discount]
    if before[TAP] < 0 or not work.chained[rule]:
        return True
    if not discounts.after_mode[discount, taps.mode[before[TAP]]]:
        return True
    if not discounts.after_fare[discount, before[FARE]]:
        return True
    if discounts.other_line[discount] and taps.line[before[TAP]] == taps.line[tap]:
        return True
    if work.transfers[rule] >= discounts.most[discount]:
        return True
    if discounts.measured_from[discount] == BEGIN:
        since = taps.at_s[before[BEGAN]]
    elif discounts.measured_from[discount] == END:
        since = taps.at_s[before[TAP]]
    else:
        since = work.chain_first_s[rule]
    gap = taps.at_s[began] - since
    return not 0 <= gap <= discounts.within_s[discount]


@inner(_nrt=False)
def given_to(
    tables: Tables, taps: Taps, holdings: Holdings, work: Work, card: int, first: int, end: int, tariff: int,
    discount: int, tap: int, began: int, day: int,
) -> bool:  # fmt: skip
    """Whether a discount whose scope fits is given to the leg."""
    discounts = tables.discounts
    if discounts.product[discount] != -1 and not _holds(
        tables, taps, holdings, card, tariff, discount, began
    ):
        return False
    if discounts.quota[discount] > 0:
        start = period_start(discounts.quota_per[discount], day)
        used = _uses(tables, taps, work, first, end, discounts.rule[discount], start)
        if used >= discounts.quota[discount]:
            return False
    return discounts.within_s[discount] < 0 or not _no_transfer(tables, taps, work, discount, tap, began)


@inner(_nrt=False)
def _banded(tables: Tables, discount: int, due: int, whole: int) -> int:
    """The numerator over `whole` × the bands' own denominator."""
    discounts = tables.discounts
    sum_due, floor = 0, 0
    for band in range(discounts.parts[discount, 0], discounts.parts[discount, 1]):
        top_fen = discounts.part[band, 0]
        top = due if top_fen < 0 else min(due, top_fen * whole)
        sum_due += max(0, top - floor) * discounts.part[band, 1]
        floor = max(floor, top)
    return sum_due


@inner(_nrt=False)
def _stepped(
    tables: Tables, taps: Taps, work: Work, first: int, end: int, discount: int, day: int
) -> tuple[int, int]:
    """The share, as a fraction, that what was spent in the period gives."""
    discounts = tables.discounts
    start = period_start(discounts.per[discount], day)
    spent_fen = paid_fen(tables, taps, work, first, end, discounts.rule[discount], start)
    for step in range(discounts.parts[discount, 1] - 1, discounts.parts[discount, 0] - 1, -1):
        if discounts.part[step, 0] <= spent_fen:
            return discounts.part[step, 1], discounts.part[step, 2]
    return 1, 1


@inner(_nrt=False)
def reduced(
    tables: Tables,
    taps: Taps,
    work: Work,
    first: int,
    end: int,
    discount: int,
    due: int,
    whole: int,
    day: int,
) -> tuple[int, int, bool]:
    """What is left of `due / whole`, as a fraction, and whether it is less."""
    discounts = tables.discounts
    pay, amount = discounts.pay[discount], discounts.amount[discount]
    if pay == SHARE:
        own_whole = discounts.whole[discount]
        return due * amount, whole * own_whole, due > 0 and amount < own_whole
    if pay == LESS:
        left = max(0, due - amount * whole)
        return left, whole, left < due
    if pay == BANDS:
        own_whole = discounts.whole[discount]
        left = _banded(tables, discount, due, whole)
        return left, whole * own_whole, left < due * own_whole
    if pay == STEPS:
        share, of = _stepped(tables, taps, work, first, end, discount, day)
        return due * share, whole * of, due > 0 and share < of
    most_fen = amount
    if pay != FIXED:
        rule = discounts.rule[discount]
        if rule >= 0 and discounts.within_s[discount] >= 0 and work.chained[rule]:
            most_fen -= work.chain_fen[rule]
        most_fen = max(0, most_fen)
    left = min(due, most_fen * whole)
    return left, whole, left < due


@inner(_nrt=False)
def capped_fen(
    tables: Tables, taps: Taps, work: Work, first: int, end: int, tariff: int, tap: int, local: int, fare: int,
    price_fen: int,
) -> int:  # fmt: skip
    """The price that every cap in whose scope the leg is leaves room for."""
    caps = tables.caps
    for cap in range(caps.of_tariff[tariff, 0], caps.of_tariff[tariff, 1]):
        if fits(tables, taps, caps.scope[cap], tap, local, fare):
            start = period_start(caps.per[cap], local // DAY_S)
            spent_fen = paid_fen(tables, taps, work, first, end, caps.rule[cap], start)
            price_fen = min(price_fen, max(0, caps.limit_fen[cap] - spent_fen))
    return price_fen
