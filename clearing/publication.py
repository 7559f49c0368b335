"""What terminals are to obey, published: signed files in a folder that depots copy to their terminals.

The hotlist is published whole and, beside it, as the change from the version before. The newest whole file is
the record of what is published: nothing else is needed to make the next.
"""

from datetime import datetime
from pathlib import Path

from card.algorithms import Algorithm
from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from clearing.atomic_files import write_bytes
from clearing.wire.bcd import pack_moment
from clearing.wire.hotlist import Numbers, parse_hotlist, write_change, write_hotlist
from clearing.wire.signed import Document, Keys, Kind, SignedError, Signer, write_document

WHOLE, CHANGE, DOCUMENT = "hotlist-{:05d}.ohl", "hotlist-{:05d}-change.ohl", "{}-{:05d}.ocd"


_NO_KEY = ("12", "26")
"""The HSM's words for: no key of that usage, and no such algorithm."""


def signer_of(hsm: Hsm, algorithm: Algorithm = Algorithm.ED25519) -> Signer:
    """The HSM's newest key of an algorithm, to sign what terminals obey."""
    return Signer(algorithm, lambda digest: hsm.sign_by(algorithm, digest))


def keys_of(hsm: Hsm, *algorithms: Algorithm) -> Keys:
    """Every version of the HSM's public keys of these algorithms, for terminals to trust.

    Of an algorithm that the HSM has no key of, or does not know, there are none.
    """
    found: dict[tuple[Algorithm, int], bytes] = {}
    for algorithm in algorithms:
        try:
            newest, _ = hsm.public_key_by(algorithm)
        except HsmError as error:
            if error.code not in _NO_KEY:
                raise
            continue
        for version in range(1, newest + 1):
            found[algorithm, version] = hsm.public_key_by(algorithm, version)[1]
    return found


def publish_hotlist(folder: Path, numbers: Numbers, signer: Signer, *, at: datetime) -> list[Path]:
    """Publish the list of these cards as the next version; nothing where it is the last one's already.

    Returns the files written: the whole list and, from the second on, the change. Raises SignedError where
    the versions are used up, and whatever the signer raises; then nothing is published.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = newest_hotlist(folder)
    if before is None:
        return [write_bytes(folder / WHOLE.format(1), write_hotlist(1, pack_moment(at), numbers, signer))]
    held = parse_hotlist(before.read_bytes())
    if held.added.tobytes() == numbers.tobytes():
        return []
    version, made_at = held.statement.version + 1, pack_moment(at)
    change = write_change(before.read_bytes(), version, made_at, numbers, signer)
    whole = write_hotlist(version, made_at, numbers, signer)
    # The whole list comes last: it is what the next publication goes on from.
    return [
        write_bytes(folder / CHANGE.format(version), change),
        write_bytes(folder / WHOLE.format(version), whole),
    ]


def publish_document(
    folder: Path, kind: Kind, version: int, text: str, signer: Signer, *, at: datetime
) -> Path:
    """Publish a tariff or settings; the terminals read them before they obey.

    Raises SignedError where that version is published with another text: a change is a new version.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DOCUMENT.format(kind.name.lower(), version)
    payload = text.encode("utf-8")
    if path.exists():
        if payload not in path.read_bytes():
            raise SignedError(
                "version", version, f"{path.name} says something else: give it the next version"
            )
        return path
    return write_bytes(path, write_document(Document(kind, version, pack_moment(at), payload), signer))


def newest_hotlist(folder: Path) -> Path | None:
    """The whole list published last."""
    return max(folder.glob("hotlist-?????.ohl"), default=None)
