"""Folders into which operators drop files, as by SFTP: `inbox/operators/OPERATOR/`, answers in `acks/` below.

A file is taken when it is finished (`clearing.dropped_files`). A sound batch says by itself that it is whole: its
header counts the records and its trailer closes them with a checksum.

Killed at any instant, nothing is lost: a file leaves its folder when the archive and the inbox have it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine

from clearing.archive import archived
from clearing.atomic_files import write_bytes
from clearing.dropped_files import Look, candidates, claim, claimed_files, put_back, read_stable
from clearing.landing import KINDS, Landing, Sent, TurnedAway, flaw_of, parse_name, receive
from clearing.receipts import Receipt, Status, write_answer
from clearing.wire.batch import parse_batch_name
from clearing.wire.names import batch_name
from ledger.sharing import Writer

DROP_FOLDER = "operators"
MOST_BYTES = 64 << 20
_ACK = ".ack"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file that was taken from a folder, and what its sender is told."""

    operator: str
    receipt: Receipt


def drop_folder(inbox: Path, operator: str) -> Path:
    """Where an operator drops its files."""
    return inbox / DROP_FOLDER / operator


@dataclass(frozen=True, slots=True)
class Swept:
    """What a round took, and what it could not look at."""

    taken: list[Dropped]
    troubles: list[str]


@dataclass(frozen=True, slots=True)
class Round:
    """One round through the folders: where files go, for which day, and when it is.

    Where `now` is None nothing counts as quiet: only sound batches are taken, and nothing is turned away.
    """

    engine: Engine
    writer: Writer
    landing: Landing
    business_date: date
    now: datetime | None


def sweep(given: Round) -> Swept:
    """Take every finished file out of all folders, answer what is turned away, and deliver the night's answers.

    A folder that cannot be used is told of in the end, and keeps nobody else waiting.
    """
    taken: list[Dropped] = []
    troubles = _each_folder(given.landing, lambda folder: taken.extend(_sweep(given, folder)))
    return Swept(taken, troubles + deliver(given.landing))


def deliver(landing: Landing) -> list[str]:
    """Copy the answers to each operator's files into its own folder; what could not be done."""
    return _each_folder(landing, lambda folder: _deliver(landing, folder))


def _each_folder(landing: Landing, work: Callable[[Path], None]) -> list[str]:
    troubles = []
    for folder in _folders(landing.inbox):
        try:
            work(folder)
        except OSError as error:
            troubles.append(f"{folder.name}: {error}; put right its permissions or the disk")
    return troubles


def _sweep(given: Round, folder: Path) -> Iterator[Dropped]:
    _recover(folder, given.landing)
    for path in candidates(folder):
        if (read := read_stable(path, MOST_BYTES)) is None:
            continue
        content, look = read
        file = Sent(folder.name, path.name, content)
        if look.size_bytes > MOST_BYTES:
            _refuse_length(given.landing, file, look)
        elif _finished(file, look, given.now):
            yield _take(given, file)
            _remove(path, look)


def _deliver(landing: Landing, folder: Path) -> None:
    for kind in KINDS:
        for answer in sorted((landing.inbox / kind.folder / "acks").glob(f"{folder.name}-*{_ACK}")):
            parsed = parse_name(answer.name.removesuffix(_ACK))
            copy = folder / "acks" / answer.name
            if parsed is not None and parsed[1] == folder.name and not _as_new(copy, answer):
                write_bytes(copy, answer.read_bytes())


def _as_new(copy: Path, answer: Path) -> bool:
    return copy.exists() and copy.stat().st_mtime_ns >= answer.stat().st_mtime_ns


def _folders(inbox: Path) -> Iterator[Path]:
    """The folders of operators; a folder of any other name, or a link to one, is none."""
    root = inbox / DROP_FOLDER
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        named = parse_batch_name(batch_name(folder.name, 1))
        links = folder.is_symlink() or (folder / "acks").is_symlink()
        if named is not None and folder.is_dir() and not links:
            yield folder


def _finished(file: Sent, look: Look, now: datetime | None) -> bool:
    parsed = parse_name(file.name)
    sound = parsed is not None and flaw_of(parsed[0], file.name, "", file.content) is None
    if now is None:
        return sound and parsed is not None and parsed[1] == file.sender
    return sound or look.is_quiet(now)


def _take(given: Round, file: Sent) -> Dropped:
    """Have a file received; what is turned away is answered in the sender's folder."""
    answer = receive(given.engine, given.writer, given.landing, file, given.business_date)
    if not isinstance(answer, TurnedAway):
        return Dropped(file.sender, answer)
    write_answer(_answer_path(given.landing, file), answer.receipt)
    return Dropped(file.sender, answer.receipt)


def _refuse_length(landing: Landing, file: Sent, look: Look) -> None:
    """Answer a file that is too long once; it stays where it is."""
    path = _answer_path(landing, file)
    message = f"{file.name} has {look.size_bytes} bytes, and a file at most {MOST_BYTES}; it was left here"
    if not path.exists():
        remedy = "send several batches instead"
        write_answer(path, Receipt(file.name, "", Status.REJECTED, "too_long", MOST_BYTES, message, remedy))


def _answer_path(landing: Landing, file: Sent) -> Path:
    return drop_folder(landing.inbox, file.sender) / "acks" / f"{file.name}{_ACK}"


def _remove(path: Path, look: Look) -> None:
    """Remove a file that was taken; what its sender has put in its place meanwhile stays."""
    if (claimed := claim(path, look)) is not None:
        claimed.unlink(missing_ok=True)


def _recover(folder: Path, landing: Landing) -> None:
    """End what was killed between claiming a file and removing it."""
    for claimed in claimed_files(folder):
        if (read := read_stable(claimed, MOST_BYTES)) is None:
            continue
        if archived(landing.archive, sha256(read[0]).hexdigest()).exists():
            claimed.unlink(missing_ok=True)
        else:
            put_back(claimed)
