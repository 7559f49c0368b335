"""Every file an operator or a biller ever sent, kept under the SHA-256 of its content."""

from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from clearing.atomic_files import write_new
from clearing.wire.frame import PART_BYTES
from clearing.wire.names import SUFFIX
from ledger.durable import put_in_place

PIECE_BYTES = 1 << 20
"""Bytes of a file that are read and written at once."""


def archived(archive: Path, digest: str) -> Path:
    """Where the file with this digest (64 hex digits) is kept: `aa/<digest>.ocb`."""
    return archive / digest[:2] / f"{digest}{SUFFIX}"


def keep(archive: Path, content: bytes) -> str:
    """Keep a file's bytes, durably, once; their digest."""
    digest = sha256(content).hexdigest()
    path = archived(archive, digest)
    if not path.exists():
        write_new(path, content)
    return digest


@dataclass(frozen=True, slots=True)
class Kept:
    """A file in the archive: its digest, and where it was put there just now the SHA-256 of all but its trailer."""

    digest: str
    sealed: bytes | None


def keep_file(archive: Path, path: Path) -> Kept:
    """Keep a file, durably, once, a bounded piece at a time; what was kept."""
    archive.mkdir(parents=True, exist_ok=True)
    found = path.stat()
    part = archive / f"{found.st_ino}.part"  # a name could be too long to lengthen
    digest, seal_at, done, sealed = sha256(), max(0, found.st_size - PART_BYTES), 0, b""
    with path.open("rb") as file, part.open("wb") as copy:
        # One file's bytes are hashed once: what its trailer seals is what has passed when only that is left.
        while piece := file.read(PIECE_BYTES if done >= seal_at else min(PIECE_BYTES, seal_at - done)):
            digest.update(piece)
            copy.write(piece)
            done += len(piece)
            if done == seal_at:
                sealed = digest.digest()
    kept = archived(archive, digest.hexdigest())
    if kept.exists():
        part.unlink()
        return Kept(digest.hexdigest(), None)
    kept.parent.mkdir(exist_ok=True)
    put_in_place(part, kept)
    return Kept(digest.hexdigest(), sealed if done == found.st_size and seal_at else None)


def is_kept(archive: Path, digest: str, path: Path) -> bool:
    """Whether a file has just the bytes that are kept under a digest; comparing costs less than hashing."""
    kept = archived(archive, digest)
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
