"""Texts of many lines at once, made by Arrow: what digests are over."""

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

PLAIN: Final = r"^[ !#-\[\]-~]*$"
"""What JSON writes as it is: printable ASCII without the quote and the backslash."""
_PLAIN_OCTETS: Final = bytes({*range(0x20, 0x7F)} - {0x22, 0x5C})


def strange_items(items: pa.StringArray) -> NDArray[np.int64]:
    """The places of the texts that are not plain; nearly always there are none."""
    octets, _ = _buffer(items.cast(pa.large_string()))
    # All of them together are looked through in a tenth of the time that one after the other takes.
    if not bytes(octets).translate(None, _PLAIN_OCTETS):
        return np.empty(0, np.int64)
    return np.flatnonzero(~pc.match_substring_regex(items, PLAIN).to_numpy(zero_copy_only=False))


def line_contents(
    debit: pa.StringArray, credit: pa.StringArray, amount_fen: NDArray[np.int64], items: pa.StringArray
) -> tuple[memoryview, NDArray[np.int64]]:
    """Each line as `["debit","credit",1,"item"],` in one buffer, and where each begins; codes are plain.

    The last number is where the buffer ends. Cut before the last comma, the lines of an entry are what
    `ledger.entry.canonical_bytes` writes between its brackets.
    """
    strange = strange_items(items)
    if len(strange):
        escaped = items.to_pylist()
        for place in strange.tolist():
            escaped[place] = json.dumps(escaped[place])[1:-1]
        items = pa.array(escaped, pa.string())
    texts = pc.binary_join_element_wise(
        _large('["'), _wide(debit), _large('","'), _wide(credit), _large('",'),
        pa.array(amount_fen).cast(pa.large_string()), _large(',"'), _wide(items), _large('"],'), _large(""),
    )  # fmt: skip
    return _buffer(texts)


def _large(text: str) -> Any:
    return pa.scalar(text, pa.large_string())


def _wide(texts: pa.StringArray) -> Any:
    return texts.cast(pa.large_string())


def _buffer(texts: Any) -> tuple[memoryview, NDArray[np.int64]]:
    """The bytes of wide texts one after the other, and the place at which each begins, with the end."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(texts) + 1, offset=8 * texts.offset)
    return memoryview(data or b"")[bounds[0] : bounds[-1]], bounds - bounds[0]
