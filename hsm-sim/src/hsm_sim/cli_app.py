"""What the commands of `hsm-sim` share: the program itself, its folder and LMK, what it asks and says."""

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hsm_sim.home import HomeError, parse_lmk
from hsm_sim.key_file import KeyFileError
from hsm_sim.keys import KeyStore, lmk_check_value
from hsm_sim.people import PeopleError
from hsm_sim.tls import TlsError

LMK_VARIABLE = "HSM_SIM_LMK"

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Home = Annotated[Path, typer.Option("--home", help="Folder of the HSM's keys.")]


@contextmanager
def refusing() -> Iterator[None]:
    """Say what is wrong and end with 2, the way a wrong option ends."""
    try:
        yield
    except (HomeError, KeyFileError, PeopleError, TlsError) as error:
        typer.echo(f"hsm-sim: {error}", err=True)
        raise typer.Exit(2) from error
    except OSError as error:
        typer.echo(f"hsm-sim: {error}; see to the disk and to the rights of its folders", err=True)
        raise typer.Exit(2) from error


def given_lmk() -> bytes | None:
    """The LMK of the environment, or None. Raises HomeError where it is none."""
    text = os.environ.get(LMK_VARIABLE)
    return None if text is None else parse_lmk(text, f"the variable {LMK_VARIABLE}")


def print_status(keys: KeyStore, lmk: bytes) -> None:
    """Say which keys there are, by their check values."""
    typer.echo(f"LMK check value {lmk_check_value(lmk)}{', DEMO KEYS' if keys.demo else ''}")
    for usage, number, check in keys.check_values():
        part = "" if keys.generates(usage, number) else ", verifies only"
        if (usage, number) in keys.overlapping:
            part = ", overlaps"
        typer.echo(f"{usage} version {number:3d} check value {check}{part}")


def ask(question: str, *, secret: bool = False) -> str:
    """What somebody types, without its end; from a terminal, or a line of standard input where there is none.

    Raises HomeError at the end of the input.
    """
    if sys.stdin.isatty():
        return getpass.getpass(f"{question}: ") if secret else input(f"{question}: ")
    typer.echo(f"{question}:", err=True)
    line = sys.stdin.readline()
    if not line:
        raise HomeError(f"the input ended where it was asked for: {question}; begin again")
    return line.rstrip("\r\n")


def ask_operators(names: list[str]) -> list[tuple[str, str]]:
    """Two operators' names, unless given, and passphrases."""
    pair = []
    for place in range(2):
        name = names[place] if place < len(names) else ask(f"Operator {place + 1} of 2, name")
        pair.append((name, ask(f"Passphrase of {name}", secret=True)))
    return pair
