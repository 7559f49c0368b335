"""From paid taps to the lines of entries: who is credited, and from whose money."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clearing.columns import numbers, texts, truths
from ledger.entry import Entry, Line

OVERCHARGE = "suspense:overcharge"
SHORTFALL = "suspense:purse_shortfall"
Fens = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shares:
    """How the money of paid taps parts, in fen, a row a tap.

    The operator gets `purse_paid + short_paid`; what it charged above the tariff, `purse_over +
    short_over`, is kept for the rider. `short_…` is what the card's purse in our books could not cover.
    """

    purse_paid: Fens
    short_paid: Fens
    purse_over: Fens
    short_over: Fens


def shares(
    cards: list[str], counters: Fens, amounts: Fens, paid: Fens, purses_fen: Mapping[str, int]
) -> Shares:
    """Take each card's taps out of its purse in the order of their counters, as far as it reaches.

    `amounts` is what left the chip, `paid` what the operator is owed of it; cards without a purse in
    `purses_fen` have nothing in it.
    """
    names, of_card = np.unique(np.array(cards, np.str_), return_inverse=True)
    held = np.array([max(0, purses_fen.get(str(name), 0)) for name in names], np.int64)
    order = np.lexsort((np.arange(len(cards)), counters, of_card))
    sorted_amounts, sorted_cards = amounts[order], of_card[order]
    through = np.cumsum(sorted_amounts)
    first = np.searchsorted(sorted_cards, np.arange(len(names)))
    spent_before = through - sorted_amounts - (through - sorted_amounts)[first][sorted_cards]
    covered = np.empty_like(amounts)
    covered[order] = np.clip(held[sorted_cards] - spent_before, 0, sorted_amounts)
    purse_paid = np.minimum(covered, paid)
    purse_over = covered - purse_paid
    return Shares(purse_paid, paid - purse_paid, purse_over, amounts - paid - purse_over)


def batch_entries(
    taps: pa.Table,
    purses_fen: Mapping[str, int],
    made_at: Mapping[tuple[str, int], datetime],
    business_date: date,
) -> list[Entry]:
    """An entry for each operator batch with paid taps, a line for each part of a tap that goes its own way.

    `taps` holds the paid taps with an amount, by batch and position. Taps retried on a later night make
    an entry of their own, since their batch's is in the books already.
    """
    cards, counters = texts(taps, "card_no"), numbers(taps, "counter")
    parts = shares(cards, counters, numbers(taps, "amount_fen"), numbers(taps, "paid_fen"), purses_fen)
    columns = zip(
        texts(taps, "operator"),
        numbers(taps, "sequence").tolist(),
        truths(taps, "retried").tolist(),
        cards,
        counters.tolist(),
        parts.purse_paid.tolist(),
        parts.short_paid.tolist(),
        parts.purse_over.tolist(),
        parts.short_over.tolist(),
        strict=True,
    )
    entries = []
    for (operator, sequence, retried), rows in groupby(columns, key=lambda row: row[:3]):
        lines: list[Line] = []
        for _, _, _, card_no, counter, *parted in rows:
            lines += _lines(operator, card_no, counter, *parted)
        reference = f"batch:{operator}:{sequence}" + (f":{business_date}" if retried else "")
        narrative = f"{operator} batch {sequence}" + (", out of suspense" if retried else "")
        event_at = made_at[operator, sequence]
        entries.append(Entry(reference, "clearing", business_date, event_at, tuple(lines), narrative))
    return entries


def _lines(
    operator: str,
    card_no: str,
    counter: int,
    purse_paid_fen: int,
    short_paid_fen: int,
    purse_over_fen: int,
    short_over_fen: int,
) -> list[Line]:
    purse, owed, item = f"purse:{card_no}", f"clearing:{operator}", f"{card_no}:{counter}"
    return [
        Line(debit, credit, amount_fen, item)
        for debit, credit, amount_fen in (
            (purse, owed, purse_paid_fen),
            (SHORTFALL, owed, short_paid_fen),
            (purse, OVERCHARGE, purse_over_fen),
            (SHORTFALL, OVERCHARGE, short_over_fen),
        )
        if amount_fen
    ]
