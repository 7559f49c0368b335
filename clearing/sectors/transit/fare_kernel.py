"""The fare kernel: the legs of every card, walked once in the order of their instants, as machine code.

It gives what `card_fares.price_card` gives, which a test holds it to, for millions of cards.
"""

import numpy as np

from clearing.sectors.transit.fare_arrays import (
    COPY,
    ENTRY,
    GUEST,
    NEW,
    RIDE,
    SETTLED,
    STEPS,
    UNPRICED_FEN,
    Holdings,
    Ints,
    Tables,
    Taps,
    Work,
)
from clearing.sectors.transit.fare_inner import inner
from clearing.sectors.transit.fare_kernel_base import (
    DAY_S,
    JOURNEY,
    MISSING_ENTRY,
    MISSING_EXIT,
    NO_LEG,
    NO_TARIFF,
    OPEN,
    RIDE_LEG,
    base_fare,
    fits,
    local_s,
)
from clearing.sectors.transit.fare_kernel_discounts import capped_fen, given_to, reduced


@inner()
def price_taps(
    tables: Tables, taps: Taps, holdings: Holdings, starts: Ints, as_of_s: int, price_fen: Ints, refusal: Ints
) -> None:
    """Price all taps but settled ones; card c has the taps from `starts[c]` to before `starts[c + 1]`.

    `price_fen` is -1 where there is no price, and `refusal` says why (from 1, as `Unpriced` has them).
    """
    most = 1
    for card in range(len(starts) - 1):
        most = max(most, starts[card + 1] - starts[card])
    work = _room(most, tables.counted_per.shape[1], tables.modes.known.shape[1])
    for card in range(len(starts) - 1):
        first, end = starts[card], starts[card + 1]
        _forget(work)
        work.done[: end - first] = False
        settled = False
        for tap in range(first, end):
            settled = settled or taps.state[tap] == SETTLED
        if settled:
            _pair(tables, taps, work, first, end, as_of_s, False)
            for tap in range(first, end):
                if taps.state[tap] == SETTLED:
                    _settle(tables, taps, holdings, work, card, first, end, tap)
            _forget(work)
        _pair(tables, taps, work, first, end, as_of_s, True)
        for tap in range(first, end):
            _step(tables, taps, holdings, work, card, first, end, tap, price_fen, refusal)


@inner()
def _room(taps: int, rules: int, modes: int) -> Work:
    return Work(
        np.zeros(taps, np.int64), np.zeros(taps, np.int64), np.zeros(taps, np.bool_), np.zeros(taps, np.int64),
        np.zeros(taps, np.int64), np.zeros(taps, np.int64), np.zeros(taps, np.int64),
        np.zeros((taps, rules), np.bool_), np.zeros((taps, rules), np.bool_), np.zeros((taps, rules), np.bool_),
        np.zeros(rules, np.bool_), np.zeros(rules, np.int64), np.zeros(rules, np.int64),
        np.zeros(rules, np.int64), np.zeros(modes, np.int64), np.zeros(3, np.int64),
    )  # fmt: skip


@inner(_nrt=False)
def _forget(work: Work) -> None:
    work.chained[:] = False
    work.before[:] = -1


@inner(_nrt=False)
def _together(tables: Tables, taps: Taps, entry: int, at_s: int) -> bool:
    tariff, mode = taps.tariff[entry], taps.mode[entry]
    if tariff < 0 or not tables.modes.gated[tariff, mode]:
        return False
    return bool(at_s - taps.at_s[entry] <= tables.modes.forget_s[tariff, mode])


