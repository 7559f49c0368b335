"""`onecard bank read|take|files|retry`: the bank's files, given by name or taken out of its folder."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from api.bank_commands import points_in_words
from api.bank_rounds import bank_round, taken_in_words
from api.doors import Refused, books, console, fail, now, settings
from api.listings import Listing, prose
from api.queue_commands import today
from city.home import CITY_ZONE
from clearing.context import StepRefused
from ledger.day import DayOrderError
from ledger.db import reading
from settlement.bank.drop_folder import Lying, Round, Swept, lying, retry, sweep
from settlement.bank.points import points_of
from settlement.bank.store import files_where
from settlement.bank.taking import Taken, Took, brought, take


def read_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="files, or folders with *.xml")],
) -> None:
    """Take files of the bank's, status reports (pain.002) and statements (camt.053), and say what each did.

    Each is taken whole or not at all, and once: the same file again changes nothing. They stay where they lie.
    """
    with books() as engine:
        _tell(engine, (_read(engine, path) for path in _each_file(files)), ())


def take_folder() -> None:
    """Take what lies finished in the bank's folder (ONECARD_BANK_FOLDER), and move it aside.

    What can be read is taken at once; anything else when nobody has written to it for 15 minutes, and refused.
    """
    _in_folder(sweep)


def retry_files(
    numbers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[F7…]", help="their numbers, as `onecard bank files` shows them; default: all refused"
        ),
    ] = None,
) -> None:
    """Take refused files again out of the archive, when what they stumbled over is put right."""
    wanted = [_number(word) for word in numbers or ()]
    with books() as engine, reading(engine) as conn:
        known = {file.number: file for file in files_where(conn)}
    for number in wanted:
        if number not in known:
            raise Refused(f"no file has number F{number}; `onecard bank files --all` lists all there are")
        if known[number].state == "taken":
            raise Refused(f"file F{number} was taken on {known[number].read_on}; there is nothing to retry")
    _in_folder(lambda given: retry(given, wanted))


def list_files(
    every: Annotated[bool, typer.Option("--all", help="also what was taken or explained")] = False,
) -> None:
    """List the bank's files that were refused, and what lies in its folder; of each, what to do."""
    folder = settings().bank_inbox()
    with books() as engine, reading(engine) as conn:
        kept = [file for file in files_where(conn) if every or file.state == "refused"]
    waiting = lying(folder)
    if not kept and not waiting:
        console.print(
            f"No file of the bank's is refused, and none lies in {folder}.", soft_wrap=True, highlight=False
        )
        return
    table = Listing("id", "file", "what", "state", "on", prose("said"))
    for file in kept:
        said = f"{file.message}; {file.remedy}" if file.remedy else file.message
        what = (f"F{file.number}", file.name, file.kind, file.state, str(file.read_on))
        table.add(*what, said)
    for one in waiting:
        table.add("", one.name, "", "in the folder", *_told(one))
    console.print(table)


def _in_folder(work: Callable[[Round], Swept]) -> None:
    with books() as engine:
        try:
            swept = work(bank_round(engine))
        except DayOrderError as stop:
            raise Refused(str(stop)) from stop
        _tell(engine, swept.taken, swept.troubles)


def _read(engine: Engine, path: Path) -> Taken:
    try:
        file = brought(settings().city_home().archive, path)
        return take(engine, file, at=now(), today=today())
    except OSError as error:
        remedy = "give the path of a file of the bank's"
        raise Refused(f"{path} cannot be read: {error.strerror}; {remedy}") from error
    except (StepRefused, DayOrderError) as stop:
        raise Refused(f"{path}: {stop}") from stop


def _tell(engine: Engine, taken: Iterable[Taken], troubles: Sequence[str]) -> None:
    """Say what each file did and what is open now. Raises Exit with status 1 where one was refused or left."""
    count, refused = 0, 0
    for one in taken:
        count, refused = count + 1, refused + (one.took is Took.REFUSED)
        console.print(taken_in_words(one), soft_wrap=True, highlight=False)
    for trouble in troubles:
        console.print(trouble, soft_wrap=True, highlight=False)
    if not count:
        console.print("No file was there to take.")
    with reading(engine) as conn:
        left = len(points_of(conn, today()))
    if left:
        console.print(f"{points_in_words(left)} open: `onecard bank list`", highlight=False)
    if refused:
        raise fail(
            f"{refused} {'file was' if refused == 1 else 'files were'} refused; the archive has every byte"
        )
    if troubles:
        raise fail("not everything could be taken; see above")


def _each_file(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob("*.xml"))
        else:
            yield path


def _number(word: str) -> int:
    digits = word.removeprefix("F")
    if not digits.isdecimal() or len(digits) > 9:
        raise Refused(f"{word!r} is no file's number; give it as `onecard bank files` shows it, such as F7")
    return int(digits)


def _told(one: Lying) -> tuple[str, str]:
    """When somebody wrote to a file last, and what will become of it."""
    at: datetime = one.written_at.astimezone(CITY_ZONE)
    said = (
        f"{one.size_bytes} bytes; taken when it can be read, or when nobody has written to it for 15 minutes"
    )
    return f"{at:%Y-%m-%d %H:%M}", said
