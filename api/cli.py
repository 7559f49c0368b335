"""`onecard`: the command line of the city's card company."""

import sys
from collections.abc import Mapping
from typing import Final

import typer

from api.ending import end_at_once
from api.interrupt import INTERRUPTED
from api.late_commands import Late, LateGroup

REFUSALS: Final[Mapping[str, str]] = {
    "api.doors": "Refused",
    "settlement.night": "NightRefused",
    "city.replay": "ReplayRefused",
    "city.szt": "TraceError",
    "card.hsm.errors": "HsmError",
    "clearing.engine.rules": "EngineFailed",
    "sqlalchemy.exc": "OperationalError",
}
"""What a person can mend, by the module that says so."""


COMMANDS: Final[Mapping[str, Late]] = {
    "demo": Late(
        "api.demo_command:demo",
        "Live a small city's day and night in ONECARD_HOME, afresh each time.",
    ),
    "replay": Late(
        "api.replay_command:replay_trace",
        "Replay a real trace: every row a purse transaction on a virtual card, cleared and settled.",
    ),
    "serve": Late(
        "api.serve_command:serve",
        "Serve the API and the pages; finance is open where only this machine can ask, and is no production.",
    ),
    "status": Late(
        "api.night_status:status",
        "Show a night: what it is at while it runs, its steps with counts and digests, what each operator gets.",
    ),
    "scheduler": Late(
        "api.schedule:scheduler",
        "Run the night of every business day when its cut-off (ONECARD_CUT_OFF) has passed, until SIGTERM.",
    ),
    "intake": Late(
        "api.intake_commands:intake",
        "Take finished files out of the operators' folders and the bank's, and deliver the night's answers.",
    ),
    "errands": Late(
        "api.errands:errands",
        "Tell billers what they have yet to be told, and ask the insurer about bills that wait for it.",
    ),
    "loads": Late(
        "api.counter_commands:loads",
        "List the loads that are paid and not known to be on a card: each is completed or returned at any counter.",
    ),
    "bench": Late(
        "api.bench_commands:bench",
        "Measure speed and memory, each figure beside a peer or a ceiling in the same run.",
    ),
    "city": Late(
        "api.groups.registers:city",
        "The city's registers: who takes part, on which terms, with which devices; and its first business day.",
    ),
    "night": Late(
        "api.groups.nights:night",
        "A business day's night: DATE runs it; or look at it first.",
    ),
    "queue": Late(
        "api.groups.nights:queue",
        "The work queue: what people must look at after the nights.",
    ),
    "suspense": Late(
        "api.groups.nights:suspense",
        "Taps in suspense: listed with their age, and paid or rejected by two people.",
    ),
    "bank": Late(
        "api.groups.nights:bank",
        "The bank's answers: its files taken, open points listed with their age and resolved by two people.",
    ),
    "trace": Late(
        "api.trace_command:trace",
        "One tap, ride on a code or payment to the bank's line that paid for it, with every step between.",
    ),
    "ledger": Late(
        "api.groups.registers:ledger",
        "The books: balances, checks, proofs, archive, export.",
    ),
    "cards": Late(
        "api.groups.counters:cards",
        "Cards: stock, issue, loss, blocking, replacement, return; every move with who, when and why.",
    ),
    "card": Late(
        "api.groups.counters:card",
        "One card: its taps by its number, or the chip on a reader.",
    ),
    "counter": Late(
        "api.counter_commands:counter",
        "A counter: its screen for a clerk, or one thing at a time with a card on its reader.",
    ),
    "pos": Late(
        "api.groups.counters:pos",
        "Counters: the ISO 8583 gateway, and a terminal that speaks to it.",
    ),
    "terminals": Late(
        "api.groups.registers:terminals",
        "Signed hotlists, tariffs and settings for terminals, and what has not come from them.",
    ),
    "tariff": Late(
        "api.groups.registers:tariff",
        "Fare tariffs: check, explain, compare, import, what if, put in force.",
    ),
    "products": Late(
        "api.groups.registers:products",
        "Fare products that cards have bought: what the city sells, taking sales in, taking them back.",
    ),
    "centres": Late(
        "api.groups.registers:centres",
        "Other cities' clearing centres: who answers for whose cards, and what is exchanged with them.",
    ),
    "clients": Late(
        "api.groups.registers:clients",
        "Programs of institutions that may call the API.",
    ),
}


class Onecard(LateGroup):
    """All that `onecard` can be asked for."""

    late = COMMANDS


app = typer.Typer(
    cls=Onecard,
    help="City one-card (城市一卡通) clearing and settlement. Everything is kept under ONECARD_HOME (./var).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def onecard() -> None:
    """All commands are in the table; by themselves they have nothing in common to be done first."""


def program() -> None:
    """The program `onecard`: one command, and the end."""
    try:
        main()
    except SystemExit as ending:
        end_at_once(ending)
        raise


def main() -> None:
    """Run one command; what a person can mend is said in a line, and the exit status is 1."""
    try:
        app()
    except KeyboardInterrupt:  # before or after it does anything
        sys.exit(_interrupted())
    except SystemExit as ending:  # how every command ends: nothing is loaded for it
        if ending.code == INTERRUPTED:  # what Typer makes of Ctrl-C without a word
            _interrupted()
        raise
    except refusals() as error:
        sys.exit(_failed(_said(error)))
    except OSError as error:
        from ledger.room import out_of_room

        full = out_of_room(error)
        if full is None:
            raise
        sys.exit(_failed(f"there is no room: {full}; make room and run the command again"))


def refusals() -> tuple[type[Exception], ...]:
    """The exceptions that a person can mend, of the modules that are loaded: no other can have been raised."""
    return tuple(
        getattr(sys.modules[place], name) for place, name in REFUSALS.items() if place in sys.modules
    )


def _said(error: Exception) -> str:
    if type(error).__name__ != "OperationalError":
        return str(error)
    advice = "check ONECARD_DATABASE, that its server runs, and that its disk has room"
    return f"the database cannot be used: {getattr(error, 'orig', error)}; {advice}"


def _interrupted() -> int:
    sys.stderr.write("onecard: interrupted\n")
    return INTERRUPTED


def _failed(said: str) -> int:
    from api.doors import fail

    return fail(said).exit_code
