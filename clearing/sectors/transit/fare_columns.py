"""A night's taps priced by fare tariffs: columns in, a price or a refusal a tap out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from card.chip.files import HIGHEST_HOLDER_CLASS
from clearing.sectors.transit.base_fare import fares_fen
from clearing.sectors.transit.fare_arrays import ENTRY, EXIT, RIDE, FareColumns, Holdings, Ints, Taps
from clearing.sectors.transit.fare_exact import fits_words
from clearing.sectors.transit.fare_machine import KERNELS
from clearing.sectors.transit.fare_names import Names, ints, names_of
from clearing.sectors.transit.fare_reference import price_slowly
from clearing.sectors.transit.fare_tables import SLOT_S, tables_of
from clearing.sectors.transit.fare_taps import Holding, TapKind
from clearing.sectors.transit.fare_tariff import EntryExit, FareTariff, FixedCharge, ListCharge, tariff_at
from clearing.sectors.transit.recorded_taps import RIDES, category_of, line_of, mode_of, station_of

KINDS = {TapKind.RIDE: RIDE, TapKind.ENTRY: ENTRY, TapKind.EXIT: EXIT}


@dataclass(frozen=True, slots=True)
class FarePrices:
    """In the order of the taps: fen (-1: none), the number of the refusal (0: none), and the most it could cost."""

    price_fen: Ints
    refusal: Ints
    most_fen: Ints


def price_columns(
    tariffs: tuple[FareTariff, ...], taps: FareColumns, holdings: Sequence[Holding], as_of_s: int
) -> FarePrices:
    """Price all taps that are not settled, over what is settled; entries count as open up to `as_of_s`."""
    card, cards = coded(taps.card_no)
    operator, operators = _ranked(taps.operator)
    state = taps.state.copy()
    order, starts, _ = KERNELS.in_order(
        card, len(cards), taps.at_s, operator, taps.sequence, taps.position, state, taps.retried, taps.records
    )
    slot, slots = coded(pa.array(np.concatenate([taps.at_s, _bought_s(holdings)]) // SLOT_S))
    tariff = _by_slot(tariffs, slots)[slot[: len(card)]]
    names, columns = _named(tariffs, taps, tariff, operators)
    stations, station = _stations(taps)
    prices, refusals = (np.zeros(len(card), np.int64) for _ in range(2))
    if fits_words(tariffs):
        whole = Taps(
            taps.at_s, slot[: len(card)], tariff, columns["mode"], columns["kind"], operator, columns["line"],
            columns["category"], station, columns["list_fen"], taps.linked, taps.full_fare, state,
            taps.settled_fen,
        )  # fmt: skip
        sorted_prices, sorted_refusals = prices.copy(), refusals.copy()
        KERNELS.price_taps(
            tables_of(tariffs, names, stations, slots),
            Taps._make(np.ascontiguousarray(column[order]) for column in whole),
            _holdings(holdings, cards, names, slot[len(card) :]),
            starts, as_of_s, sorted_prices, sorted_refusals,
        )  # fmt: skip
        prices[order], refusals[order] = sorted_prices, sorted_refusals
    else:
        price_slowly(tariffs, taps, state, holdings, as_of_s, prices, refusals)
    most = np.maximum(_most_fen(tariffs, names)[tariff, columns["mode"]], prices)
    return FarePrices(prices, refusals, most)


def coded(values: "pa.Array[Any] | pa.ChunkedArray[Any]") -> tuple[Ints, list[Any]]:
    """Each value's number, and the values by number, in the order in which they were first met."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    encoded = whole.dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(), np.int64), encoded.dictionary.to_pylist()


def _ranked(texts: "pa.ChunkedArray[Any]") -> tuple[Ints, list[str]]:
    numbers, found = coded(texts)
    ordered = sorted(found)
    rank = ints([ordered.index(text) for text in found])
    return rank[numbers] if len(numbers) else numbers, ordered


