"""A day's taps at random, a million at a time, as columns: who rides where, what is charged, and what goes wrong."""

from collections.abc import Iterator
from datetime import date, timedelta
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from city.benchmarks.tac_maker import Sign
from city.day import ISSUER, terminal_of
from clearing.verification import tac_columns
from clearing.wire.batch import RECORD_DTYPE, Ride
from clearing.wire.bcd import pack_date
from clearing.wire.tariff import Tariff, fare_fen

PIECE_ROWS = 1_000_000
CARD_PREFIX = "0310487"
CARD_DIGITS = 20
FARES_FEN = (100, 200, 250, 300, 500)
OPENING_FEN = 50_000
"""What every chip, and its purse, holds in the morning."""
FIRST_TAP_S, ROUND_S = 6 * 3_600, 3_600
ROUNDS_A_DAY = 15
WRONG_PER_MILLE = 20
LATE_DAYS = 40

Index = npt.NDArray[np.int64]


class Fault(IntEnum):
    """What goes wrong with a tap; each happens as often as any other."""

    MALFORMED = 0
    DUPLICATE = 1
    DEVICE_UNKNOWN = 2
    DEVICE_WITHDRAWN = 3
    CARD_UNKNOWN = 4
    TAC_WRONG = 5
    COUNTER_CONFLICT = 6
    TOO_LATE = 7
    AMOUNT_OUT_OF_BOUNDS = 8
    LOST = 9
    PRICE_DIFFERS = 10


def card_digits(count: int) -> npt.NDArray[np.bytes_]:
    """The numbers of the first `count` cards, 20 digits each."""
    return np.array([f"{CARD_PREFIX}{index + 1:013d}".encode() for index in range(count)], f"S{CARD_DIGITS}")


