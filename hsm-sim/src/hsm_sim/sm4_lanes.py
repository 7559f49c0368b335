"""SM4 over lanes: many blocks, each with a key of its own, at one look-up a byte (NumPy).

A block or key of 16 bytes is four words, first to last; each is a vector of uint32 that holds a word of every lane.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hsm_sim.sm4_tables import FAMILY_KEY, KEY_TABLE, ROUND_CONSTANTS, ROUND_TABLE, Words


def words(column: npt.NDArray[np.uint8]) -> list[Words]:
    """Turn an n × width column of bytes, the width a multiple of 4, into as many words as it holds."""
    return list(np.ascontiguousarray(column).view(">u4").astype(np.uint32).T)


def encrypt(key: Sequence[Words], block: Sequence[Words]) -> list[Words]:
    """Four words of key and four of block to four fresh ones."""
    schedule = [word ^ family for word, family in zip(key, FAMILY_KEY, strict=True)]
    state = list(block)
    for constant in ROUND_CONSTANTS:
        schedule = _turned(schedule, constant, KEY_TABLE)
        state = _turned(state, schedule[3], ROUND_TABLE)
    return state[::-1]


def _turned(state: Sequence[Words], added: Words | np.uint32, table: Words) -> list[Words]:
    """One round: the last three words and a new one."""
    mixed = state[1] ^ state[2] ^ state[3] ^ added
    octets = mixed.astype("<u4", copy=False).view(np.uint8).reshape(-1, 4)
    new = state[0] ^ table[3].take(octets[:, 0])
    for place in (2, 1, 0):
        new ^= table[place].take(octets[:, 3 - place])
    return [*state[1:], new]
