"""The fare kernels as Python calls them: compiled once, and kept until any of their sources is another.

Numba keeps what it compiled by the text of the function's own file and by what the function closes over; of a change
in what it calls, or in a constant of another module, it knows nothing. So each function here closes over a digest of
all sources, and hands it back.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from clearing.sectors.transit import (
    fare_arrays,
    fare_inner,
    fare_kernel,
    fare_kernel_base,
    fare_kernel_discounts,
    fare_order,
)
from clearing.sectors.transit.fare_arrays import Holdings, Ints, Tables, Taps, Truths
from clearing.sectors.transit.fare_kernel import price_taps
from clearing.sectors.transit.fare_order import by_card, mark_copies

Bytes = npt.NDArray[np.uint8]
SOURCES = fare_arrays, fare_inner, fare_kernel, fare_kernel_base, fare_kernel_discounts, fare_order


class Kernels(NamedTuple):
    """What `price_columns` calls; the last that each gives is the digest of what it was compiled from."""

    in_order: Callable[..., tuple[Ints, Ints, int]]
    price_taps: Callable[..., int]


def digest(sources: bytes) -> int:
    """A number for these sources, in a machine word."""
    return int.from_bytes(hashlib.sha256(sources).digest()[:7], "big")


def compiled(made_from: int) -> Kernels:
    """The kernels made from the sources of this digest; compiled, or found, when they are first called."""

    @njit(cache=True, nogil=True)
    def in_order(
        card: Ints,
        cards: int,
        at_s: Ints,
        operator: Ints,
        sequence: Ints,
        position: Ints,
        state: Ints,
        retried: Truths,
        records: Bytes,
    ) -> tuple[Ints, Ints, int]:
        order, starts = by_card(card, cards, at_s, operator, sequence, position)
        mark_copies(order, starts, at_s, state, retried, records)
        return order, starts, made_from

    @njit(cache=True, nogil=True)
    def priced(
        tables: Tables, taps: Taps, holdings: Holdings, starts: Ints, as_of_s: int, fen: Ints, refusal: Ints
    ) -> int:
        price_taps(tables, taps, holdings, starts, as_of_s, fen, refusal)
        return made_from

    return Kernels(in_order, priced)


KERNELS = compiled(digest(b"".join(Path(str(module.__file__)).read_bytes() for module in SOURCES)))
