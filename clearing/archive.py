"""Every file an operator or a biller ever sent, kept under the SHA-256 of its content."""

from hashlib import file_digest, sha256
from pathlib import Path

from clearing.wire.batch import SUFFIX
from clearing.workfiles import write_bytes
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
        write_bytes(path, content)
    return digest


def keep_file(archive: Path, path: Path) -> str:
    """Keep a file, durably, once, a bounded piece at a time; the digest of what was kept."""
    archive.mkdir(parents=True, exist_ok=True)
    part = archive / f"{path.stat().st_ino}.part"  # a name could be too long to lengthen
    digest = sha256()
    with path.open("rb") as file, part.open("wb") as copy:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            copy.write(piece)
    kept = archived(archive, digest.hexdigest())
    if kept.exists():
        part.unlink()
    else:
        kept.parent.mkdir(exist_ok=True)
        put_in_place(part, kept)
    return digest.hexdigest()


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