class DayColumns:
    """The taps of one day: in every round each card rides once, in an order of its own."""

    def __init__(self, tariff: Tariff, day: date, cards: int, operators: int, places: int, seed: int) -> None:
        self._drawn = np.random.default_rng(seed)
        self._tariff, self._day, self._cards, self._places = tariff, day, cards, places
        self._terminals = np.array(
            [
                [list(bytes.fromhex(terminal_of(operator, place))) for place in range(places)]
                for operator in range(operators)
            ],
            np.uint8,
        )
        self._balance_fen = np.full(cards, OPENING_FEN, np.int64)
        self._prices_fen = np.array([self._price_fen(list_fen) for list_fen in FARES_FEN])
        self._given = np.zeros(operators * places, np.int64)

    def pieces(self, taps: int, sign: Sign) -> Iterator[tuple[np.ndarray, Index]]:
        """About `taps` records (RECORD_DTYPE) and the operator of each, in the order in which they happen."""
        for start in range(0, taps, self._cards):
            counter = start // self._cards + 1
            order = self._drawn.permutation(self._cards)[: taps - start]
            for first in range(0, len(order), PIECE_ROWS):
                yield self._piece(counter, order[first : first + PIECE_ROWS], sign)

    def _piece(self, counter: int, cards: Index, sign: Sign) -> tuple[np.ndarray, Index]:
        count, draw = len(cards), self._drawn.integers
        fault = np.where(draw(0, 1000, count) < WRONG_PER_MILLE, draw(0, len(Fault), count), -1)
        fare = draw(0, len(FARES_FEN), count)
        operator, place = draw(0, len(self._terminals), count), draw(0, self._places - 1, count)
        place[fault == Fault.DEVICE_WITHDRAWN] = self._places - 1
        rows = np.zeros(count, RECORD_DTYPE)
        rows["version"], rows["ride"], rows["kind"], rows["key_version"], rows["holder_class"] = (
            1,
            Ride.BUS,
            9,
            1,
            1,
        )
        rows["issuer"] = list(bytes.fromhex(ISSUER))
        rows["card_no"] = _packed(np.where(fault == Fault.CARD_UNKNOWN, 10**12 + cards, cards + 1))
        rows["counter"] = counter
        rows["list_fare_fen"] = np.array(FARES_FEN)[fare]
        amount_fen = self._prices_fen[fare]
        amount_fen[fault == Fault.PRICE_DIFFERS] += 10
        amount_fen[fault == Fault.AMOUNT_OUT_OF_BOUNDS] = 5_000
        rows["amount_fen"], rows["balance_before_fen"] = amount_fen, self._balance_fen[cards]
        self._balance_fen[cards] -= amount_fen
        rows["terminal"] = self._terminals[operator, place]
        rows["terminal"][fault == Fault.DEVICE_UNKNOWN, 2] = 0xEE
        rows["terminal_sequence"] = self._next_numbers(operator * self._places + place)
        rows["moment"] = self._moments(counter, fault)
        rows["line"], rows["station"], rows["tariff_version"] = 1, place % 50, self._tariff.version
        rows["tac"] = sign(tac_columns(rows))
        return self._spoilt(rows, operator, fault)

    def _spoilt(self, rows: np.ndarray, operator: Index, fault: Index) -> tuple[np.ndarray, Index]:
        """What goes wrong after the card has signed: damage, copies, clones, losses."""
        again = np.flatnonzero((fault == Fault.DUPLICATE) | (fault == Fault.COUNTER_CONFLICT))
        extra = rows[again]
        extra["station"][fault[again] == Fault.COUNTER_CONFLICT] += 1
        rows["tac"][fault == Fault.TAC_WRONG, 0] ^= 1
        rows["ride"][fault == Fault.MALFORMED] = 9
        kept = fault != Fault.LOST
        # As bytes: joined as they are, big-endian numbers would be turned round.
        joined = np.frombuffer(rows[kept].tobytes() + extra.tobytes(), RECORD_DTYPE)
        return joined, np.concatenate([operator[kept], operator[again]])

    def _next_numbers(self, terminal: Index) -> Index:
        """The number that each terminal gives the tap, from 1; those of lost taps stay missing."""
        order = np.argsort(terminal, kind="stable")
        counts = np.bincount(terminal, minlength=len(self._given))
        nth = np.empty(len(terminal), np.int64)
        nth[order] = np.arange(1, len(terminal) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
        numbers: Index = self._given[terminal] + nth
        self._given += counts
        return numbers

    def _moments(self, counter: int, fault: Index) -> npt.NDArray[np.uint8]:
        second = FIRST_TAP_S + (counter - 1) % ROUNDS_A_DAY * ROUND_S
        seconds = second + np.sort(self._drawn.integers(0, ROUND_S, len(fault)))
        moments = np.empty((len(fault), 7), np.uint8)
        moments[:, :4] = list(pack_date(self._day))
        moments[fault == Fault.TOO_LATE, :4] = list(pack_date(self._day - timedelta(days=LATE_DAYS)))
        for place, number in enumerate((seconds // 3_600, seconds // 60 % 60, seconds % 60), 4):
            moments[:, place] = number // 10 << 4 | number % 10
        return moments

    def _price_fen(self, list_fen: int) -> int:
        return fare_fen(
            self._tariff, ride=Ride.BUS, list_fare_fen=list_fen, holder_class=1, linked=False, full_fare=False
        )


def _packed(numbers: Index) -> npt.NDArray[np.uint8]:
    """Card numbers with these last 13 digits, 10 bytes each."""
    digits = np.empty((len(numbers), CARD_DIGITS), np.uint8)
    digits[:, : len(CARD_PREFIX)] = [int(digit) for digit in CARD_PREFIX]
    for place in range(CARD_DIGITS - 1, len(CARD_PREFIX) - 1, -1):
        numbers, digits[:, place] = numbers // 10, numbers % 10
    packed: npt.NDArray[np.uint8] = (digits[:, 0::2] << 4 | digits[:, 1::2]).astype(np.uint8)
    return packed
