"""`hsm-sim ceremony`: custodians bring the components of the LMK or of a zone's key, one after the other."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hsm_sim.audit import AuditLog
from hsm_sim.ceremony import Ceremony, CeremonyError, check_value, new_component, sheet
from hsm_sim.cli_app import LMK_VARIABLE, Home, app, ask, given_lmk, print_status, refusing
from hsm_sim.home import (
    HomeError,
    create_home,
    holds_keys,
    holds_lmk,
    open_home,
    prepare_folder,
    read_people,
    write_lmk,
    write_once,
    write_people,
)
from hsm_sim.host_blocks import AES_BITS, ZONE_MASTER
from hsm_sim.key_blocks import Header, Protection
from hsm_sim.key_file import KeyFileError
from hsm_sim.keys import LMK_BYTES, lmk_check_value, random_keys
from hsm_sim.people import People, PeopleError, Role

TRIES = 3

_CLEARED = "\033[2J\033[3J\033[H"
"""What empties a terminal, with what has scrolled out of it."""

ceremony_app = typer.Typer(no_args_is_help=True, help="Enter a key in components, by separate custodians.")
app.add_typer(ceremony_app, name="ceremony")

Custodians = Annotated[
    int, typer.Option("--custodians", min=2, max=9, help="How many bring a component each.")
]
Sheets = Annotated[
    Path | None,
    typer.Option("--sheet", help="Folder for a sheet a component, instead of showing it on the screen."),
]
Vouch = Callable[[str], None]


@ceremony_app.command("lmk")
def lmk_ceremony(
    home: Home,
    custodians: Custodians = 3,
    sheets: Sheets = None,
    transport_key_file: Annotated[
        Path | None, typer.Option(help="Where to write the transport key, once, for the card factory.")
    ] = None,
) -> None:
    """Make a new HSM under an LMK in components, or give one back the LMK that its keys are sealed under."""
    with refusing(), _broken_off_is_noted(home, "LMK") as log:
        if given_lmk() is not None or holds_lmk(home):
            where = home if holds_lmk(home) else f"the variable {LMK_VARIABLE}"
            raise HomeError(f"there is an LMK in {where} already; take it away first")
        if transport_key_file is not None and transport_key_file.exists():
            raise HomeError(f"{transport_key_file} exists and is not written over; choose another place")
        phrases: dict[str, str] = {}
        done = _components(
            Ceremony(LMK_BYTES, custodians), "LMK", sheets, lambda name: _remember(name, phrases), log
        )
        lmk = done.whole()
        restored = holds_keys(home)
        if restored:
            open_home(home, given_lmk=lmk)
        people = _custodians(home, lmk, phrases)
        write_lmk(home, lmk)
        if not restored:
            keys = random_keys(os.urandom)
            create_home(home, keys, given_lmk=None, random=os.urandom, transport_key_file=transport_key_file)
        write_people(home, people, lmk)
        log.act(
            "LMK restored" if restored else "LMK made",
            lmk=lmk_check_value(lmk),
            custodians=", ".join(phrases),
        )
        keys, _ = open_home(home, given_lmk=None)
    print_status(keys, lmk)


@ceremony_app.command("zmk")
def zmk_ceremony(
    home: Home,
    custodians: Custodians = 2,
    bits: Annotated[int, typer.Option(help="128, 192 or 256.")] = 256,
    sheets: Sheets = None,
    out: Annotated[Path | None, typer.Option(help="File for the key block; otherwise it is printed.")] = None,
) -> None:
    """Enter the key that is shared with another zone; it comes out as a key block under the LMK for the host."""
    with refusing():
        if bits not in AES_BITS:
            raise HomeError(f"--bits is {bits}; give 128, 192 or 256")
        _, lmk = open_home(home, given_lmk=given_lmk())
        people = read_people(home, lmk)
    with refusing(), _broken_off_is_noted(home, "ZMK") as log:
        ceremony = Ceremony(bits // 8, custodians)
        zmk = _components(ceremony, "ZMK", sheets, lambda name: _recognise(name, people), log).whole()
        header = Header(ZONE_MASTER, "A", "B", "00", "N")
        block = "S" + Protection.of(lmk).wrap(header, zmk, os.urandom)
        if out is not None:
            write_once(out, block + "\n")
        log.act("ZMK made", check=check_value(zmk), block=block[-8:])
    typer.echo(f"ZMK check value {check_value(zmk)}")
    typer.echo(f"key block in {out}" if out is not None else block)


def _components(ceremony: Ceremony, key: str, sheets: Path | None, vouch: Vouch, log: AuditLog) -> Ceremony:
    """Have every custodian bring a component. Raises CeremonyError or PeopleError after three wrong tries."""
    while not ceremony.complete:
        place = len(ceremony.given) + 1
        name = ask(f"Custodian {place} of {ceremony.custodians}, name")
        ceremony.check_custodian(name)
        vouch(name)
        text = ask(
            f"Component of {name}, {2 * ceremony.key_bytes} hex digits, or nothing for a new one", secret=True
        )
        if not text:
            text = new_component(ceremony.key_bytes, os.urandom)
            _hand_out(text, ceremony, key, name, sheets)
            text = ask(f"Component of {name}, as it stands on the paper", secret=True)
        for left in reversed(range(TRIES)):
            try:
                ceremony = ceremony.accepting(name, text, ask("Its check value"))
                break
            except CeremonyError as error:
                if not left:
                    raise
                typer.echo(f"not accepted: {error}", err=True)
                text = ask(f"Component of {name}, as it stands on the paper", secret=True)
        check = ceremony.given[-1].check_value
        log.act("component accepted", key=key, place=place, custodian=name, check=check)
        typer.echo(f"component {place} of {ceremony.custodians} accepted, check value {check}")
    return ceremony


def _hand_out(text: str, ceremony: Ceremony, key: str, name: str, sheets: Path | None) -> None:
    """Give a new component to its custodian: on paper, or on a screen that is cleared afterwards."""
    place = len(ceremony.given) + 1
    page = sheet(key=key, place=place, custodians=ceremony.custodians, custodian=name, component=text)
    if sheets is not None:
        sheets.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = sheets / f"{key.lower()}-component-{place}-of-{ceremony.custodians}.txt"
        write_once(path, page)
        typer.echo(f"the sheet of {name} is {path}")
        return
    typer.echo(page)
    ask("Nobody else may look. Press Enter when it is written down")
    if sys.stdout.isatty():
        typer.echo(_CLEARED, nl=False)


def _remember(name: str, phrases: dict[str, str]) -> None:
    """A custodian's passphrase at the making of an LMK, under which nobody can be known yet."""
    phrase = ask(f"Passphrase of {name}", secret=True)
    if ask("The same again", secret=True) != phrase:
        raise PeopleError(f"the two passphrases of {name} are not the same; begin again")
    # So that one that will not do is refused now and not when all have given their components.
    People().admitting(name, Role.CUSTODIAN, phrase, os.urandom)
    phrases[name] = phrase


def _recognise(name: str, people: People) -> None:
    people.check(name, Role.CUSTODIAN, ask(f"Passphrase of {name}", secret=True))


def _custodians(home: Path, lmk: bytes, phrases: dict[str, str]) -> People:
    """Everybody known under that LMK: these, where nobody was; otherwise they must be known already."""
    people = read_people(home, lmk)
    anybody = bool(people.names(Role.CUSTODIAN))
    for name, phrase in phrases.items():
        if anybody:
            people.check(name, Role.CUSTODIAN, phrase)
        else:
            people = people.admitting(name, Role.CUSTODIAN, phrase, os.urandom)
    return people


@contextmanager
def _broken_off_is_noted(home: Path, key: str) -> Iterator[AuditLog]:
    """The folder's audit log, which is told when a ceremony ends without a key."""
    prepare_folder(home)
    log = AuditLog(home)
    try:
        yield log
    except CeremonyError as error:
        log.act("ceremony broken off", key=key, reason=str(error))
        raise HomeError(f"no {key} was made: {error}") from error
    except (HomeError, KeyFileError, PeopleError) as error:
        log.act("ceremony broken off", key=key, reason=str(error))
        raise
