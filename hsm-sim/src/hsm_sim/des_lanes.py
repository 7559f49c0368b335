"""DES over lanes: many blocks, each with a key of its own, at one step a gate (NumPy, bit-sliced).

A block or key of 64 bits is a list of 64 *planes*. A plane is a vector of 64-bit words and holds the same one
bit of every lane. DES's permutations are then a renaming of planes and cost nothing; only S-boxes compute.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hsm_sim.sbox_circuits import CIRCUITS, Circuit

Plane = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Step = tuple[Callable[..., Any], int, int, int]

LANES_PER_WORD = 64

# FIPS 46-3; its tables count bits from 1, all else here from 0. E needs no table: S-box s reads the bits
# 4s-1 to 4s+4 of the right half.
_INITIAL = [bit - 8 * row for bit in (57, 59, 61, 63, 56, 58, 60, 62) for row in range(8)]
_PERMUTED = (16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
             2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25)  # fmt: skip
_CHOICE_1 = (57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18,
             10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
             63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22,
             14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4)  # fmt: skip
_CHOICE_2 = (14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10,
             23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
             41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48,
             44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32)  # fmt: skip
_SHIFTS = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)


def _round_key_bits() -> list[list[int]]:
    """For each round, which bit of the key stands at each of the round key's 48 places."""
    left, right = [bit - 1 for bit in _CHOICE_1[:28]], [bit - 1 for bit in _CHOICE_1[28:]]
    rounds = []
    for shift in _SHIFTS:
        left, right = left[shift:] + left[:shift], right[shift:] + right[:shift]
        both = left + right
        rounds.append([both[place - 1] for place in _CHOICE_2])
    return rounds


_ROUND_KEYS = _round_key_bits()
_S_OUTPUT_PLACE = [_PERMUTED.index(bit + 1) for bit in range(32)]


@dataclass(frozen=True, slots=True)
class _Schedule:
    """A circuit as steps over slots of scratch; a slot is taken again once its value has been used."""

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    slots: int


_OPERATIONS: dict[str, Callable[..., Any]] = {"&": np.bitwise_and, "|": np.bitwise_or, "^": np.bitwise_xor}


def _schedule(circuit: Circuit) -> _Schedule:
    last_use = {node: len(circuit.gates) for node in circuit.outputs}
    for number, gate in enumerate(circuit.gates):
        for node in (gate.left, gate.right):
            last_use[node] = max(last_use.get(node, 0), number)
    slot_of = {node: node for node in range(6)}
    free: list[int] = []
    slots = 6
    steps: list[Step] = []
    for number, gate in enumerate(circuit.gates):
        # The result's slot is chosen before the operands' are freed, as "a and not b" takes two steps and
        # would otherwise write over a while it still needs it.
        target = free.pop() if free else slots
        slots = max(slots, target + 1)
        left, right = slot_of[gate.left], slot_of[gate.right]
        if gate.symbol == "~":
            steps.append((np.bitwise_xor, left, -1, target))
        elif gate.symbol == "-":
            steps.append((np.bitwise_and, left, right, target))
            steps.append((np.bitwise_xor, left, target, target))
        else:
            steps.append((_OPERATIONS[gate.symbol], left, right, target))
        slot_of[6 + number] = target
        free += {slot_of[node] for node in (gate.left, gate.right) if last_use[node] == number}
    # The last slot holds ones throughout, so that "not" is a step like the others.
    return _Schedule(tuple(steps), tuple(slot_of[node] for node in circuit.outputs), slots)


_SCHEDULES = tuple(_schedule(circuit) for circuit in CIRCUITS)
_SLOTS = max(schedule.slots for schedule in _SCHEDULES)


class Lanes:
    """DES for a fixed number of lanes; keeps the scratch memory between blocks."""

    def __init__(self, lanes: int) -> None:
        self.words = -(-lanes // LANES_PER_WORD)
        self._scratch = list(np.empty((_SLOTS + 1, self.words), np.uint64))
        self._scratch[-1].fill(np.uint64(0xFFFFFFFFFFFFFFFF))

    def planes(self, column: Bytes) -> list[Plane]:
        """Turn an n × width column of bytes into 8 × width planes; lanes that are missing are zero."""
        rows = np.zeros((self.words * LANES_PER_WORD, column.shape[1]), np.uint8)
        rows[: len(column)] = column
        found = []
        for values in np.ascontiguousarray(rows.T):
            for bit in range(8):
                found.append(np.packbits(values & np.uint8(0x80 >> bit), bitorder="little").view(np.uint64))
        return found

    def constant(self, value: bytes) -> list[Plane]:
        """The same bytes in every lane."""
        return self.planes(np.tile(np.frombuffer(value, np.uint8), (self.words * LANES_PER_WORD, 1)))

    def encrypt(self, key: Sequence[Plane], block: Sequence[Plane]) -> list[Plane]:
        """Single DES: 64 planes of key and 64 of block to 64 fresh planes."""
        return self._crypt(_ROUND_KEYS, key, block)

    def decrypt(self, key: Sequence[Plane], block: Sequence[Plane]) -> list[Plane]:
        """The inverse of `encrypt`."""
        return self._crypt(_ROUND_KEYS[::-1], key, block)

    def encrypt_triple(self, key: Sequence[Plane], block: Sequence[Plane]) -> list[Plane]:
        """3DES with the two keys of a double-length key: 128 planes of key, 64 of block."""
        left, right = key[:64], key[64:]
        return self.encrypt(left, self.decrypt(right, self.encrypt(left, block)))

    def _crypt(
        self, round_keys: list[list[int]], key: Sequence[Plane], block: Sequence[Plane]
    ) -> list[Plane]:
        state = [block[bit].copy() for bit in _INITIAL]
        left, right = state[:32], state[32:]
        for key_bits in round_keys:
            self._round(left, right, [key[bit] for bit in key_bits])
            left, right = right, left
        result: list[Plane] = [left[0]] * 64
        for place, plane in zip(_INITIAL, right + left, strict=True):
            result[place] = plane
        return result

    def _round(self, left: list[Plane], right: list[Plane], key: list[Plane]) -> None:
        """Add f(right, key) to `left` in place."""
        xor, scratch = np.bitwise_xor, self._scratch
        for box, schedule in enumerate(_SCHEDULES):
            for place in range(6):
                xor(right[(4 * box + place - 1) % 32], key[6 * box + place], scratch[place])
            for operation, a, b, target in schedule.steps:
                operation(scratch[a], scratch[b], scratch[target])
            for place, slot in enumerate(schedule.outputs):
                plane = left[_S_OUTPUT_PLACE[4 * box + place]]
                xor(plane, scratch[slot], plane)
