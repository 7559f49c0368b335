"""Purchase TACs verified by the hundred thousand: columns in, one bit a row out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsm_sim.des_lanes import Lanes, Plane
from hsm_sim.epurse import COMPLEMENT, triple_des

Bytes = npt.NDArray[np.uint8]

CHUNK_ROWS = 1 << 17
"""Rows taken at a time: enough to make NumPy's cost a call small, few enough for the processor's cache."""

_BLOCK = 8


@dataclass(frozen=True, slots=True)
class TacColumns:
    """The columns of `F0`, each n × width: who says what, and the TAC it says it with."""

    version: Bytes
    algorithm: Bytes
    issuer: Bytes
    card: Bytes
    amount: Bytes
    kind: Bytes
    terminal: Bytes
    terminal_sequence: Bytes
    date: Bytes
    time: Bytes
    tac: Bytes

    @classmethod
    def unpack(cls, rows: int, data: bytes | memoryview) -> "TacColumns":
        """Cut the columns out of the bytes of `F0` that follow the number of rows; nothing is copied.

        Raises ValueError where `data` is not as long as that number of rows.
        """
        cells = np.frombuffer(data, np.uint8)
        if len(cells) != rows * sum(COLUMN_WIDTHS):
            raise ValueError(f"{len(cells)} bytes are not {rows} rows of {sum(COLUMN_WIDTHS)} bytes")
        ends = np.cumsum([0, *COLUMN_WIDTHS]) * rows
        return cls(
            *(
                cells[start:end].reshape(rows, width)
                for start, end, width in zip(ends[:-1], ends[1:], COLUMN_WIDTHS, strict=True)
            )
        )

    def rows(self, chosen: slice) -> "TacColumns":
        """The same columns, of some rows only."""
        return TacColumns(*(getattr(self, name)[chosen] for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.version)


COLUMN_WIDTHS = (1, 1, 8, 8, 4, 1, 6, 4, 4, 3, 4)
"""Bytes of one value in each column, in the order of `TacColumns`."""


def verify_tacs(columns: TacColumns, roots: Mapping[int, bytes]) -> npt.NDArray[np.bool_]:
    """Say of each row whether its TAC is right.

    `roots` maps a key version, as rows name it, to the root of the TAC keys. A row of another version, or
    of an algorithm other than 3DES, is not right.
    """
    verdicts = [_verify_chunk(chunk, roots) for chunk in _chunks(columns)]
    return np.concatenate(verdicts) if verdicts else np.zeros(0, np.bool_)


def _chunks(columns: TacColumns) -> Iterator[TacColumns]:
    for start in range(0, len(columns), CHUNK_ROWS):
        yield columns.rows(slice(start, start + CHUNK_ROWS))


def _verify_chunk(chunk: TacColumns, roots: Mapping[int, bytes]) -> npt.NDArray[np.bool_]:
    issuer_keys, known = _issuer_keys(chunk, roots)
    lanes = Lanes(len(chunk))
    tac_key = _tac_key(lanes, lanes.planes(issuer_keys), lanes.planes(chunk.card))
    message = np.concatenate(
        (chunk.amount, chunk.kind, chunk.terminal, chunk.terminal_sequence, chunk.date, chunk.time), axis=1
    )
    mac = _mac(lanes, tac_key, message)
    wrong = np.zeros(lanes.words, np.uint64)
    for made, given in zip(mac[:32], lanes.planes(chunk.tac), strict=True):
        wrong |= made ^ given
    verdict: npt.NDArray[np.bool_] = known & (chunk.algorithm[:, 0] == 0)
    verdict &= np.unpackbits(wrong.view(np.uint8), count=len(chunk), bitorder="little") == 0
    return verdict


def _issuer_keys(chunk: TacColumns, roots: Mapping[int, bytes]) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """Each row's key of its issuer (n × 16), and whether the HSM knows the row's key version.

    A file has few issuers, so each is derived once; whatever their number, one call a version does it.
    """
    keys = np.zeros((len(chunk), 16), np.uint8)
    known = np.zeros(len(chunk), np.bool_)
    factors = np.ascontiguousarray(chunk.issuer).view(np.uint64)[:, 0]
    for version in np.unique(chunk.version):
        root = roots.get(int(version))
        if root is None:
            continue
        rows = chunk.version[:, 0] == version
        issuers, which = np.unique(factors[rows], return_inverse=True)
        halves = np.stack((issuers, ~issuers), axis=1)
        derived = np.frombuffer(triple_des(root, halves.tobytes()), np.uint8).reshape(-1, 16)
        keys[rows] = derived[which]
        known |= rows
    return keys, known


def _tac_key(lanes: Lanes, issuer_key: list[Plane], card: list[Plane]) -> list[Plane]:
    """The exclusive or of the two halves of each card's DTK, derived from its issuer's key."""
    complement = lanes.constant(COMPLEMENT)
    left = lanes.encrypt_triple(issuer_key, card)
    right = lanes.encrypt_triple(
        issuer_key, [plane ^ ones for plane, ones in zip(card, complement, strict=True)]
    )
    return [a ^ b for a, b in zip(left, right, strict=True)]


def _mac(lanes: Lanes, key: list[Plane], message: Bytes) -> list[Plane]:
    """Single-DES CBC-MAC of each row of `message` as 64 planes: zero IV, padding `80 00…`."""
    length = message.shape[1]
    padded = np.zeros((len(message), (length // _BLOCK + 1) * _BLOCK), np.uint8)
    padded[:, :length] = message
    padded[:, length] = 0x80
    planes = lanes.planes(padded)
    chained = lanes.encrypt(key, planes[:64])
    for start in range(64, len(planes), 64):
        block = [a ^ b for a, b in zip(chained, planes[start : start + 64], strict=True)]
        chained = lanes.encrypt(key, block)
    return chained
