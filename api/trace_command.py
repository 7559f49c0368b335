"""`onecard trace`: one tap followed to the bank's line that paid it."""

import re
from typing import Annotated, Final

import typer

from api.bank_tables import told_table
from api.doors import Refused, archive, books, console
from ledger.db import reading
from settlement.trace import taps_of_card, trace_tap

_PLACE: Final = re.compile(r"([0-9]{1,8}):([0-9]{1,9})")


def trace(
    whose: Annotated[str, typer.Argument(help="an operator, such as BUS-1, or a card's 20 digits")],
    which: Annotated[
        str, typer.Argument(help="the operator's tap as SEQUENCE:POSITION, or the card's counter")
    ],
) -> None:
    """One tap from its file to the bank's line that paid it, with every step between."""
    of_card = len(whose) == 20 and whose.isdecimal()
    place = _PLACE.fullmatch(which)
    if of_card and not (which.isascii() and which.isdecimal() and len(which) <= 9):
        raise Refused(f"{which!r} is no counter of a card; give its number, as `onecard card {whose}` has it")
    if not of_card and place is None:
        raise Refused(f"{which!r} is no place of a tap; give SEQUENCE:POSITION, such as 1:0")
    with books() as engine, reading(engine) as conn:
        if place is not None and not of_card:
            found = [(whose, int(place[1]), int(place[2]))]
        else:
            found = taps_of_card(conn, whose, int(which))
        told = trace_tap(conn, *found[0], archive()) if found else []
    if not told:
        raise Refused(f"no tap {which} of {whose} was presented; `onecard card NUMBER` lists a card's taps")
    console.print(told_table(told))
    if len(found) > 1:
        others = ", ".join(f"{operator} {sequence}:{position}" for operator, sequence, position in found[1:])
        console.print(f"Presented under this counter as well: {others}", highlight=False)
