"""`onecard errands`: what the city has yet to tell its billers, and to ask its insurer, told and asked in rounds."""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import structlog
import typer
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.doors import books, console, now, settings
from api.http.hospital import policies
from api.peers import connected_peers
from clearing.peers import Peers
from clearing.sectors.healthcare.cashier import Cashier
from clearing.sectors.utilities.sending import Sent, send_notices
from ledger.day import DayOrderError

log: structlog.stdlib.BoundLogger = structlog.get_logger("onecard.errands")


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one round: notices to billers, and how many hospital bills wait for the insurer still."""

    sent: Sent
    waiting: int


def errands(
    every_s: Annotated[
        float | None, typer.Option(min=0.01, help="begin a round so often, until SIGTERM; default: one round")
    ] = None,
    put_off_too: Annotated[
        bool, typer.Option("--put-off-too", help="also what a silent biller has put off to a later try")
    ] = False,
) -> None:
    """Tell billers what they have yet to be told, and ask the insurer about bills that wait for it."""
    chosen = settings()
    with books() as engine, connected_peers(chosen) as peers:
        if every_s is None:
            done = run_round(engine, peers, now(), put_off_too=put_off_too)
            console.print(_in_words(done))
            return
        console.print(f"Errands are run every {every_s:g} s (Ctrl-C ends)")
        _run_rounds(lambda: run_round(engine, peers, now(), put_off_too=put_off_too), every_s)


def run_round(engine: Engine, peers: Peers, at: datetime, *, put_off_too: bool) -> Round:
    """One round with these peers. Raises DayOrderError where no day is open."""
    sent = send_notices(engine, peers.billers, at, put_off_too=put_off_too)
    if peers.insurer is None:
        return Round(sent, 0)
    return Round(sent, len(Cashier(engine, peers.insurer, policies()).ask_all(at=at)))


def _run_rounds(one_round: Callable[[], Round], every_s: float) -> None:
    """Round after round until SIGTERM or Ctrl-C; a round that the database or the calendar stops is made up for."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(every_s):
        try:
            done = one_round()
        except (SQLAlchemyError, DayOrderError) as error:
            log.error("a round of errands was not finished", reason=str(error))
            continue
        if done.sent != Sent():
            log.info("errands", **{name: getattr(done.sent, name) for name in Sent.__slots__})


def _in_words(done: Round) -> str:
    sent = done.sent
    return (
        f"Billers took {sent.taken} and refused {sent.refused}; {sent.silent + sent.untried} not answered, "
        f"{sent.stuck} with money that cannot go back yet; {done.waiting} hospital bills wait for the insurer"
    )
