"""Work that is done in rounds until somebody stops the program."""

from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.told_to_end import told_to_end
from ledger.day import DayOrderError

log: structlog.stdlib.BoundLogger = structlog.get_logger("onecard.rounds")


def run_rounds(one_round: Callable[[], None], every_s: float, what: str) -> None:
    """Round after round until SIGTERM or Ctrl-C; a round that the database or the calendar stops is made up for."""
    with told_to_end() as told:
        while not told.wait(every_s):
            try:
                one_round()
            except (SQLAlchemyError, DayOrderError) as error:
                log.error(f"a round of {what} was not finished", reason=str(error))
