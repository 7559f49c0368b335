"""Steps over whole rows of lanes, as machine code: what Numba cannot be told in Python, told in LLVM's terms.

*Planes* are a C-contiguous array of uint64, a number of rows × `WORDS`. A row holds one bit of each of `LANES`
lanes, and one step works on all of it at once, in as few instructions as the processor's registers allow.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hsm_sim.des_tables import S_OUTPUT_PLACE
from hsm_sim.sbox_circuits import CIRCUITS, Circuit

WORDS = 8
LANES = 64 * WORDS

_WORD = ir.IntType(64)
_ROW = ir.VectorType(_WORD, WORDS)
_WORD_BYTES = 8


class _Rows:
    """The rows of planes, for a step that is being written: loads and stores at row numbers known when it runs."""

    def __init__(self, context: Any, builder: Any, kind: Any, planes: Any) -> None:
        self._builder = builder
        self._first = context.make_array(kind)(context, builder, planes).data

    def load(self, row: Any) -> Any:
        return self._builder.load(self._address(row), typ=_ROW, align=_WORD_BYTES)

    def store(self, row: Any, value: Any) -> None:
        self._builder.store(value, self._address(row), align=_WORD_BYTES)

    def _address(self, row: Any) -> Any:
        word = self._builder.gep(self._first, [self._builder.mul(row, _WORD(WORDS))], source_etype=_WORD)
        return self._builder.bitcast(word, _ROW.as_pointer())


@intrinsic
def xor_rows(_typing: Any, planes: Any, target: Any, one: Any, other: Any) -> Any:
    """planes[target] = planes[one] ^ planes[other]"""

    def write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        rows = _Rows(context, builder, signature.args[0], values[0])
        rows.store(values[1], builder.xor(rows.load(values[2]), rows.load(values[3])))
        return context.get_dummy_value()

    return types.void(planes, types.int64, types.int64, types.int64), write


@intrinsic
def mark_difference(_typing: Any, planes: Any, target: Any, one: Any, other: Any) -> Any:
    """planes[target] |= planes[one] ^ planes[other]"""

    def write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        rows = _Rows(context, builder, signature.args[0], values[0])
        difference = builder.xor(rows.load(values[2]), rows.load(values[3]))
        rows.store(values[1], builder.or_(rows.load(values[1]), difference))
        return context.get_dummy_value()

    return types.void(planes, types.int64, types.int64, types.int64), write


@intrinsic
def swap_bits(_typing: Any, planes: Any, low: Any, high: Any, shift: Any, mask: Any) -> Any:
    """Exchange the bits `mask << shift` of row `high` with the bits `mask` of row `low`, word by word."""

    def write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        rows = _Rows(context, builder, signature.args[0], values[0])
        by, chosen = (_everywhere(builder, value) for value in values[3:])
        one, other = rows.load(values[1]), rows.load(values[2])
        moved = builder.and_(builder.xor(builder.lshr(other, by), one), chosen)
        rows.store(values[1], builder.xor(one, moved))
        rows.store(values[2], builder.xor(other, builder.shl(moved, by)))
        return context.get_dummy_value()

    return types.void(planes, types.int64, types.int64, types.uint64, types.uint64), write


@intrinsic
def add_round(_typing: Any, planes: Any, left: Any, right: Any, key: Any, places: Any, first: Any) -> Any:
    """Add f(right half, round key) of DES to the left half, in place.

    Halves are 32 rows and begin at `left` and `right`; a key's 64 rows begin at `key`, and those of the round
    key are `places[first : first + 48]` of them.
    """

    def write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        rows = _Rows(context, builder, signature.args[0], values[0])
        _, to, of, keys, _, start = values
        table = context.make_array(signature.args[4])(context, builder, values[4]).data
        for box, circuit in enumerate(CIRCUITS):
            inputs = []
            for place in range(6):
                index = builder.add(start, _WORD(6 * box + place))
                bit = builder.load(builder.gep(table, [index], source_etype=_WORD), typ=_WORD)
                half = rows.load(builder.add(of, _WORD((4 * box + place - 1) % 32)))
                inputs.append(builder.xor(half, rows.load(builder.add(keys, bit))))
            for place, found in enumerate(_run(builder, circuit, inputs)):
                row = builder.add(to, _WORD(S_OUTPUT_PLACE[4 * box + place]))
                rows.store(row, builder.xor(rows.load(row), found))
        return context.get_dummy_value()

    return types.void(planes, types.int64, types.int64, types.int64, places, types.int64), write


def _run(builder: Any, circuit: Circuit, inputs: list[Any]) -> list[Any]:
    """The instructions of one S-box, a gate each; the values of its four outputs."""
    nodes = list(inputs)
    for gate in circuit.gates:
        left, right = nodes[gate.left], nodes[gate.right]
        match gate.symbol:
            case "&":
                nodes.append(builder.and_(left, right))
            case "|":
                nodes.append(builder.or_(left, right))
            case "^":
                nodes.append(builder.xor(left, right))
            case "-":
                nodes.append(builder.and_(left, builder.not_(right)))
            case _:
                nodes.append(builder.not_(left))
    return [nodes[output] for output in circuit.outputs]


def _everywhere(builder: Any, word: Any) -> Any:
    """The same word in every place of a row."""
    alone = builder.insert_element(ir.Constant(_ROW, ir.Undefined), word, ir.IntType(32)(0))
    first = ir.Constant(ir.VectorType(ir.IntType(32), WORDS), [0] * WORDS)
    return builder.shuffle_vector(alone, alone, first)
