"""Lines of result files held against what was handed over: which answer a tap, and why the others do not.

All of it over columns; nothing here runs once a line.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from clearing.wire.result_code import ResultCode

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
NO_ANSWER = -1


class Odd(StrEnum):
    """Why a line answers no tap, in order of precedence: the first that applies is kept with it."""

    CODE_UNKNOWN = "code_unknown"
    TAP_UNKNOWN = "tap_unknown"
    ANSWERED = "answered"
    AMOUNT_DIFFERS = "amount_differs"


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines as columns: the file of ours that each is about and the place in it, the amount there, the code."""

    number: Ints
    place: Ints
    amount_fen: Ints
    code: Ints


@dataclass(frozen=True, slots=True)
class Judged:
    """Lines judged: `odd` is the place of the reason among those of Odd, NO_ANSWER where the line answers its tap.

    `again` are those that only say once more what the tap was answered with.
    """

    odd: Ints
    again: Bools

    @property
    def answers(self) -> Bools:
        """Which lines answer their taps."""
        fits: Bools = self.odd == NO_ANSWER
        return fits


def judge_lines(lines: Lines, handed: Lines) -> Judged:
    """Judge lines by the taps that were handed over; a code of NO_ANSWER there says that it waits.

    Of several lines that would answer one tap, the first does.
    """
    keys, known_keys = _key(lines.number, lines.place), _key(handed.number, handed.place)
    order = np.argsort(known_keys)
    at = np.searchsorted(known_keys, keys, sorter=order)
    found = at < len(known_keys)
    tap = np.zeros(len(keys), np.int64)
    tap[found] = order[at[found]]
    found[found] = known_keys[tap[found]] == keys[found]
    told = np.full(len(keys), NO_ANSWER, np.int64)
    amount_fen = np.zeros(len(keys), np.int64)
    told[found], amount_fen[found] = handed.code[tap[found]], handed.amount_fen[tap[found]]
    reasons = (
        ~np.isin(lines.code, [int(code) for code in ResultCode]),
        ~found,
        told != NO_ANSWER,
        lines.amount_fen != amount_fen,
    )
    odd = np.select(reasons, range(len(Odd)), NO_ANSWER).astype(np.int64)
    answering = _first(keys, odd == NO_ANSWER)
    # What answers a tap now is what all other lines about it are held against, those before it as well.
    own, codes = keys[answering], lines.code[answering]
    order = np.argsort(own)
    if len(own):
        at = np.minimum(np.searchsorted(own, keys, sorter=order), len(own) - 1)
        same = (own[order[at]] == keys) & ~answering & (odd != list(Odd).index(Odd.CODE_UNKNOWN))
        odd[same], told[same] = list(Odd).index(Odd.ANSWERED), codes[order[at]][same]
    again = (odd == list(Odd).index(Odd.ANSWERED)) & (told == lines.code)
    return Judged(odd, again)


def _first(keys: Ints, among: Bools) -> Bools:
    """The first line of each key among some lines."""
    places = np.flatnonzero(among)
    _, first = np.unique(keys[places], return_index=True)
    found = np.zeros(len(keys), np.bool_)
    found[places[first]] = True
    return found


def _key(number: Ints, place: Ints) -> Ints:
    """A number and a place, four bytes each, in one."""
    key: Ints = (number << 32) + place
    return key
