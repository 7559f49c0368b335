"""The audit log: one JSON object a line, each bound to the one before it by its digest. No key material.

Anyone can verify the chain, without the LMK. Who notes the digest of the last line somewhere else also finds out
later that lines were cut off at the end.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

AUDIT_FILE = "audit.jsonl"
FIRST_PREVIOUS = "0" * 64

_TAIL_BYTES = 65_536
_CHAINING = ("number", "at", "event", "previous", "digest")

Fact = str | int | Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number from 1, when (UTC), what, the facts of it, and the digests that chain it."""

    number: int
    at: str
    event: str
    facts: Mapping[str, Any]
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The first line, by its place in the file from 1, at which the chain does not hold, and why."""

    place: int
    reason: str


def format_line(number: int, at: datetime, event: str, facts: Mapping[str, Fact], previous: str) -> str:
    """A line without its end; its digest is SHA-256 over all of it before the digest.

    Raises ValueError where a fact has the name of a field that every line has.
    """
    for name in facts:
        if name in _CHAINING:
            raise ValueError(f"{name!r} is a field of every line; give the fact another name")
    body = {"number": number, "at": at.astimezone(UTC).isoformat(timespec="milliseconds"), "event": event}
    text = json.dumps({**body, **facts, "previous": previous}, ensure_ascii=False)
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return f'{text[:-1]}, "digest": "{digest}"}}'


def parse_line(text: str) -> Line:
    """Read what `format_line` wrote. Raises ValueError where it is none, or its digest is not its own."""
    try:
        document: Any = json.loads(text)
        line = Line(
            int(document["number"]), str(document["at"]), str(document["event"]),
            {name: value for name, value in document.items() if name not in _CHAINING},
            str(document["previous"]), str(document["digest"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("it is no line of an audit log") from error
    signed = text.removesuffix(f', "digest": "{line.digest}"}}') + "}"
    if hashlib.sha256(signed.encode("utf-8")).hexdigest() != line.digest:
        raise ValueError("its digest is not that of what it says: it was changed")
    return line


def verify(lines: Iterable[str]) -> tuple[list[Line], Broken | None]:
    """The lines up to the first broken one, and that one, or None where the whole chain holds."""
    sound: list[Line] = []
    for place, text in enumerate(lines, 1):
        try:
            line = parse_line(text)
        except ValueError as error:
            return sound, Broken(place, str(error))
        expected = sound[-1].digest if sound else FIRST_PREVIOUS
        if line.number != place:
            return sound, Broken(
                place, f"it says that it is line {line.number}: lines were taken out or put in"
            )
        if line.previous != expected:
            return sound, Broken(place, "it does not follow the line before it: that one was changed")
        sound.append(line)
    return sound, None


class AuditLog:
    """The log of one folder. Several processes may write to it; a lock puts their lines in one order."""

    def __init__(self, folder: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path = folder / AUDIT_FILE
        self._now = now

    def act(self, event: str, **facts: Fact) -> None:
        """Write an administrative act; it is on the disk when this returns. Raises OSError where it cannot be."""
        self._append(event, facts, durable=True)

    def tell(self, event: str, **facts: Fact) -> None:
        """Write what need not be on the disk before going on. Raises OSError where it cannot be written."""
        self._append(event, facts, durable=False)

    def texts(self) -> list[str]:
        """Every line as it stands. Raises OSError where there is no log."""
        return self.path.read_text(encoding="utf-8", errors="replace").splitlines()

    def _append(self, event: str, facts: Mapping[str, Fact], *, durable: bool) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            number, previous = self._chain_end(descriptor)
            text = format_line(number + 1, self._now(), event, facts, previous)
            os.write(descriptor, f"{text}\n".encode())
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _chain_end(self, descriptor: int) -> tuple[int, str]:
        """Number and digest of the last line; (0, zeros) in an empty file.

        A line that a crash of the machine left half written is set aside in a file of its own, and said so.
        """
        size = os.fstat(descriptor).st_size
        start = max(0, size - _TAIL_BYTES)
        tail = os.pread(descriptor, size - start, start)
        whole, newline, torn = tail.rpartition(b"\n")
        if torn:
            self.path.with_name(f"{AUDIT_FILE}.torn.{size}").write_bytes(torn)
            os.ftruncate(descriptor, size - len(torn))
        if not newline:
            return 0, FIRST_PREVIOUS
        last = whole.rpartition(b"\n")[2].decode("utf-8", errors="replace")
        try:
            line = parse_line(last)
            number, digest = line.number, line.digest
        except ValueError:
            # A changed last line must not stop the machine: the chain shows it, and goes on behind it.
            number, digest = whole.count(b"\n") + 1, hashlib.sha256(last.encode("utf-8")).hexdigest()
        if torn:
            text = format_line(number + 1, self._now(), "torn line set aside", {"bytes": len(torn)}, digest)
            os.write(descriptor, f"{text}\n".encode())
            number, digest = number + 1, parse_line(text).digest
        return number, digest
