"""`hsm-sim`: make the keys, run the machine, look at it."""

import asyncio
import os
import sys
from dataclasses import replace
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import structlog
import typer

from hsm_sim import cli_ceremony, cli_console
from hsm_sim.audit import AuditLog
from hsm_sim.authority import Authority, parse_duration
from hsm_sim.box import Box
from hsm_sim.bulk_desk import BulkDesk
from hsm_sim.cli_app import LMK_VARIABLE, Home, app, given_lmk, print_status, refusing
from hsm_sim.console import Console
from hsm_sim.home import HomeError, create_home, is_tampered, open_home, replace_keys
from hsm_sim.journal import Journal
from hsm_sim.key_blocks import Protection
from hsm_sim.keys import KeyStore, Usage, demo_keys, lmk_check_value, random_keys
from hsm_sim.server import Bounds, Hall, serve
from hsm_sim.tls import server_context, tls_files

OTHER_COMMANDS = (cli_console, cli_ceremony)
"""Importing them is what puts their commands into the program."""


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
    with refusing():
        lmk = create_home(
            home, keys, given_lmk=given_lmk(), random=os.urandom, transport_key_file=transport_key_file
        )
        AuditLog(home).act("keys made", lmk=lmk_check_value(lmk), demo_keys=int(demo))
    print_status(keys, lmk)


@app.command("serve")
def serve_command(
    home: Home,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port_file: Annotated[Path | None, typer.Option(help="Where to write the port once it listens.")] = None,
    production: Annotated[bool, typer.Option("--production", help="Refuse demo keys.")] = False,
    bulk_workers: Annotated[int, typer.Option(min=1, help="Processes that verify TACs in bulk.")] = 1,
    authorised_for: Annotated[
        str | None,
        typer.Option(help="Demo keys only: import, export, personalise without operators, for 8h, say."),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="TLS: our certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="TLS: its key, PEM.")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="TLS: who signs clients' certificates.")] = None,
) -> None:
    """Answer on a socket until told to stop (SIGTERM)."""
    _log_to_stderr()
    with refusing():
        files = tls_files(tls_cert, tls_key, tls_client_ca)
        tls = None if files is None else server_context(files)
        hall, console = _machine(home, bulk_workers)
        if production and hall.box.keys.demo:
            raise HomeError(
                f"{home} holds demo keys, which everybody knows, and --production is given; "
                "make other keys with `hsm-sim init` in another folder"
            )
        authorised_s = 0 if authorised_for is None else _authorised_s(hall.box, authorised_for)
        demo = int(hall.box.keys.demo)
        hall.note("started", demo_keys=demo, authorised_s=authorised_s, tls=int(tls is not None))

    def listening(bound_port: int) -> None:
        address = f"{host}:{bound_port}{'' if tls is None else ' by TLS, with client certificates'}"
        _print_banner(hall.box, address, authorised_for if authorised_s else None)
        if port_file is not None:
            _write_port(port_file, bound_port)

    async def run() -> None:
        if authorised_s:
            until_s = asyncio.get_running_loop().time() + authorised_s
            hall.authority = Authority(("nobody", "demo keys"), until_s)
        try:
            await serve(hall, host=host, port=port, listening=listening, console=console.open, tls=tls)
        finally:
            console.close()

    try:
        asyncio.run(run())
    except OSError as error:
        typer.echo(
            f"hsm-sim: cannot listen on {host}:{port}: {error}; choose another port or address", err=True
        )
        raise typer.Exit(1) from error
    with refusing():
        hall.note("stopped")


@app.command()
def status(home: Home) -> None:
    """Show which keys there are, by their check values."""
    with refusing():
        keys, lmk = open_home(home, given_lmk=given_lmk())
    print_status(keys, lmk)


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
    with refusing():
        keys, lmk = open_home(home, given_lmk=given_lmk())
        try:
            for each in usage:
                keys = keys.with_next_version(each, os.urandom, overlap=overlap)
        except ValueError as error:
            raise HomeError(str(error)) from error
        replace_keys(home, keys, lmk, random=os.urandom)
        names = (f"{each} {keys.newest(each)}" for each in usage)
        AuditLog(home).act("rotated", keys=", ".join(names), overlap=int(overlap))
    print_status(keys, lmk)


@app.command()
def retire(
    home: Home, usage: Annotated[list[Usage], typer.Option(help="Of which kinds of key; may be repeated.")]
) -> None:
    """End the overlap of a rotation: of these keys, older versions only verify and open from the next start on."""
    with refusing():
        keys, lmk = open_home(home, given_lmk=given_lmk())
        for each in usage:
            keys = keys.without_overlap(each)
        replace_keys(home, keys, lmk, random=os.urandom)
        AuditLog(home).act("old versions retired", usages=", ".join(usage))
    print_status(keys, lmk)


def main() -> None:
    """Run the command line."""
    app()


def _machine(home: Path, bulk_workers: int) -> tuple[Hall, Console]:
    """The machine of a folder and its operators' door, which alone hold its keys; none where they were zeroised."""
    box, lmk = Box(KeyStore({}), os.urandom, "0" * 16, installed_version("hsm-sim")), b""
    if is_tampered(home):
        box = box.zeroised()
    else:
        keys, lmk = open_home(home, given_lmk=given_lmk())
        box = replace(box, keys=keys, lmk_check=lmk_check_value(lmk), blocks=Protection.of(lmk))
    hall = Hall(box, _bulk_desk(bulk_workers), Bounds(), Journal(AuditLog(home), box.uses))
    return hall, Console(hall, home, lmk, os.urandom)


def _authorised_s(box: Box, text: str) -> int:
    if box.tampered:
        return 0
    if not box.keys.demo:
        raise HomeError(
            "--authorised-for is for demo keys, and these are others; leave it away and have two operators "
            "use `hsm-sim authorise`"
        )
    try:
        return parse_duration(text)
    except ValueError as error:
        raise HomeError(f"--authorised-for {error}") from error


def _bulk_desk(workers: int) -> BulkDesk:
    # The worker gets keys through its pipe and has no use for the variable that opens them all.
    environment = {name: value for name, value in os.environ.items() if name != LMK_VARIABLE}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    return BulkDesk([sys.executable, "-m", "hsm_sim.bulk_worker"], environment, workers=workers)


def _print_banner(box: Box, address: str, authorised_for: str | None) -> None:
    lines = [f"SIMULATOR hsm-sim {box.version} listens on {address}", "This is software. It protects no key."]
    if box.keys.demo:
        lines.append("DEMO KEYS: everybody knows them. Never for real money.")
    if authorised_for is not None:
        lines.append(
            f"AUTHORISED FOR {authorised_for} BY NOBODY: any client may have keys made, moved, exported."
        )
    if box.tampered:
        lines.append("TAMPERED: it holds no keys, and answers nothing but NC.")
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
