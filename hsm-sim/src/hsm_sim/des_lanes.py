"""DES over lanes: many blocks, each with a key of its own, at one step a gate (NumPy, bit-sliced).

A block or key of 64 bits is a list of 64 *planes*. A plane is a vector of 64-bit words and holds the same one
bit of every lane. DES's permutations are then a renaming of planes and cost nothing; only S-boxes compute.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hsm_sim.des_tables import INITIAL, ROUND_KEYS, S_OUTPUT_PLACE
from hsm_sim.sbox_circuits import CIRCUITS, Circuit

Plane = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Step = tuple[Callable[..., Any], int, int, int]

LANES_PER_WORD = 64


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
        return self._crypt(ROUND_KEYS, key, block)

    def decrypt(self, key: Sequence[Plane], block: Sequence[Plane]) -> list[Plane]:
        """The inverse of `encrypt`."""
        return self._crypt(ROUND_KEYS[::-1], key, block)

    def encrypt_triple(self, key: Sequence[Plane], block: Sequence[Plane]) -> list[Plane]:
        """3DES with the two keys of a double-length key: 128 planes of key, 64 of block."""
        left, right = key[:64], key[64:]
        return self.encrypt(left, self.decrypt(right, self.encrypt(left, block)))

    def _crypt(
        self, round_keys: list[list[int]], key: Sequence[Plane], block: Sequence[Plane]
    ) -> list[Plane]:
        state = [block[bit].copy() for bit in INITIAL]
        left, right = state[:32], state[32:]
        for key_bits in round_keys:
            self._round(left, right, [key[bit] for bit in key_bits])
            left, right = right, left
        result: list[Plane] = [left[0]] * 64
        for place, plane in zip(INITIAL, right + left, strict=True):
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
                plane = left[S_OUTPUT_PLACE[4 * box + place]]
                xor(plane, scratch[slot], plane)
