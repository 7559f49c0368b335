"""Every file an operator or a biller ever sent, kept under the SHA-256 of its content, and never written to again.

Files that come through the door wait in the inbox under a second name: the archive's own, and no copies.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import BinaryIO, Final

from clearing.atomic_files import part_of
from clearing.wire.frame import PART_BYTES
from clearing.wire.names import SUFFIX
from ledger.durable import put_beside, put_in_place

PIECE_BYTES = 1 << 20
"""Bytes of a file that are read and written at once."""
_NOBODY_WRITES: Final = 0o555


def archived(archive: Path, digest: str) -> Path:
    """Where the file with this digest (64 hex digits) is kept: `aa/<digest>.ocb`."""
    return archive / digest[:2] / f"{digest}{SUFFIX}"


def keep(archive: Path, content: bytes) -> str:
    """Keep a file's bytes, durably, once; their digest."""
    digest = sha256(content).hexdigest()
    path = archived(archive, digest)
    if not path.exists():
        put_beside(_closed(part_of(path, content)), path)
    return digest


@dataclass(frozen=True, slots=True)
class Kept:
    """A file in the archive: its digest, and where the archive's bytes are those just read the SHA-256 of all but its
    trailer."""

    digest: str
    sealed: bytes | None


def keep_file(archive: Path, path: Path) -> Kept:
    """Keep a file, durably, once, a bounded piece at a time; what was kept.

    One that has a second name is read first: it may be the archive's own.
    """
    found = path.stat()
    if found.st_nlink > 1:
        with path.open("rb") as file:
            read = _read(file, lambda _piece: 0)
        if _is_ours(archived(archive, read.digest), path):
            return read
    archive.mkdir(parents=True, exist_ok=True)
    part = archive / f"{found.st_ino}.part"  # a name could be too long to lengthen
    part.unlink(missing_ok=True)  # one that was left may be closed
    with path.open("rb") as file, part.open("wb") as copy:
        read = _read(file, copy.write)
    kept = archived(archive, read.digest)
    if kept.exists():
        part.unlink()
        return Kept(read.digest, None)
    kept.parent.mkdir(exist_ok=True)
    put_in_place(_closed(part), kept)
    return read


def _read(file: BinaryIO, pass_on: Callable[[bytes], int]) -> Kept:
    """What a file is kept as, each of its pieces passed on.

    Its bytes are hashed once: what its trailer seals is what has passed when only that is left.
    """
    size = os.fstat(file.fileno()).st_size
    digest, seal_at, done, sealed = sha256(), max(0, size - PART_BYTES), 0, b""
    while piece := file.read(PIECE_BYTES if done >= seal_at else min(PIECE_BYTES, seal_at - done)):
        digest.update(piece)
        pass_on(piece)
        done += len(piece)
        if done == seal_at:
            sealed = digest.digest()
    return Kept(digest.hexdigest(), sealed if done == size and seal_at else None)


def _is_ours(kept: Path, path: Path) -> bool:
    return kept.is_file() and kept.samefile(path)


def _closed(part: Path) -> Path:
    """A finished file that nobody can write to by mistake, under whichever name."""
    part.chmod(part.stat().st_mode & _NOBODY_WRITES)
    return part


def is_kept(archive: Path, digest: str, path: Path) -> bool:
    """Whether a file has just the bytes that are kept under a digest; comparing costs less than hashing."""
    kept = archived(archive, digest)
    if _is_ours(kept, path):
        return True
    if not kept.is_file() or kept.stat().st_size != path.stat().st_size:
        return False
    with kept.open("rb") as ours, path.open("rb") as theirs:
        while (piece := theirs.read(PIECE_BYTES)) == ours.read(PIECE_BYTES):
            if not piece:
                return True
    return False


def require_whole(archive: Path, digest: str) -> Path:
    """Where the file with this digest is kept. Raises ValueError where it is no longer what was kept."""
    path = archived(archive, digest)
    with path.open("rb") as file:
        if file_digest(file, "sha256").hexdigest() != digest:
            raise ValueError(f"{path} no longer has its SHA-256; restore it from the backup")
    return path


def fetch(archive: Path, digest: str) -> bytes:
    """The bytes kept under a digest. Raises ValueError where they are no longer what was kept."""
    return require_whole(archive, digest).read_bytes()
