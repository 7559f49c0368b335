"""TACs of the international suite verified lane by lane, as Numba compiles it: from raw columns to verdicts.

A group of lanes is turned into planes once; both diversifications, the MAC and the comparison then happen on
planes, and only the verdict is turned back.
"""

from typing import Any

import numpy as np
from numba import njit

from hsm_sim.des_tables import INITIAL, ROUND_KEYS
from hsm_sim.lane_rows import LANES, WORDS, add_round, mark_difference, swap_bits, xor_rows
from hsm_sim.raw_rows import big_endian, column_starts, read_message

# Where what stands among the rows of the planes. The two halves of the state change places with every round. Numba
# compiles a function anew for every number it sees as a constant, but only once for all of NumPy's integers.
_LEFT, _RIGHT, _ZEROS, _ONES, _WRONG = np.array([0, 32, 64, 65, 66])
_ROOT, _ISSUER, _ISSUER_KEY, _CARD, _CARD_KEY = np.array([67, 195, 259, 387, 451])
_MESSAGE, _TAC = np.array([579, 771])
_ROWS = 835

_PLACES = np.array(INITIAL, np.int64)
_FORWARD = np.array(ROUND_KEYS, np.int64).ravel()
_BACKWARD = np.array(ROUND_KEYS[::-1], np.int64).ravel()