@inner(_nrt=False)
def _pair(tables: Tables, taps: Taps, work: Work, first: int, end: int, as_of_s: int, with_new: bool) -> None:
    """Find the legs: kind and beginning, at the tap that pays. A guest stands beside what the others do."""
    waiting = work.waiting
    waiting[:] = -1
    for tap in range(first, end):
        row, mode = tap - first, taps.mode[tap]
        work.kind[row], work.began[row] = NO_LEG, tap
        state = taps.state[tap]
        if state == COPY or (state != SETTLED and not with_new):
            continue
        if taps.kind[tap] == RIDE:
            work.kind[row] = RIDE_LEG
            continue
        if taps.kind[tap] == ENTRY:
            if state == GUEST:
                work.kind[row] = _guest_entry(tables, taps, tap, end, as_of_s)
                continue
            if waiting[mode] >= 0:
                work.kind[waiting[mode] - first] = MISSING_EXIT
            waiting[mode] = tap
            continue
        entry = waiting[mode]
        work.kind[row] = MISSING_ENTRY
        if entry >= 0 and _together(tables, taps, entry, taps.at_s[tap]):
            work.kind[row], work.began[row] = JOURNEY, entry
        elif entry >= 0 and state != GUEST:
            work.kind[entry - first] = MISSING_EXIT
        if state != GUEST:
            waiting[mode] = -1
    for mode in range(len(waiting)):
        entry = waiting[mode]
        if entry >= 0:
            work.kind[entry - first] = OPEN if _together(tables, taps, entry, as_of_s) else MISSING_EXIT


@inner(_nrt=False)
def _guest_entry(tables: Tables, taps: Taps, entry: int, end: int, as_of_s: int) -> int:
    """The leg of an entry that nothing proves, were it the only such tap."""
    for tap in range(entry + 1, end):
        real = taps.state[tap] == NEW or taps.state[tap] == SETTLED
        if real and taps.mode[tap] == taps.mode[entry] and taps.kind[tap] != RIDE:
            if taps.kind[tap] != ENTRY and _together(tables, taps, entry, taps.at_s[tap]):
                return NO_LEG
            return MISSING_EXIT
    return OPEN if _together(tables, taps, entry, as_of_s) else MISSING_EXIT


@inner(_nrt=False)
def _settle(
    tables: Tables, taps: Taps, holdings: Holdings, work: Work, card: int, first: int, end: int, tap: int
) -> None:
    """Remember a leg that an earlier night has priced, as it was remembered then."""
    row = tap - first
    _, beside_fen, fare = _leg(tables, taps, holdings, work, card, first, end, tap, False)
    if fare >= 0 and taps.settled_fen[tap] >= 0:
        work.counted_fen[row] = max(0, taps.settled_fen[tap] - beside_fen)
        _count(tables, taps, work, first, tap, fare)
        _follow(tables, taps, work, first, tap)


@inner(_nrt=False)
def _step(
    tables: Tables, taps: Taps, holdings: Holdings, work: Work, card: int, first: int, end: int, tap: int,
    price_fen: Ints, refusal: Ints,
) -> None:  # fmt: skip
    """Price one tap after those before it, and remember its leg."""
    row, state = tap - first, taps.state[tap]
    if state == SETTLED:
        if work.done[row]:
            _follow(tables, taps, work, first, tap)
        return
    if state == COPY:
        price_fen[tap] = UNPRICED_FEN
        return
    if work.kind[row] in (NO_LEG, OPEN):
        price_fen[tap] = 0
        return
    counted_fen, beside_fen, fare = _leg(tables, taps, holdings, work, card, first, end, tap, True)
    if counted_fen < 0:
        price_fen[tap], refusal[tap] = UNPRICED_FEN, -counted_fen
        return
    price_fen[tap] = counted_fen + beside_fen
    if fare >= 0 and state == NEW:
        work.counted_fen[row] = counted_fen
        _count(tables, taps, work, first, tap, fare)
        _follow(tables, taps, work, first, tap)


@inner(_nrt=False)
def _leg(
    tables: Tables, taps: Taps, holdings: Holdings, work: Work, card: int, first: int, end: int, tap: int,
    new: bool,
) -> tuple[int, int, int]:  # fmt: skip
    """What a leg costs within discounts and caps (or minus the refusal), and beside them; its fare, if it counts.

    Where it is not `new` its price is known, and only what was given to it is found.
    """
    row = tap - first
    leg, began = work.kind[row], work.began[row]
    tariff = taps.tariff[began]
    if leg in (NO_LEG, OPEN):
        return 0, 0, -1
    if tariff < 0:
        return -NO_TARIFF, 0, -1
    local = local_s(tables, taps, tariff, began)
    fare, base_fen, penalty = base_fare(tables, taps, tariff, tap, began, leg, local)
    if base_fen < 0:
        return base_fen, 0, -1
    if penalty:
        return 0, base_fen, -1
    over_fen = 0
    mode = taps.mode[tap]
    if (
        tables.modes.gated[tariff, mode]
        and taps.at_s[tap] - taps.at_s[began] > tables.modes.limit_s[tariff, mode]
    ):
        over_fen = tables.modes.overtime_fen[tariff, mode]
    if taps.full_fare[tap]:
        return base_fen, over_fen, -1
    exact = new or tables.has_quota[tariff]
    due, whole = _discounted(
        tables, taps, holdings, work, card, first, end, tap, base_fen, fare, local, exact
    )
    if not new:
        return 0, over_fen, fare
    price_fen = (2 * due + whole) // (2 * whole)
    price_fen = capped_fen(tables, taps, work, first, end, tariff, tap, local, fare, price_fen)
    return price_fen, over_fen, fare


