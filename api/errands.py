"""`onecard errands`: what the city has yet to tell its billers, and to ask its insurer, told and asked in rounds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import structlog
import typer
from sqlalchemy import Engine

from api.doors import books, console, now, settings
from api.http.hospital import policies
from api.peers import connected_peers
from api.rounds import run_rounds
from clearing.peers import Peers
from clearing.sectors.healthcare.cashier import Cashier
from clearing.sectors.utilities.sending import Sent, send_notices

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
        run_rounds(
            lambda: _tell(run_round(engine, peers, now(), put_off_too=put_off_too)), every_s, "errands"
        )


def run_round(engine: Engine, peers: Peers, at: datetime, *, put_off_too: bool) -> Round:
    """One round with these peers. Raises DayOrderError where no day is open."""
    sent = send_notices(engine, peers.billers, at, put_off_too=put_off_too)
    if peers.insurer is None:
        return Round(sent, 0)
    return Round(sent, len(Cashier(engine, peers.insurer, policies()).ask_all(at=at)))


def _tell(done: Round) -> None:
    if done.sent != Sent():
        log.info("errands", **{name: getattr(done.sent, name) for name in Sent.__slots__})


def _in_words(done: Round) -> str:
    sent = done.sent
    return (
        f"Billers took {sent.taken} and refused {sent.refused}; {sent.silent + sent.untried} not answered, "
        f"{sent.stuck} with money that cannot go back yet; {done.waiting} hospital bills wait for the insurer"
    )
