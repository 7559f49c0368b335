"""The chip's memory: two places for the same document, of which one is always whole.

A document is written into the place of the older of the two: its bytes first, its head last. The head carries
a generation, the length, and a checksum over all of it; so whatever is cut off in the middle of a write leaves
a head that does not fit, and the older document stands. Nothing is ever half of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from zlib import crc32

PLACE_BYTES = 8192
MEMORY_BYTES = 2 * PLACE_BYTES
_HEAD = Struct(">IHI")
_COVERED = Struct(">IH")
MAX_DOCUMENT = PLACE_BYTES - _HEAD.size


class MemoryFull(ValueError):
    """A document that is larger than the chip."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes to be put at an offset; the next may begin only when these are durable."""

    offset: int
    data: bytes


def writes(memory: bytes, document: bytes) -> Sequence[Write]:
    """What to write, in this order, to put a document in the place of the one there. Raises MemoryFull."""
    if len(document) > MAX_DOCUMENT:
        raise MemoryFull(f"a document of {len(document)} bytes: the chip holds {MAX_DOCUMENT}")
    newest = _newest(memory)
    place, generation = (0, 1) if newest is None else (1 - newest[0], newest[1] + 1)
    start = place * PLACE_BYTES
    checksum = _checksum(generation, document)
    return (
        Write(start + _HEAD.size, document),
        Write(start, _HEAD.pack(generation, len(document), checksum)),
    )


def document_in(memory: bytes) -> bytes | None:
    """The newest document that is whole; None in a memory that never held one."""
    newest = _newest(memory)
    return None if newest is None else newest[2]


def _newest(memory: bytes) -> tuple[int, int, bytes] | None:
    """Place, generation and document of the newest that is whole."""
    whole = [found for place in (0, 1) if (found := _whole(memory, place)) is not None]
    return max(whole, key=lambda found: found[1], default=None)


def _whole(memory: bytes, place: int) -> tuple[int, int, bytes] | None:
    raw = memory[place * PLACE_BYTES : (place + 1) * PLACE_BYTES]
    if len(raw) < _HEAD.size:
        return None
    generation, length, checksum = _HEAD.unpack_from(raw)
    document = raw[_HEAD.size : _HEAD.size + length]
    # An empty memory is all zeros, which must not pass for an empty document.
    if generation == 0 or len(document) != length or checksum != _checksum(generation, document):
        return None
    return place, generation, document


def _checksum(generation: int, document: bytes) -> int:
    return crc32(_COVERED.pack(generation, len(document)) + document)