@inner(_nrt=False)
def _discounted(
    tables: Tables, taps: Taps, holdings: Holdings, work: Work, card: int, first: int, end: int, tap: int,
    base_fen: int, fare: int, local: int, exact: bool,
) -> tuple[int, int]:  # fmt: skip
    """What the discounts leave of a fare, as a fraction; what was given and used is noted in the tap's row."""
    discounts, row, began = tables.discounts, tap - first, work.began[tap - first]
    tariff, day = taps.tariff[began], local // DAY_S
    work.used[row, :] = False
    work.given[row, :] = False
    due, whole = base_fen, 1
    for discount in range(discounts.of_tariff[tariff, 0], discounts.of_tariff[tariff, 1]):
        if discounts.only_linked[discount] and not taps.linked[tap]:
            continue
        if not fits(tables, taps, discounts.scope[discount], tap, local, fare):
            continue
        if not given_to(
            tables, taps, holdings, work, card, first, end, tariff, discount, tap, began, day
        ):  # fmt: skip
            continue
        rule = discounts.rule[discount]
        if exact:
            due, whole, less = reduced(tables, taps, work, first, end, discount, due, whole, day)
            if less and discounts.quota[discount] > 0:
                work.used[row, rule] = True
        if rule >= 0:
            work.given[row, rule] = True
        if discounts.last[discount]:
            break
    return due, whole


@inner(_nrt=False)
def _count(tables: Tables, taps: Taps, work: Work, first: int, tap: int, fare: int) -> None:
    """Let the leg's `counted_fen` count for every cap and step in whose scope it is."""
    row, caps, discounts = tap - first, tables.caps, tables.discounts
    began = work.began[row]
    tariff = taps.tariff[began]
    local = local_s(tables, taps, tariff, began)
    work.counts[row, :] = False
    for cap in range(caps.of_tariff[tariff, 0], caps.of_tariff[tariff, 1]):
        if fits(tables, taps, caps.scope[cap], tap, local, fare):
            work.counts[row, caps.rule[cap]] = True
    for discount in range(discounts.of_tariff[tariff, 0], discounts.of_tariff[tariff, 1]):
        if discounts.pay[discount] == STEPS and fits(
            tables, taps, discounts.scope[discount], tap, local, fare
        ):
            work.counts[row, discounts.rule[discount]] = True
    work.first[row], work.fare[row], work.day[row] = began, fare, local // DAY_S
    work.done[row] = True


@inner(_nrt=False)
def _follow(tables: Tables, taps: Taps, work: Work, first: int, tap: int) -> None:
    """Remember a counted leg as the one before, and in chains of transfers."""
    row, discounts = tap - first, tables.discounts
    began = work.first[row]
    tariff = taps.tariff[began]
    for discount in range(discounts.of_tariff[tariff, 0], discounts.of_tariff[tariff, 1]):
        if discounts.within_s[discount] >= 0:
            rule = discounts.rule[discount]
            if work.chained[rule] and work.given[row, rule]:
                work.transfers[rule] += 1
                work.chain_fen[rule] += work.counted_fen[row]
            else:
                work.chained[rule] = True
                work.chain_first_s[rule] = taps.at_s[began]
                work.transfers[rule], work.chain_fen[rule] = 0, work.counted_fen[row]
    work.before[0], work.before[1], work.before[2] = tap, began, work.fare[row]
