"""`onecard tariff import-…`: tariffs made from what operators publish."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from api.doors import Refused, console, write_text
from api.tariff_files import bytes_of, flawed, text_of
from clearing.sectors.transit.fare_check import check_tariff
from clearing.sectors.transit.fare_file import TariffFlawed, read_fares, write_fares
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.sectors.transit.gtfs_fares import import_feed
from clearing.sectors.transit.gtfs_feed import Feed, FeedError, NotExpressed, read_feed
from clearing.sectors.transit.matrix_file import PaidArea, fares_of_rules, read_codes, read_matrix
from clearing.wire.tariff import TariffError, parse_tariff

Out = Annotated[Path, typer.Option("--out", help="the tariff file to write")]


def import_matrix(
    matrix: Annotated[Path, typer.Argument(help="CSV (or .csv.gz) with from, to, fare_yuan")],
    rules: Annotated[Path, typer.Option(help="the older tariff whose bus bands and discounts to take over")],
    out: Out,
    codes: Annotated[
        Path | None, typer.Option(help="CSV with site_code, site: names for stations of tap records")
    ] = None,
    limit_min: Annotated[int, typer.Option(help="minutes in the paid area", min=1)] = 240,
    overtime_fen: int = typer.Option(0, help="what staying longer costs", min=0),
    forget_min: Annotated[
        int, typer.Option(help="minutes until an entry counts as never left", min=1)
    ] = 1200,
    missing_exit_fen: int = typer.Option(0, help="what never leaving costs", min=0),
) -> None:
    """Make a fare tariff from a metro's matrix of fares and the older tariff's rules."""
    area = PaidArea(limit_min, overtime_fen, forget_min, missing_exit_fen)
    try:
        old = parse_tariff(text_of(rules))
    except TariffError as error:
        raise Refused(f"{rules.name}: {error}") from error
    names: dict[str, str] = {}
    reading = matrix
    try:
        fares = read_matrix(bytes_of(matrix))
        if codes is not None:
            reading, names = codes, read_codes(bytes_of(codes))
    except TariffFlawed as error:
        raise flawed(reading, error.flaws) from error
    made = fares_of_rules(old, fares, names, area)
    pairs = sum(len(row) for row in fares.fares_fen)
    _write(out, made, f"{len(fares.stations)} stations, {pairs} fares")
    for alias, station in names.items():
        if alias not in made.aliases:
            words = f"left out: {alias}, whose station {station or '(no name)'} the matrix does not have"
            console.print(words, highlight=False, soft_wrap=True)


def import_gtfs(
    feed: Annotated[Path, typer.Argument(help="a GTFS feed: its folder or its zip")],
    out: Out,
    valid_from: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="first day of the tariff")],
    medium: Annotated[
        str | None, typer.Option(help="the fare medium whose prices to take; default: the feed's first")
    ] = None,
    name: Annotated[str, typer.Option(help="the tariff's name")] = "gtfs",
    report: Annotated[Path | None, typer.Option(help="write all that is not expressed here, as text")] = None,
) -> None:
    """Make a fare tariff from a GTFS feed (Fares v2, or v1), and say what the feed asks that it cannot express."""
    try:
        read: Feed = read_feed(feed)
        made, left_out = import_feed(read, name=name, valid_from=valid_from.date(), medium=medium)
    except FeedError as error:
        raise Refused(str(error)) from error
    _write(out, made, f"{len(made.fares)} fares, {len(made.discounts)} discounts")
    _tell(left_out)
    if report:
        write_text(report, "".join(f"{one}\n" for one in left_out))


def _tell(left_out: tuple[NotExpressed, ...]) -> None:
    for one in left_out:
        console.print(f"not expressed: {one}", highlight=False, soft_wrap=True)
    console.print(f"{len(left_out)} things that the feed says are not in the tariff", highlight=False)


def _write(out: Path, made: FareTariff, what: str) -> None:
    text = write_fares(made)
    write_text(out, text)
    try:
        flaws = check_tariff(read_fares(text))
    except (
        TariffFlawed
    ) as error:  # what was published does not fit a tariff's bounds, such as a name too long
        flaws = list(error.flaws)
    console.print(f"{out}: {made.name} version {made.version}, {what}", highlight=False, soft_wrap=True)
    for flaw in flaws:
        console.print(f"{out.name}: {flaw}", highlight=False, soft_wrap=True)
