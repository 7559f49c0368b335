"""Every file an operator or a biller ever sent, kept under the SHA-256 of its content."""

from hashlib import sha256
from pathlib import Path

from clearing.wire.batch import SUFFIX
from clearing.workfiles import write_new


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


def fetch(archive: Path, digest: str) -> bytes:
    """The bytes kept under a digest. Raises ValueError where they are no longer what was kept."""
    content = archived(archive, digest).read_bytes()
    if sha256(content).hexdigest() != digest:
        raise ValueError(f"{archived(archive, digest)} no longer has its SHA-256; restore it from the backup")
    return content
