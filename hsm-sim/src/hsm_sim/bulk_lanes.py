"""TACs of both suites in pure NumPy: what verifies where nothing compiled is to be had, or not yet."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from hsm_sim import sm4_lanes
from hsm_sim.bulk import DES, SM4, Bytes, RowNumbers, TacColumns, Verdicts, Verifier
from hsm_sim.des_lanes import Lanes, Plane
from hsm_sim.epurse import COMPLEMENT, diversify

CHUNK_ROWS = 1 << 17
"""Rows taken at a time: enough to make NumPy's cost a call small, few enough for the processor's cache."""


def _by_chunks(verify: Callable[[TacColumns, Bytes], Verdicts]) -> Verifier:
    """A verifier from what verifies a few columns, given each row's root (n × 16)."""

    def verifier(rows: int, cells: Bytes, chosen: RowNumbers, roots: Mapping[int, bytes]) -> Verdicts:
        columns = TacColumns.unpack(rows, cells)
        by_version = np.zeros((256, 16), np.uint8)
        for version, root in roots.items():
            by_version[version] = np.frombuffer(root, np.uint8)
        verdicts = []
        for start in range(0, len(chosen), CHUNK_ROWS):
            chunk = columns.rows(chosen[start : start + CHUNK_ROWS])
            verdicts.append(verify(chunk, by_version[chunk.version[:, 0]]))
        return np.concatenate(verdicts)

    return verifier


def _verify_des(chunk: TacColumns, roots: Bytes) -> Verdicts:
    lanes = Lanes(len(chunk))
    card_key = _diversified(lanes, _issuer_key(lanes, chunk, roots), lanes.planes(chunk.card))
    tac_key = [left ^ right for left, right in zip(card_key[:64], card_key[64:], strict=True)]
    message = lanes.planes(_padded(chunk.message(), 24))
    chained = lanes.encrypt(tac_key, message[:64])
    for start in range(64, len(message), 64):
        block = [a ^ b for a, b in zip(chained, message[start : start + 64], strict=True)]
        chained = lanes.encrypt(tac_key, block)
    wrong = np.zeros(lanes.words, np.uint64)
    for made, given in zip(chained[:32], lanes.planes(chunk.tac), strict=True):
        wrong |= made ^ given
    verdicts: Verdicts = np.unpackbits(wrong.view(np.uint8), count=len(chunk), bitorder="little") == 0
    return verdicts


def _issuer_key(lanes: Lanes, chunk: TacColumns, roots: Bytes) -> list[Plane]:
    """128 planes of each row's key of its issuer; most files have one issuer and root, whose key is made once."""
    if (chunk.issuer == chunk.issuer[0]).all() and (roots == roots[0]).all():
        return lanes.constant(diversify(roots[0].tobytes(), chunk.issuer[0].tobytes()))
    return _diversified(lanes, lanes.planes(roots), lanes.planes(chunk.issuer))


def _diversified(lanes: Lanes, key: list[Plane], factor: list[Plane]) -> list[Plane]:
    """128 planes: `3DES(key, factor) ‖ 3DES(key, ~factor)`."""
    complement = lanes.constant(COMPLEMENT)
    inverted = [plane ^ ones for plane, ones in zip(factor, complement, strict=True)]
    return lanes.encrypt_triple(key, factor) + lanes.encrypt_triple(key, inverted)


def _verify_sm4(chunk: TacColumns, roots: Bytes) -> Verdicts:
    key = sm4_lanes.words(roots)
    for factor in (sm4_lanes.words(chunk.issuer), sm4_lanes.words(chunk.card)):
        key = sm4_lanes.encrypt(key, [*factor, *(~word for word in factor)])
    message = sm4_lanes.words(_padded(chunk.message(), 32))
    chained = sm4_lanes.encrypt(key, message[:4])
    block = [a ^ b for a, b in zip(chained, message[4:], strict=True)]
    verdicts: Verdicts = sm4_lanes.encrypt(key, block)[0] == sm4_lanes.words(chunk.tac)[0]
    return verdicts


def _padded(message: Bytes, width: int) -> npt.NDArray[np.uint8]:
    """Each row padded with `80 00…` to `width` bytes."""
    padded = np.zeros((len(message), width), np.uint8)
    padded[:, : message.shape[1]] = message
    padded[:, message.shape[1]] = 0x80
    return padded


NUMPY_VERIFIERS: Mapping[int, Verifier] = MappingProxyType(
    {DES: _by_chunks(_verify_des), SM4: _by_chunks(_verify_sm4)}
)
