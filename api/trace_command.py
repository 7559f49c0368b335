"""`onecard trace`: a tap, a ride on a code or a payment, followed to the bank's line that paid for it."""

import re
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from sqlalchemy import Connection

from api.bank_tables import told_table
from api.doors import Refused, archive, books, console
from ledger.db import reading
from settlement.bank.story import Told
from settlement.trace import Place, taps_of_card, trace_tap
from settlement.trace_online import rides_on_code, trace_payment, trace_ride

_PLACE: Final = re.compile(r"(qr:)?([0-9]{1,8}):([0-9]{1,9})")
_CODE: Final = re.compile(r"([0-9A-Fa-f]{16}):([0-9A-Fa-f]{16})")


def trace(
    whose: Annotated[
        str,
        typer.Argument(
            help="an operator, such as BUS-1, or a card's 20 digits; by itself a ride's code as SERIAL:NONCE, or "
            "the reference of a payment, a refund or a reversal"
        ),
    ],
    which: Annotated[
        str | None,
        typer.Argument(
            help="the operator's tap as SEQUENCE:POSITION, its ride on a code as qr:SEQUENCE:POSITION, or the "
            "card's counter"
        ),
    ] = None,
) -> None:
    """One tap, ride on a code or payment to the bank's line that paid for it, with every step between."""
    with books() as engine, reading(engine) as conn:
        told, others = _by_itself(conn, whose) if which is None else _of_somebody(conn, whose, which)
    console.print(told_table(told))
    if others:
        places = ", ".join(f"{operator} {sequence}:{position}" for operator, sequence, position in others)
        console.print(f"Presented as well: {places}", highlight=False)


def _by_itself(conn: Connection, name: str) -> tuple[list[Told], Sequence[Place]]:
    """What a ride's code or a payment's reference names."""
    if code := _CODE.fullmatch(name):
        found = rides_on_code(conn, *(part.lower() for part in code.groups()))
        if found:
            return trace_ride(conn, *found[0], archive()), found[1:]
    told = trace_payment(conn, name, archive())
    if not told:
        raise Refused(
            f"nothing is known as {name!r}; give a payment's reference or a ride's code as a statement has them, "
            "or an operator or a card and which of its taps"
        )
    return told, ()


def _of_somebody(conn: Connection, whose: str, which: str) -> tuple[list[Told], Sequence[Place]]:
    """What an operator's place or a card's counter names."""
    place = _PLACE.fullmatch(which)
    if len(whose) == 20 and whose.isdecimal():
        if not (which.isascii() and which.isdecimal() and len(which) <= 9):
            raise Refused(
                f"{which!r} is no counter of a card; give its number, as `onecard card {whose}` has it"
            )
        found = taps_of_card(conn, whose, int(which))
    elif place is None:
        raise Refused(
            f"{which!r} is no place of a tap; give SEQUENCE:POSITION, such as 1:0, or qr:1:0 of a ride on a code"
        )
    else:
        found = [(whose, int(place[2]), int(place[3]))]
    follow = trace_ride if place and place[1] else trace_tap
    told = follow(conn, *found[0], archive()) if found else []
    if not told:
        raise Refused(
            f"no tap {which} of {whose} was presented; `onecard card NUMBER` lists a card's taps, a statement an "
            "operator's"
        )
    return told, found[1:]
