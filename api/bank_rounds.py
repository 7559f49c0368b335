"""Rounds through the bank's folder, by whoever makes some: a person, `onecard intake`, the scheduler."""

import structlog
from sqlalchemy import Engine

from api.doors import now, settings
from city.home import CITY_ZONE
from settlement.bank.drop_folder import Round, Swept
from settlement.bank.taking import Taken, Took

log: structlog.stdlib.BoundLogger = structlog.get_logger("onecard.bank")


def bank_round(engine: Engine) -> Round:
    """A round through the bank's folder as of now; the one under the home is made where there is none."""
    at = now()
    chosen, folder = settings(), settings().bank_inbox()
    if chosen.bank_folder is None:
        folder.mkdir(parents=True, exist_ok=True)
    return Round(engine, chosen.city_home().archive, folder, at, at.astimezone(CITY_ZONE).date())


def taken_in_words(taken: Taken) -> str:
    """What became of a file, in a line."""
    said = f"refused: {taken.message}; {taken.remedy}" if taken.took is Took.REFUSED else taken.message
    return f"{taken.name}: {said}"


def log_round(swept: Swept) -> None:
    """Tell the log what a round did; one that found nothing is not worth a word."""
    for one in swept.taken:
        told = log.error if one.took is Took.REFUSED else log.info
        told(
            "a file of the bank's", name=one.name, file=f"F{one.number}", took=str(one.took), said=one.message
        )
    for trouble in swept.troubles:
        log.error("the bank's folder", reason=trouble)
