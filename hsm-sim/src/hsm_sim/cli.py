"""`hsm-sim`: make the keys, run the machine, look at it."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import structlog
import typer

from hsm_sim.box import Box
from hsm_sim.bulk_desk import BulkDesk
from hsm_sim.home import HomeError, create_home, open_home, parse_lmk, replace_keys
from hsm_sim.key_blocks import Protection
from hsm_sim.key_file import KeyFileError
from hsm_sim.keys import KeyStore, Usage, demo_keys, lmk_check_value, random_keys
from hsm_sim.server import Bounds, Hall, serve

LMK_VARIABLE = "HSM_SIM_LMK"

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Home = Annotated[Path, typer.Option("--home", help="Folder of the HSM's keys.")]


@app.command()
def init(
    home: Home,
    demo: Annotated[bool, typer.Option("--demo", help="Keys that everybody knows.")] = False,
    transport_key_file: Annotated[
        Path | None, typer.Option(help="Where to write the transport key, once, for the card factory.")
    ] = None,
) -> None:
    """Make the keys of a new HSM."""
    keys = demo_keys() if demo else random_keys(os.urandom)
    with _refusing():
        lmk = create_home(
            home, keys, given_lmk=_given_lmk(), random=os.urandom, transport_key_file=transport_key_file
        )
    _print_status(keys, lmk)


@app.command("serve")
def serve_command(
    home: Home,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port_file: Annotated[Path | None, typer.Option(help="Where to write the port once it listens.")] = None,
    production: Annotated[bool, typer.Option("--production", help="Refuse demo keys.")] = False,
    bulk_workers: Annotated[int, typer.Option(min=1, help="Processes that verify TACs in bulk.")] = 1,
) -> None:
    """Answer on a socket until told to stop (SIGTERM)."""
    _log_to_stderr()
    with _refusing():
        keys, lmk = open_home(home, given_lmk=_given_lmk())
        if production and keys.demo:
            raise HomeError(
                f"{home} holds demo keys, which everybody knows, and --production is given; "
                "make other keys with `hsm-sim init` in another folder"
            )
    box = Box(keys, os.urandom, lmk_check_value(lmk), installed_version("hsm-sim"), blocks=Protection.of(lmk))

    def listening(bound_port: int) -> None:
        _print_banner(box, f"{host}:{bound_port}")
        if port_file is not None:
            _write_port(port_file, bound_port)

    async def run() -> None:
        # The worker gets keys through its pipe and has no use for the variable that opens them all.
        environment = {name: value for name, value in os.environ.items() if name != LMK_VARIABLE}
        environment["OPENBLAS_NUM_THREADS"] = "1"
        desk = BulkDesk([sys.executable, "-m", "hsm_sim.bulk_worker"], environment, workers=bulk_workers)
        await serve(Hall(box, desk, Bounds()), host=host, port=port, listening=listening)

    try:
        asyncio.run(run())
    except OSError as error:
        typer.echo(
            f"hsm-sim: cannot listen on {host}:{port}: {error}; choose another port or address", err=True
        )
        raise typer.Exit(1) from error


@app.command()
def status(home: Home) -> None:
    """Show which keys there are, by their check values."""
    with _refusing():
        keys, lmk = open_home(home, given_lmk=_given_lmk())
    _print_status(keys, lmk)


@app.command()
def rotate(
    home: Home,
    usage: Annotated[
        list[Usage], typer.Option(help="Which kinds of key get a new version; may be repeated.")
    ],
    overlap: Annotated[
        bool,
        typer.Option("--overlap", help="Cards or terminals in the field hold the last version: it goes on."),
    ] = False,
) -> None:
    """Add a new random version of a key; a running HSM takes it up when it is started again.

    From then on older versions only verify and open. With --overlap they also go on generating, until `retire`.
    """
    with _refusing():
        keys, lmk = open_home(home, given_lmk=_given_lmk())
        try:
            for each in usage:
                keys = keys.with_next_version(each, os.urandom, overlap=overlap)
        except ValueError as error:
            raise HomeError(str(error)) from error
        replace_keys(home, keys, lmk, random=os.urandom)
    _print_status(keys, lmk)


@app.command()
def retire(
    home: Home, usage: Annotated[list[Usage], typer.Option(help="Of which kinds of key; may be repeated.")]
) -> None:
    """End the overlap of a rotation: of these keys, older versions only verify and open from the next start on."""
    with _refusing():
        keys, lmk = open_home(home, given_lmk=_given_lmk())
        for each in usage:
            keys = keys.without_overlap(each)
        replace_keys(home, keys, lmk, random=os.urandom)
    _print_status(keys, lmk)


def main() -> None:
    """Run the command line."""
    app()


@contextmanager
def _refusing() -> Iterator[None]:
    """Say what is wrong and end with 2, the way a wrong option ends."""
    try:
        yield
    except (HomeError, KeyFileError) as error:
        typer.echo(f"hsm-sim: {error}", err=True)
        raise typer.Exit(2) from error


def _given_lmk() -> bytes | None:
    text = os.environ.get(LMK_VARIABLE)
    return None if text is None else parse_lmk(text, f"the variable {LMK_VARIABLE}")


def _print_status(keys: KeyStore, lmk: bytes) -> None:
    typer.echo(f"LMK check value {lmk_check_value(lmk)}{', DEMO KEYS' if keys.demo else ''}")
    for usage, number, check in keys.check_values():
        part = "" if keys.generates(usage, number) else ", verifies only"
        if (usage, number) in keys.overlapping:
            part = ", overlaps"
        typer.echo(f"{usage} version {number:3d} check value {check}{part}")


def _print_banner(box: Box, address: str) -> None:
    lines = [f"SIMULATOR hsm-sim {box.version} listens on {address}", "This is software. It protects no key."]
    if box.keys.demo:
        lines.append("DEMO KEYS: everybody knows them. Never for real money.")
    width = max(map(len, lines))
    rule = "*" * (width + 4)
    typer.echo("\n".join([rule, *(f"* {line:<{width}} *" for line in lines), rule]), err=True)


def _write_port(path: Path, port: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(f"{port}\n")
    draft.replace(path)


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
