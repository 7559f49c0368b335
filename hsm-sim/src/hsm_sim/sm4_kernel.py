"""TACs of the national suite verified lane by lane, as Numba compiles it: from raw columns to verdicts."""

from typing import Any

import numpy as np
from numba import njit

from hsm_sim.raw_rows import big_endian, column_starts, read_message
from hsm_sim.sm4_tables import FAMILY_KEY, KEY_TABLE, ROUND_CONSTANTS, ROUND_TABLE

LANES = 16
"""Lanes taken at a time: while one waits for its look-ups, the others go on."""

_ROUNDS = 32


def verify_sm4(cells: Any, rows: int, chosen: Any, roots: Any, verdicts: Any) -> None:
    """Write for each of the `chosen` rows whether its TAC is right.

    `cells` are the columns of F0 as bytes, `rows` their length; `roots`, 256 × 2, is the root of each key version as
    two uint64.
    """
    starts = column_starts(rows)
    key, block = np.zeros((4, LANES), np.uint32), np.zeros((4, LANES), np.uint32)
    message = np.zeros((3, LANES), np.uint64)
    schedule = np.zeros((_ROUNDS, LANES), np.uint32)
    for first in range(0, len(chosen), LANES):
        lanes = chosen[first : first + LANES]
        for lane in range(len(lanes)):
            row = lanes[lane]
            version = cells[starts[0] + row]
            _put(key, lane, roots[version, 0], roots[version, 1])
            issuer = big_endian(cells, starts[2] + 8 * row, 8)
            _put(block, lane, issuer, ~issuer)
            message[0, lane], message[1, lane], message[2, lane] = read_message(cells, starts, row)
        _schedule_keys(key, schedule)
        _encrypt(schedule, block)
        key[:] = block
        for lane in range(len(lanes)):
            card = big_endian(cells, starts[3] + 8 * lanes[lane], 8)
            _put(block, lane, card, ~card)
        _schedule_keys(key, schedule)
        _encrypt(schedule, block)
        _schedule_keys(block, schedule)
        for lane in range(len(lanes)):
            _put(block, lane, message[0, lane], message[1, lane])
        _encrypt(schedule, block)
        for lane in range(len(lanes)):
            block[0, lane] ^= np.uint32(message[2, lane] >> np.uint64(32))
            block[1, lane] ^= np.uint32(message[2, lane])
        _encrypt(schedule, block)
        for lane in range(len(lanes)):
            tac = big_endian(cells, starts[10] + 4 * lanes[lane], 4)
            verdicts[first + lane] = np.uint64(block[0, lane]) == tac


@njit
def _put(words: Any, lane: int, first: Any, second: Any) -> None:
    """Put 16 bytes, as two numbers of 8, into the four words of a lane."""
    words[0, lane], words[1, lane] = np.uint32(first >> np.uint64(32)), np.uint32(first)
    words[2, lane], words[3, lane] = np.uint32(second >> np.uint64(32)), np.uint32(second)


@njit
def _schedule_keys(key: Any, schedule: Any) -> None:
    """The 32 round keys of every lane from its key, whose words are used up."""
    for word in range(4):
        for lane in range(LANES):
            key[word, lane] ^= FAMILY_KEY[word]
    for number in range(_ROUNDS):
        one, two, three, four = number % 4, (number + 1) % 4, (number + 2) % 4, (number + 3) % 4
        for lane in range(LANES):
            mixed = key[two, lane] ^ key[three, lane] ^ key[four, lane] ^ ROUND_CONSTANTS[number]
            key[one, lane] ^= _looked_up(KEY_TABLE, mixed)
            schedule[number, lane] = key[one, lane]


@njit
def _encrypt(schedule: Any, block: Any) -> None:
    """Encrypt the block of every lane under its round keys, in place."""
    for number in range(_ROUNDS):
        one, two, three, four = number % 4, (number + 1) % 4, (number + 2) % 4, (number + 3) % 4
        for lane in range(LANES):
            mixed = block[two, lane] ^ block[three, lane] ^ block[four, lane] ^ schedule[number, lane]
            block[one, lane] ^= _looked_up(ROUND_TABLE, mixed)
    for lane in range(LANES):
        block[0, lane], block[3, lane] = block[3, lane], block[0, lane]
        block[1, lane], block[2, lane] = block[2, lane], block[1, lane]


@njit(inline="always")
def _looked_up(table: Any, word: Any) -> Any:
    return (
        table[0, word >> np.uint32(24)]
        ^ table[1, word >> np.uint32(16) & np.uint32(0xFF)]
        ^ table[2, word >> np.uint32(8) & np.uint32(0xFF)]
        ^ table[3, word & np.uint32(0xFF)]
    )
