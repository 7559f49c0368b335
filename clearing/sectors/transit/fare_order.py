"""Taps of many cards in the order that fares are made in: card by card, by instant, by place; as machine code."""

import numpy as np
import numpy.typing as npt

from clearing.sectors.transit.fare_arrays import COPY, SETTLED, Ints, Truths
from clearing.sectors.transit.fare_inner import inner


@inner()
def by_card(
    card: Ints, cards: int, at_s: Ints, operator: Ints, sequence: Ints, position: Ints
) -> tuple[Ints, Ints]:
    """Row numbers card by card, each card's by instant and place; and where each card's begin."""
    starts = np.zeros(cards + 1, np.int64)
    for row in range(len(card)):
        starts[card[row] + 1] += 1
    for number in range(cards):
        starts[number + 1] += starts[number]
    order, free = np.empty(len(card), np.int64), starts[:-1].copy()
    for row in range(len(card)):
        order[free[card[row]]] = row
        free[card[row]] += 1
    for number in range(cards):
        _sort(order, starts[number], starts[number + 1], at_s, operator, sequence, position)
    return order, starts


@inner()
def _sort(
    order: Ints, first: int, end: int, at_s: Ints, operator: Ints, sequence: Ints, position: Ints
) -> None:
    # Shell's sort: a card has few taps, nearly in order; a test card that has thousands is no trap either.
    gap = (end - first) // 2
    while gap > 0:
        for here in range(first + gap, end):
            row, there = order[here], here
            while there - gap >= first and _before(
                row, order[there - gap], at_s, operator, sequence, position
            ):
                order[there] = order[there - gap]
                there -= gap
            order[there] = row
        gap //= 2


@inner()
def _before(one: int, other: int, at_s: Ints, operator: Ints, sequence: Ints, position: Ints) -> bool:
    if at_s[one] != at_s[other]:
        return at_s[one] < at_s[other]
    if operator[one] != operator[other]:
        return operator[one] < operator[other]
    if sequence[one] != sequence[other]:
        return sequence[one] < sequence[other]
    return position[one] < position[other]


@inner()
def mark_copies(
    order: Ints, starts: Ints, at_s: Ints, state: Ints, retried: Truths, records: npt.NDArray[np.uint8]
) -> None:
    """Set the state of taps that have been presented before, by an earlier night or a row above, to COPY.

    Of several the original is one that is settled, else one that comes before a night again, else the first row.
    """
    for card in range(len(starts) - 1):
        for here in range(starts[card], starts[card + 1]):
            there = here + 1
            while there < starts[card + 1] and at_s[order[there]] == at_s[order[here]]:
                one, other = order[here], order[there]
                if _same(records, one, other):
                    copy = one if _rank(other, state, retried) < _rank(one, state, retried) else other
                    if state[copy] != SETTLED:
                        state[copy] = COPY
                there += 1


@inner()
def _same(records: npt.NDArray[np.uint8], one: int, other: int) -> bool:
    place = 0
    while place < records.shape[1] and records[one, place] == records[other, place]:
        place += 1
    return place == records.shape[1]


@inner()
def _rank(row: int, state: Ints, retried: Truths) -> tuple[int, int]:
    return (0 if state[row] == SETTLED else 1 if retried[row] else 2), row