def scratch() -> Any:
    """Planes to work in, each row on a boundary of 64 bytes; their content need not be kept between calls."""
    room = np.zeros(_ROWS * WORDS + WORDS, np.uint64)
    skipped = -(room.ctypes.data // 8) % WORDS
    return room[skipped : skipped + _ROWS * WORDS].reshape(_ROWS, WORDS)


def verify_des(cells: Any, rows: int, chosen: Any, roots: Any, planes: Any, verdicts: Any) -> None:
    """Write for each of the `chosen` rows whether its TAC is right.

    `cells` are the columns of F0 as bytes, `rows` their length; `roots`, 256 × 2, is the root of each key version as
    two uint64; `planes` are those of `scratch`.
    """
    starts = column_starts(rows)
    _begin(planes)
    for first in range(0, len(chosen), LANES):
        lanes = chosen[first : first + LANES]
        left, right = _mac(cells, starts, lanes, roots, planes)
        _compare_mac(planes, left, right)
        for lane in range(len(lanes)):
            wrong = planes[_WRONG, lane // 64] >> np.uint64(63 - lane % 64) & np.uint64(1)
            verdicts[first + lane] = wrong == 0


def make_des(cells: Any, rows: int, chosen: Any, roots: Any, planes: Any, tacs: Any) -> None:
    """Write for each of the `chosen` rows the TAC that its card would make, a number; the rest as in `verify_des`."""
    starts = column_starts(rows)
    _begin(planes)
    for first in range(0, len(chosen), LANES):
        lanes = chosen[first : first + LANES]
        left, right = _mac(cells, starts, lanes, roots, planes)
        for place in range(32):
            xor_rows(planes, _TAC + _PLACES[place], left + place, _ZEROS)
            xor_rows(planes, _TAC + _PLACES[32 + place], right + place, _ZEROS)
        _transpose(planes, _TAC)
        for lane in range(len(lanes)):
            tacs[first + lane] = planes[_TAC + lane % 64, lane // 64] >> np.uint64(32)


@njit
def _begin(planes: Any) -> None:
    """Set the planes that never change."""
    for row in range(WORDS):
        planes[_ZEROS, row] = 0
        planes[_ONES, row] = ~np.uint64(0)


@njit
def _mac(cells: Any, starts: Any, lanes: Any, roots: Any, planes: Any) -> Any:
    """Read the lanes and make the CBC-MACs of their messages under their keys; where its two halves stand."""
    _read(cells, starts, lanes, roots, planes)
    _diversify(planes, _ROOT, _ISSUER, _ISSUER_KEY)
    _diversify(planes, _ISSUER_KEY, _CARD, _CARD_KEY)
    for bit in range(64):
        xor_rows(planes, _CARD_KEY + bit, _CARD_KEY + bit, _CARD_KEY + 64 + bit)
    for place in range(64):
        xor_rows(planes, place, _MESSAGE + _PLACES[place], _ZEROS)
    _sixteen_rounds(planes, _LEFT, _RIGHT, _CARD_KEY, _FORWARD)
    left, right = _RIGHT, _LEFT
    for block in (_MESSAGE + 64, _MESSAGE + 128):
        for place in range(32):
            xor_rows(planes, left + place, left + place, block + _PLACES[place])
            xor_rows(planes, right + place, right + place, block + _PLACES[32 + place])
        _sixteen_rounds(planes, left, right, _CARD_KEY, _FORWARD)
        left, right = right, left
    return left, right


@njit
def _read(cells: Any, starts: Any, lanes: Any, roots: Any, planes: Any) -> None:
    """Turn the raw values of the lanes into planes."""
    for lane in range(len(lanes)):
        row, word, line = lanes[lane], lane // 64, lane % 64
        version = cells[starts[0] + row]
        planes[_ROOT + line, word] = roots[version, 0]
        planes[_ROOT + 64 + line, word] = roots[version, 1]
        planes[_ISSUER + line, word] = big_endian(cells, starts[2] + 8 * row, 8)
        planes[_CARD + line, word] = big_endian(cells, starts[3] + 8 * row, 8)
        first, second, third = read_message(cells, starts, row)
        planes[_MESSAGE + line, word] = first
        planes[_MESSAGE + 64 + line, word] = second
        planes[_MESSAGE + 128 + line, word] = third
        planes[_TAC + line, word] = big_endian(cells, starts[10] + 4 * row, 4) << np.uint64(32)
    for first_row in (_ROOT, _ROOT + 64, _ISSUER, _CARD, _MESSAGE, _MESSAGE + 64, _MESSAGE + 128, _TAC):
        _transpose(planes, first_row)


@njit
def _transpose(planes: Any, first: int) -> None:
    """Turn 64 rows of 64-bit values into 64 planes of their bits, the first bit first."""
    shift, mask = 32, np.uint64(0x00000000FFFFFFFF)
    while shift:
        row = 0
        while row < 64:
            swap_bits(planes, first + row, first + row + shift, np.uint64(shift), mask)
            row = (row + shift + 1) & ~shift
        shift >>= 1
        mask ^= mask << np.uint64(shift)


@njit
def _diversify(planes: Any, key: int, factor: int, target: int) -> None:
    """128 planes from 128 planes of key and 64 of factor: `3DES(key, factor) ‖ 3DES(key, ~factor)`."""
    for half in range(2):
        for place in range(64):
            xor_rows(planes, place, factor + _PLACES[place], _ONES if half else _ZEROS)
        # The final permutation of one DES and the initial one of the next cancel out but for the halves.
        _sixteen_rounds(planes, _LEFT, _RIGHT, key, _FORWARD)
        _sixteen_rounds(planes, _RIGHT, _LEFT, key + 64, _BACKWARD)
        _sixteen_rounds(planes, _LEFT, _RIGHT, key, _FORWARD)
        for place in range(32):
            xor_rows(planes, target + 64 * half + _PLACES[place], _RIGHT + place, _ZEROS)
            xor_rows(planes, target + 64 * half + _PLACES[32 + place], _LEFT + place, _ZEROS)


@njit
def _compare_mac(planes: Any, left: int, right: int) -> None:
    """Mark the lanes whose TAC is not the left half of their MAC."""
    xor_rows(planes, _WRONG, _ZEROS, _ZEROS)
    for place in range(32):
        if _PLACES[place] < 32:
            mark_difference(planes, _WRONG, left + place, _TAC + _PLACES[place])
        if _PLACES[32 + place] < 32:
            mark_difference(planes, _WRONG, right + place, _TAC + _PLACES[32 + place])


@njit
def _sixteen_rounds(planes: Any, left: int, right: int, key: int, places: Any) -> None:
    """DES without its outer permutations; afterwards the halves stand the other way round."""
    for number in range(16):
        add_round(planes, left, right, key, places, 48 * number)
        left, right = right, left
