"""Taps as the columns that a night prices, from a few facts each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from clearing.sectors.transit.fare_arrays import GUEST, NEW, SETTLED, FareColumns
from clearing.sectors.transit.recorded_taps import RecordedTap


@dataclass(frozen=True)
class NightTap:
    """A tap before a night, proved or not; or one that is settled, at this price (-1: none)."""

    tap: RecordedTap
    proved: bool = True
    settled_fen: int | None = None


def fare_columns(taps: Sequence[NightTap]) -> FareColumns:
    """The columns of these taps, with records that differ as their places do."""
    facts = [one.tap for one in taps]

    def ints(name: str) -> np.ndarray:
        return np.array([getattr(tap, name) for tap in facts], np.int64)

    def truths(name: str) -> np.ndarray:
        return np.array([getattr(tap, name) for tap in facts], np.bool_)

    records = [tap.id.encode().ljust(64, b"\0")[:64] for tap in facts]
    states = [SETTLED if one.settled_fen is not None else NEW if one.proved else GUEST for one in taps]
    return FareColumns(
        card_no=pa.chunked_array([[tap.card_no for tap in facts]], pa.string()),
        operator=pa.chunked_array([[tap.operator for tap in facts]], pa.string()),
        sequence=ints("sequence"),
        position=ints("position"),
        at_s=ints("at_s"),
        ride=ints("ride"),
        line=ints("line"),
        station=ints("station"),
        holder_class=ints("holder_class"),
        list_fare_fen=ints("list_fare_fen"),
        linked=truths("linked"),
        full_fare=truths("full_fare"),
        retried=np.zeros(len(taps), np.bool_),
        records=np.frombuffer(b"".join(records), np.uint8).reshape(-1, 64),
        state=np.array(states, np.int64),
        settled_fen=np.array([-1 if one.settled_fen is None else one.settled_fen for one in taps], np.int64),
    )