def _by_slot(tariffs: tuple[FareTariff, ...], slots: Sequence[int]) -> Ints:
    """The place of the tariff that is in force in each quarter of an hour; -1 where none is."""
    place = {id(tariff): number for number, tariff in enumerate(tariffs)}
    found = (tariff_at(tariffs, datetime.fromtimestamp(slot * SLOT_S, UTC)) for slot in slots)
    return ints([-1 if tariff is None else place[id(tariff)] for tariff in found])


def _named(
    tariffs: tuple[FareTariff, ...], taps: FareColumns, tariff: Ints, operators: Sequence[str]
) -> tuple[Names, Mapping[str, Ints]]:
    """Modes, lines and categories of taps by the tariff of each tap's own instant, in numbers."""
    line, lines = coded(pa.array(taps.line))
    every = (*tariffs, None)  # place -1 is where there is no tariff
    mode_names = [[[mode_of(one, ride, number) for number in lines] for ride in RIDES] for one in every]
    line_names = [[line_of(one, number) for number in lines] for one in every]
    classes = [[category_of(one, number) for number in range(HIGHEST_HOLDER_CLASS + 1)] for one in every]
    names = names_of(
        tariffs,
        modes=[name for one in mode_names for ride in one for name in ride] + ["bus"],
        operators=operators,
        lines=[name for one in line_names for name in one],
        categories=[name for one in classes for name in one],
    )
    modes = ints([[[names.modes[n] for n in ride] for ride in one] for one in mode_names])
    kinds = ints([KINDS[kind] for _, kind in RIDES.values()])
    kind = kinds[taps.ride - 1]
    return names, {
        "mode": modes.reshape(len(every), len(RIDES), len(lines))[tariff, taps.ride - 1, line],
        "line": ints([[names.lines[n] for n in one] for one in line_names], len(lines))[tariff, line],
        "category": ints([[names.categories[n] for n in one] for one in classes])[tariff, taps.holder_class],
        "kind": kind,
        "list_fen": np.where(kind == ENTRY, -1, taps.list_fare_fen),
    }


def _stations(taps: FareColumns) -> tuple[list[str], Ints]:
    station, stations = coded(pa.array(taps.line << 16 | taps.station))
    return [station_of(code >> 16, code & 0xFFFF) for code in stations], station


def _bought_s(holdings: Sequence[Holding]) -> Ints:
    return ints([int(holding.bought_at.timestamp()) for holding in holdings])


def _holdings(holdings: Sequence[Holding], cards: Sequence[str], names: Names, slot: Ints) -> Holdings:
    number = {card: place for place, card in enumerate(cards)}
    owner = ints([number.get(holding.card, -1) for holding in holdings])
    ours = np.flatnonzero(owner >= 0)
    ours = ours[np.argsort(owner[ours], kind="stable")]
    starts = np.searchsorted(owner[ours], np.arange(len(cards) + 1))
    product = ints([names.products.get(holding.product) for holding in holdings])
    return Holdings(
        starts.astype(np.int64), product[ours], _bought_s(holdings)[ours], np.ascontiguousarray(slot[ours])
    )


def _most_fen(tariffs: Sequence[FareTariff], names: Names) -> Ints:
    """The most that a leg of each mode can cost before discounts; the last row is where no tariff is in force."""
    most = np.zeros((len(tariffs) + 1, len(names.modes)), np.int64)
    for place, tariff in enumerate(tariffs):
        for name, mode in tariff.modes.items():
            amounts = [
                fen for fare in tariff.fares
                if not fare.scope.modes or name in fare.scope.modes
                for fen in fares_fen(tariff, fare)
            ]  # fmt: skip
            if isinstance(mode, EntryExit):
                for charge in (mode.missing_exit, mode.missing_entry):
                    if isinstance(charge, FixedCharge):
                        amounts.append(charge.fare_fen)
                    elif isinstance(charge, ListCharge):
                        amounts.append(charge.most_fen)
            over_fen = mode.overtime_fen if isinstance(mode, EntryExit) else 0
            most[place, names.modes[name]] = max(amounts, default=0) + over_fen
    return most
