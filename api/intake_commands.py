"""`onecard intake`: finished files taken out of operators' folders and the bank's in rounds, answers delivered."""

from typing import Annotated

import structlog
import typer
from sqlalchemy import Engine

from api.bank_rounds import bank_round, log_round, taken_in_words
from api.doors import books, console, now, settings
from api.rounds import run_rounds
from clearing.drop_folder import Dropped, Round, Swept, sweep
from clearing.landing import Landing
from clearing.receipts import Status
from ledger.day import current_day
from ledger.db import reading
from ledger.sharing import Alone
from settlement.bank import drop_folder as bank_files

log: structlog.stdlib.BoundLogger = structlog.get_logger("onecard.intake")


def intake(
    every_s: Annotated[
        float | None, typer.Option(min=0.01, help="begin a round so often, until SIGTERM; default: one round")
    ] = None,
) -> None:
    """Take finished files out of the operators' folders and the bank's, and deliver the night's answers.

    Operators' files go into the inbox for the night; the bank's are booked at once.
    """
    home = settings().city_home()
    landing = Landing(home.inbox, home.archive)
    with books() as engine:
        if every_s is None:
            swept, banked = _sweep(engine, landing), bank_files.sweep(bank_round(engine))
            lines = (*map(_in_words, swept.taken), *map(taken_in_words, banked.taken))
            for line in (*lines, *swept.troubles, *banked.troubles):
                console.print(line, soft_wrap=True, highlight=False)
            console.print(f"{len(lines)} files were taken")
            return
        console.print(f"Folders are looked through every {every_s:g} s (Ctrl-C ends)")
        run_rounds(lambda: _round(engine, landing), every_s, "intake")


def _round(engine: Engine, landing: Landing) -> None:
    _tell(_sweep(engine, landing))
    log_round(bank_files.sweep(bank_round(engine)))


def _sweep(engine: Engine, landing: Landing) -> Swept:
    """One round. Raises DayOrderError where no day is open."""
    with reading(engine) as conn:
        business_date = current_day(conn)
    return sweep(Round(engine, Alone(engine), landing, business_date, now()))


def _tell(swept: Swept) -> None:
    for one in swept.taken:
        log.info("taken", operator=one.operator, **one.receipt.content)
    for trouble in swept.troubles:
        log.error("a folder was left out", reason=trouble)


def _in_words(one: Dropped) -> str:
    receipt = one.receipt
    if receipt.status is Status.REJECTED:
        return f"{one.operator}: {receipt.name} was turned away, {receipt.reason}: {receipt.message}"
    return f"{one.operator}: {receipt.name} {receipt.status}"
