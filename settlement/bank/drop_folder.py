"""The folder into which the bank's files are dropped, as by its client program or by SFTP.

A file is taken when it is finished (`clearing.dropped_files`): a message that can be read is whole, as its last tag
is there. What was taken moves into `taken/` below, what was refused into `refused/`, each as `F7-NAME` by the number
that it has with us; beside what was refused, `F7.txt` says why and what to do.

The archive has a file first, then the books, and only then it moves. Killed at any instant, nothing is lost: what lies
there still is taken again, which changes nothing.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from clearing.archive import keep
from clearing.atomic_files import part_of
from clearing.context import StepRefused
from clearing.dropped_files import Look, candidates, claim, claimed_files, look_of, put_back, read_stable
from ledger.db import reading
from ledger.durable import put_in_place
from settlement.bank.reading import read_bank_file
from settlement.bank.store import KeptFile, files_where
from settlement.bank.tables import bank_file
from settlement.bank.taking import Brought, Taken, Took, brought, brought_again, take
from settlement.bank.xml_reading import MOST_BYTES, Unreadable

TAKEN, REFUSED = "taken", "refused"
"""Folders within the folder, for what has left it."""
_ASIDE: Final = re.compile(r"F([0-9]{1,9})(?:\.txt|-.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Round:
    """One round through the folder: where files are kept, when it is, and the day by which open points are old."""

    engine: Engine
    archive: Path
    folder: Path
    now: datetime
    today: date


@dataclass(frozen=True, slots=True)
class Swept:
    """What became of every file that was taken or refused, and what could not be done, with what to do."""

    taken: list[Taken]
    troubles: list[str]


@dataclass(frozen=True, slots=True)
class Lying:
    """A file that lies in the folder: its length, and when somebody last wrote to it."""

    name: str
    size_bytes: int
    written_at: datetime


def sweep(given: Round) -> Swept:
    """Take every finished file of the folder, in the order that they came, and move it aside.

    What cannot be taken stays and is told of in the end. Raises DayOrderError where no day is open.
    """
    taken: list[Taken] = []
    troubles: list[str] = []
    try:
        _require_folders(given.folder)
        for claimed in claimed_files(given.folder):
            put_back(claimed)
        for path in _as_they_came(given.folder):
            try:
                taken.extend(_sweep(given, path))
            except StepRefused as stop:
                troubles.append(f"{path.name}: {stop}; it stays in the folder, and the next round takes it")
        _move_what_was_taken(given)
    except OSError as error:
        troubles.append(_trouble(given, error))
    return Swept(taken, troubles)


def retry(given: Round, numbers: Collection[int] = ()) -> Swept:
    """Take refused files of these numbers again, or all: what they stumbled over may have been put right."""
    with reading(given.engine) as conn:
        files = files_where(conn, bank_file.c.state != "taken")
    taken: list[Taken] = []
    troubles: list[str] = []
    for file in files:
        if file.number in numbers or (not numbers and file.state == "refused"):
            try:
                done = take(given.engine, brought_again(given.archive, file), at=given.now, today=given.today)
            except (OSError, ValueError, StepRefused) as error:
                troubles.append(f"F{file.number} {file.name}: {error}")
            else:
                taken.append(done)
                _say_anew(given.folder, file, done)
    try:
        _require_folders(given.folder)
        _move_what_was_taken(given)
    except OSError as error:
        troubles.append(_trouble(given, error))
    return Swept(taken, troubles)


def lying(folder: Path) -> list[Lying]:
    """What lies in the folder and may be taken when it is finished, by name."""
    found = []
    for path in candidates(folder) if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            one = path.lstat()
            found.append(Lying(path.name, one.st_size, datetime.fromtimestamp(one.st_mtime, UTC)))
    return found


def _require_folders(folder: Path) -> None:
    """Raise NotADirectoryError where whoever drops files has put a link in the place of a folder of ours."""
    for name in (TAKEN, REFUSED):
        if (folder / name).is_symlink():
            raise NotADirectoryError(f"{name} is a link, and no folder")


def _as_they_came(folder: Path) -> list[Path]:
    """What may be finished files, the one first that was written first."""
    written = {}
    for path in candidates(folder):
        with suppress(FileNotFoundError):  # another sweep takes it, or its sender has taken it back
            written[path] = path.lstat().st_mtime_ns
    return sorted(written, key=lambda path: (written[path], path.name))


def _trouble(given: Round, error: OSError) -> str:
    remedy = "put right the folder, its permissions or the disk; the next round goes on"
    return f"{given.folder} cannot be emptied: {error}; {remedy}"


def _sweep(given: Round, path: Path) -> Iterator[Taken]:
    if (found := read_stable(path, MOST_BYTES)) is None:
        return
    data, look = found
    read = read_bank_file(data) if look.size_bytes <= MOST_BYTES else None
    if (read is None or isinstance(read, Unreadable)) and not look.is_quiet(given.now):
        return
    if read is not None:
        file = Brought(path.name, keep(given.archive, data), read)
    else:
        file = brought(given.archive, path)
        if look_of(path.lstat()) != look:
            return  # its sender has written to it meanwhile: the next round sees what
    done = take(given.engine, file, at=given.now, today=given.today)
    yield done
    _set_aside(given.folder, path, look, done)


def _set_aside(folder: Path, path: Path, look: Look, done: Taken) -> None:
    """Move a file where those are that fared like it; what its sender has put in its place meanwhile stays."""
    if (claimed := claim(path, look)) is None:
        return
    place = folder / (REFUSED if done.took is Took.REFUSED else TAKEN)
    place.mkdir(exist_ok=True)
    if done.took is Took.REFUSED:
        _say_why(folder, done)
    with suppress(FileNotFoundError):  # another sweep has put it back, and takes it
        claimed.replace(place / f"F{done.number}-{path.name}")


def _say_why(folder: Path, done: Taken) -> None:
    said = f"{done.name} was refused: {done.message}\nTo do: {done.remedy}\n"
    again = f"Then send it again, or: onecard bank retry F{done.number}\n"
    path = folder / REFUSED / f"F{done.number}.txt"
    put_in_place(part_of(path, (said + again).encode()), path)


def _say_anew(folder: Path, file: KeptFile, done: Taken) -> None:
    """Write down why a file is refused now, where it lies among the refused ones."""
    reason = folder / REFUSED / f"F{file.number}.txt"
    if done.took is Took.REFUSED and reason.exists():
        _say_why(folder, done)


def _move_what_was_taken(given: Round) -> None:
    """Move what was refused once and has been taken since, here or by name; its reason goes."""
    refused = given.folder / REFUSED
    found = [
        (int(matched[1]), path)
        for path in (sorted(refused.iterdir()) if refused.is_dir() else ())
        if (matched := _ASIDE.fullmatch(path.name))
    ]
    if not found:
        return
    numbers = {number for number, _ in found}
    with reading(given.engine) as conn:
        taken = {
            file.number
            for file in files_where(conn, bank_file.c.number.in_(numbers), bank_file.c.state == "taken")
        }
    (given.folder / TAKEN).mkdir(exist_ok=True)
    for number, path in found:
        if number in taken:
            with suppress(FileNotFoundError):  # another sweep moves it
                if path.name == f"F{number}.txt":
                    path.unlink()
                else:
                    path.replace(given.folder / TAKEN / path.name)
