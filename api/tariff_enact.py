"""`onecard tariff enact`: a tariff is put among those that nights price by, from its own first day on."""

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from api.doors import Refused, books, console, settings
from api.tariff_files import TariffFile, flawed, text_of
from city.world import AnyTariff, tariff_in, tariff_place
from clearing.atomic_files import write_bytes
from clearing.sectors.transit.fare_check import check_together
from clearing.sectors.transit.fare_file import Flaw, TariffFlawed
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.wire.tariff import TariffError
from ledger.day import DayOrderError, current_day
from ledger.db import reading

FILE_NAME = re.compile(r"\w[\w .-]{0,99}")


def enact(
    file: TariffFile,
    *,
    end_older: Annotated[
        bool, typer.Option("--end-older", help="end an older version of its name the day before it begins")
    ] = False,
) -> None:
    """Have the nights price by a tariff from its first day on; validators get theirs by `onecard terminals publish`."""
    text = text_of(file)
    new = _read(file, text)
    if not FILE_NAME.fullmatch(new.name):
        raise Refused(
            f"the name {new.name!r} cannot be a file's; give the tariff one of letters, digits, spaces, dots and dashes"
        )
    home = settings().city_home()
    home.tariffs.mkdir(parents=True, exist_ok=True)
    place = tariff_place(home, new)
    if place.exists():
        if text_of(place) != text:
            raise Refused(
                f"version {new.version} of {new.name} is in force with other content ({place}); give the file a "
                "higher version"
            )
        console.print(f"{new.name} {new.version} is in force as it was", highlight=False)
        return
    _refuse_the_past(new)
    held = [(path, _read(path, text_of(path))) for path in sorted(home.tariffs.glob("*.json"))]
    ended = _ended(held, new) if end_older else []
    _refuse_together(file, new, held, ended)
    for path, until in ended:
        whole = json.loads(text_of(path)) | {"valid_to": until.isoformat()}
        write_bytes(path, (json.dumps(whole, ensure_ascii=False, indent=2) + "\n").encode())
        console.print(f"{path.name} ends with {until}", highlight=False)
    write_bytes(place, text.encode())
    console.print(f"{new.name} {new.version} holds from {new.valid_from} on", highlight=False)


def _read(path: Path, text: str) -> AnyTariff:
    """The tariff of a file, fit to price by. Raises Refused with its flaws."""
    try:
        return tariff_in(text)
    except TariffFlawed as error:
        raise flawed(path, error.flaws) from error
    except TariffError as error:
        raise flawed(path, (Flaw(error.field, repr(error.value), error.remedy),)) from error


def _refuse_the_past(new: AnyTariff) -> None:
    """Refuse a tariff of days that have been netted: what was paid on them stays paid."""
    with books() as engine, reading(engine) as conn:
        try:
            today = current_day(conn)
        except DayOrderError:
            return
    if new.valid_from < today:
        raise Refused(
            f"{new.name} {new.version} begins on {new.valid_from}, and days before {today} are priced; let it begin on "
            f"{today} or later"
        )


def _ended(held: list[tuple[Path, AnyTariff]], new: AnyTariff) -> list[tuple[Path, date]]:
    """The files of older fare tariffs of its name that reach into its time, and the day on which each is to end."""
    last = new.valid_from - timedelta(days=1)
    return [
        (path, last)
        for path, one in held
        if isinstance(one, FareTariff) and isinstance(new, FareTariff)
        if one.name == new.name and one.valid_from <= last and (one.valid_to is None or one.valid_to > last)
    ]


def _refuse_together(
    file: Path, new: AnyTariff, held: list[tuple[Path, AnyTariff]], ended: list[tuple[Path, date]]
) -> None:
    """Refuse fare tariffs that do not go together, as they would stand."""
    if not isinstance(new, FareTariff):
        return
    until = dict(ended)
    stand = [
        (path.name, replace(one, valid_to=until[path]) if path in until else one)
        for path, one in held
        if isinstance(one, FareTariff)
    ]
    wrong = [flaw for flaw in check_together([*stand, (file.name, new)]) if not flaw.remark]
    if wrong:
        remedy = "" if ended else "\n--end-older ends the one before"
        raise Refused("\n".join(map(str, wrong)) + remedy)
