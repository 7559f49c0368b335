"""`hsm-sim operator, custodian, authorise, tamper, audit`: who may do what, and what was done."""

import os
from pathlib import Path
from typing import Annotated

import typer

from hsm_sim.audit import AuditLog, Line, verify
from hsm_sim.authority import parse_duration
from hsm_sim.cli_app import Home, app, ask, ask_operators, given_lmk, refusing
from hsm_sim.console import Reply, ask_running
from hsm_sim.home import HomeError, is_tampered, open_home, read_people, write_people, zeroise
from hsm_sim.people import Role

Name = Annotated[str, typer.Option("--name", help="Who: a-z, 0-9, '.', '_' and '-'.")]


@app.command()
def operator(home: Home, name: Name) -> None:
    """Make an operator known. The first two come as they are; two known ones vouch for every other."""
    _admit(home, name, Role.OPERATOR)


@app.command()
def custodian(home: Home, name: Name) -> None:
    """Make a custodian known, who may bring components of keys. Two operators vouch, where there are two."""
    _admit(home, name, Role.CUSTODIAN)


@app.command()
def authorise(
    home: Home,
    for_: Annotated[str, typer.Option("--for", help="How long: 90s, 30m, 8h; at most 24h.")] = "30m",
    operator: Annotated[list[str] | None, typer.Option(help="An operator; give it twice.")] = None,
    end: Annotated[bool, typer.Option("--end", help="End it now instead.")] = False,
) -> None:
    """Let the running HSM import, export and personalise for a while, on two operators' word.

    It does not outlive a restart.
    """
    with refusing():
        if end:
            _say(home, ask_running(home, {"act": "revoke"}))
            return
        try:
            for_s = parse_duration(for_)
        except ValueError as error:
            raise HomeError(f"--for {error}") from error
        pair = ask_operators(operator or [])
        _say(home, ask_running(home, {"act": "authorise", "operators": pair, "for_s": for_s}))


@app.command()
def tamper(
    home: Home, yes: Annotated[bool, typer.Option("--yes", help="Without asking again.")] = False
) -> None:
    """Zeroise every key of this HSM, in its folder and in the running program. There is no way back."""
    with refusing():
        if not (home.is_dir()):
            raise HomeError(f"there is no folder {home}; give the folder of an HSM")
        if not yes and ask("Every key will be gone for good. Type ZEROISE") != "ZEROISE":
            raise HomeError("nothing was done: ZEROISE was not typed")
        told = ask_running(home, {"act": "tamper"})
        already = is_tampered(home)
        gone = zeroise(home, random=os.urandom)
        if gone or not already:
            AuditLog(home).act("tampered", zeroised=", ".join(gone))
        for reply in told:
            if "error" in reply:
                raise HomeError(f"{reply['error']}; the keys in {home} are gone all the same")
    typer.echo(f"every key in {home} is zeroised; running HSMs that were told: {len(told)}")


@app.command()
def audit(
    home: Home,
    check: Annotated[
        bool, typer.Option("--verify", help="Check the chain; end with 1 where it is broken.")
    ] = False,
    head: Annotated[
        str | None, typer.Option("--head", help="With --verify: a digest noted earlier, which must be in it.")
    ] = None,
    uses: Annotated[bool, typer.Option("--uses", help="How often each key was used, in all.")] = False,
) -> None:
    """Show the audit log as a table, or check it."""
    with refusing():
        try:
            texts = AuditLog(home).texts()
        except OSError as error:
            raise HomeError(f"there is no audit log in {home}; give the folder of an HSM") from error
    sound, broken = verify(texts)
    if check:
        if broken is not None:
            typer.echo(f"line {broken.place} is broken: {broken.reason}")
            raise typer.Exit(1)
        if head is not None and head not in {line.digest for line in sound}:
            typer.echo(f"no line has the digest {head}: lines were cut off after it was noted")
            raise typer.Exit(1)
        typer.echo(f"{len(sound)} lines hold; head {sound[-1].digest if sound else 'none'}")
    elif uses:
        _print_uses(sound)
    else:
        for line in sound:
            typer.echo(f"{line.number:6d}  {line.at}  {line.event:<24}  {_facts(line)}")
        if broken is not None:
            typer.echo(f"{broken.place:6d}  BROKEN: {broken.reason}")


def _admit(home: Path, name: str, role: Role) -> None:
    with refusing():
        _, lmk = open_home(home, given_lmk=given_lmk())
        people = read_people(home, lmk)
        vouching = people.names(Role.OPERATOR)
        by = people.check_pair(ask_operators([])) if len(vouching) >= 2 else ()
        phrase = ask(f"New passphrase of {name}", secret=True)
        if ask("The same again", secret=True) != phrase:
            raise HomeError(f"the two passphrases of {name} are not the same; begin again")
        people = people.admitting(name, role, phrase, os.urandom)
        write_people(home, people, lmk)
        AuditLog(home).act(f"{role} added", name=name, vouched_by=", ".join(by) or "nobody yet")
    typer.echo(f"{role} {name} is known")


def _say(home: Path, replies: list[Reply]) -> None:
    if not replies:
        raise HomeError(f"no HSM runs on {home}; start it with `hsm-sim serve --home {home} --port PORT`")
    for reply in replies:
        if "error" in reply:
            raise HomeError(str(reply["error"]))
    typer.echo("\n".join(str(reply["done"]) for reply in replies))


def _print_uses(lines: list[Line]) -> None:
    used: dict[str, list[int]] = {}
    for line in lines:
        for place, column in enumerate(("uses", "failed")):
            for key, times in line.facts.get(column, {}).items():
                used.setdefault(key, [0, 0])[place] += int(times)
    typer.echo(f"{'key':<24} {'uses':>12} {'failed':>12}")
    for key, (times, failed) in sorted(used.items()):
        typer.echo(f"{key:<24} {times:>12} {failed:>12}")


def _facts(line: Line) -> str:
    return "  ".join(
        f"{name}: "
        + (", ".join(f"{k} ×{v}" for k, v in value.items()) if isinstance(value, dict) else str(value))
        for name, value in line.facts.items()
    )
