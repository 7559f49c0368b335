"""Tariff files that a command was given: read whole, with every flaw told where one cannot be."""

from pathlib import Path
from typing import Annotated

import typer

from api.doors import Refused
from clearing.sectors.transit.fare_check import usable_fares
from clearing.sectors.transit.fare_file import Flaw, TariffFlawed
from clearing.sectors.transit.fare_tariff import FareTariff

TariffFile = Annotated[Path, typer.Argument(metavar="TARIFF", help="a fare tariff (docs/formats/tariff.md)")]
TariffFiles = Annotated[
    list[Path], typer.Argument(metavar="TARIFF...", help="fare tariffs (docs/formats/tariff.md)")
]
AsJson = Annotated[bool, typer.Option("--json", help="write JSON, amounts in fen")]


def bytes_of(path: Path) -> bytes:
    """What is in a file. Raises Refused where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}; give the path of a file") from error


def text_of(path: Path) -> str:
    """The text in a file. Raises Refused where it cannot be read."""
    try:
        return bytes_of(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: byte {error.start} is not UTF-8; save it as UTF-8") from error


def fares_in(path: Path) -> FareTariff:
    """The fare tariff in a file, fit to price by. Raises Refused with its flaws; remarks are none."""
    try:
        return usable_fares(text_of(path))
    except TariffFlawed as error:
        raise flawed(path, error.flaws) from error


def flawed(path: Path, flaws: tuple[Flaw, ...]) -> Refused:
    """The refusal that tells a file's flaws, one a line."""
    return Refused("\n".join(f"{path.name}: {flaw}" for flaw in flaws))
