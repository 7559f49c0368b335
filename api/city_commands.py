"""`onecard city …`: who takes part in the city, on which terms, with which devices; and its first business day."""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from sqlalchemy import Connection

from api.doors import Refused, books, console, errors, now
from api.listings import Heading, Kind, Listing, figure, prose
from city.home import CITY_ZONE
from city.registers.device_rows import read_devices
from city.registers.entering import Entered, enter
from city.registers.file import CityFile, Flaw, Register, read_city_file
from city.registers.reading import registers_of
from clearing.devices import withdraw_device
from ledger.day import DayOrderError, current_day, open_day
from ledger.db import reading, writing
from settlement.agreements import end_agreement

FLAWS_SHOWN = 50


class _DryRun(Exception):
    """Everything fitted; nothing is to be kept."""


def apply(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True, dir_okay=False, help="city files (docs/formats/city-file.md), or CSV of devices"
        ),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only say what would be new, or does not fit")
    ] = False,
) -> None:
    """Enter what the files say and is not known yet, all of it or nothing; the same again changes nothing."""
    given = [(path, _read(path)) for path in files]
    with books() as engine:
        try:
            with writing(engine) as conn:
                entered = [(path, _entered(conn, path, file)) for path, file in given]
                if dry_run:
                    raise _DryRun
        except _DryRun:
            console.print("A dry run: nothing is kept.")
    table = Listing("file", "register", figure("in the file"), figure("new"))
    for path, one in entered:
        for name, count in one.given.items():
            if count:
                table.add(path.name, name.replace("_", " "), f"{count:,}", f"{one.new[name]:,}")
    console.print(table)


def show(
    register: Annotated[
        Register | None, typer.Argument(help="which of them; default: how many each has")
    ] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="as a city file, which `apply` takes elsewhere")
    ] = False,
) -> None:
    """Show the registers, or one of them."""
    with books() as engine, reading(engine) as conn:
        known = registers_of(conn)
    wanted = {register.value} if register is not None else None
    if as_json:
        typer.echo(known.model_dump_json(indent=2, include=wanted))
        return
    if register is None:
        table = Listing("register", figure("entries"), prose("what"))
        for name, field in CityFile.model_fields.items():
            table.add(name, f"{len(getattr(known, name)):,}", field.description or "")
        console.print(table)
        return
    rows = getattr(known, register.value)
    if not rows:
        console.print(f"There are no {register.value.replace('_', ' ')}; `onecard city apply` enters them.")
        return
    if isinstance(rows[0], str):
        console.print(", ".join(rows))
        return
    columns = [field.name for field in fields(rows[0])]
    counted = {name for name in columns if type(getattr(rows[0], name)) is int}
    table = Listing(
        *(Heading(name.replace("_", " "), Kind.FIGURE if name in counted else Kind.WHOLE) for name in columns)
    )
    for row in rows:
        table.add(*(_cell(getattr(row, name)) for name in columns))
    console.print(table)


def schema() -> None:
    """Write the JSON schema of the city file."""
    typer.echo(json.dumps(CityFile.model_json_schema(), indent=2, ensure_ascii=False))


def open_books(
    business_date: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="the first business day")],
) -> None:
    """Open the first business day of all; every night opens the next one."""
    day = business_date.date()
    with books() as engine, writing(engine) as conn:
        try:
            current = current_day(conn)
        except DayOrderError:
            try:
                open_day(conn, day, at=now())
            except DayOrderError as error:
                raise Refused(str(error)) from error
            console.print(f"Business day {day} is open; `onecard scheduler` runs its night")
            return
    if current != day:
        raise Refused(f"business day {current} is open already; its night opens the next one")
    console.print(f"Business day {day} is open already")


def retire(
    terminal: Annotated[str, typer.Argument(help="the device's SAM number, 12 hex digits")],
    operator: Annotated[str, typer.Argument(help="whose it is, such as BUS-1")],
    *,
    at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="from when on, in city time; default: now"),
    ] = None,
) -> None:
    """End a device's time with its operator: a tap that it makes later is not paid."""
    when = now() if at is None else at.replace(tzinfo=CITY_ZONE)
    with books() as engine, writing(engine) as conn:
        try:
            ended = withdraw_device(conn, terminal, operator, at=when)
        except ValueError as error:
            raise Refused(str(error)) from error
        if not ended:
            raise Refused(
                f"{operator} has no device {terminal} in use; `onecard city show devices` lists what there is"
            )
    console.print(f"Device {terminal} of {operator} ends at {when.astimezone(CITY_ZONE):%Y-%m-%d %H:%M}")


def end(
    participant: Annotated[str, typer.Argument(help="whose agreement ends")],
    *,
    on: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="its last business day")],
) -> None:
    """End the agreement of a participant, before `apply` enters other terms from the day after."""
    with books() as engine, writing(engine) as conn:
        try:
            ended = end_agreement(conn, participant, last_day=on.date())
        except ValueError as error:
            raise Refused(str(error)) from error
    if ended is None:
        raise Refused(
            f"{participant} has no agreement on {on:%Y-%m-%d}; `onecard city show agreements` lists what there is"
        )
    console.print(f"The agreement of {participant} from {ended.valid_from} ends with {ended.valid_to}")


def _read(path: Path) -> CityFile:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not text in UTF-8; save it as that") from error
    read = read_devices(text) if path.suffix.lower() == ".csv" else read_city_file(text)
    if not isinstance(read, CityFile):
        _refuse(path, read)
    return read


def _entered(conn: Connection, path: Path, file: CityFile) -> Entered:
    entered = enter(conn, file, at=now())
    if not isinstance(entered, Entered):
        _refuse(path, entered)
    return entered


def _refuse(path: Path, flaws: Sequence[Flaw]) -> NoReturn:
    """Name every flaw, and end. Raises Refused."""
    for flaw in flaws[:FLAWS_SHOWN]:
        errors.print(f"{path}: {flaw}", soft_wrap=True, highlight=False)
    if len(flaws) > FLAWS_SHOWN:
        errors.print(f"and {len(flaws) - FLAWS_SHOWN} more")
    many = "a flaw" if len(flaws) == 1 else f"{len(flaws)} flaws"
    raise Refused(f"{path} has {many}; nothing was entered")


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(CITY_ZONE):%Y-%m-%d %H:%M}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "" if value is None else str(value)
