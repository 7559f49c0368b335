"""From paid taps to the lines of entries: who is credited, and from whose money."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clearing.columns import numbers, truths
from clearing.tap_accounts import OVERCHARGE, SHORTFALL, owed_account
from ledger.prepared import Heading, Lines

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


def from_purses(amounts: Fens, paid: Fens) -> Shares:
    """The shares of taps whose cards' purses hold enough for all of them; to be written into."""
    return Shares(paid.copy(), np.zeros_like(paid), amounts - paid, np.zeros_like(paid))


def batch_columns(
    taps: pa.Table,
    parts: Shares,
    made_at: Mapping[tuple[str, int], datetime],
    business_date: date,
    centres: Collection[str] = (),
) -> tuple[list[Heading], Lines]:
    """An entry for each operator batch with paid taps, a line for each part of a tap that goes its own way.

    `taps` holds the paid taps with an amount, by batch and position, and `parts` how the money of each goes.
    Taps retried on a later night make an entry of their own, since their batch's is in the books already.
    `centres` are the operators that are other cities' centres.
    """
    counters = numbers(taps, "counter")
    of_batch, headings = _batches(taps, made_at, business_date)
    # A row a tap, its parts side by side; those that are not empty are lines, in that order.
    amounts = np.stack([parts.purse_paid, parts.short_paid, parts.purse_over, parts.short_over], axis=1)
    tap, part = np.nonzero(amounts)
    rows = pa.array(tap)
    card_no: Any = taps["card_no"].combine_chunks()
    operators: Any = taps["operator"].combine_chunks().dictionary_encode()
    accounts = [owed_account(name, centres) for name in operators.dictionary.to_pylist()]
    owed: Any = pa.array(accounts, pa.string()).take(operators.indices)
    counter: Any = pa.array(counters).cast(pa.string())
    purses: Any = pc.binary_join_element_wise("purse", card_no.take(rows), ":")
    items: Any = pc.binary_join_element_wise(card_no, counter, ":")
    lines = Lines(
        of_batch[tap],
        pc.if_else(pa.array(part % 2 == 0), purses, SHORTFALL),
        pc.if_else(pa.array(part < 2), owed.take(rows), OVERCHARGE),
        amounts[tap, part],
        items.take(rows),
    )
    return headings, lines


def _batches(
    taps: pa.Table, made_at: Mapping[tuple[str, int], datetime], business_date: date
) -> tuple[Fens, list[Heading]]:
    """The place of each tap's batch among the headings, and the headings."""
    operators: Any = taps["operator"].combine_chunks().dictionary_encode()
    sequences, retried = numbers(taps, "sequence"), truths(taps, "retried")
    keys = np.stack([operators.indices.to_numpy().astype(np.int64), sequences, retried], axis=1)
    begins = np.ones(len(keys), np.bool_)
    begins[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    names = operators.dictionary.to_pylist()
    headings = []
    for place, sequence, again in keys[begins].tolist():
        operator = str(names[place])
        reference = f"batch:{operator}:{sequence}" + (f":{business_date}" if again else "")
        narrative = f"{operator} batch {sequence}" + (", out of suspense" if again else "")
        headings.append(Heading(reference, "clearing", made_at[operator, sequence], narrative))
    return np.cumsum(begins) - 1, headings
