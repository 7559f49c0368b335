"""A card without a name: whoever holds it sees what is on it by its number, and nothing of where it was used.

Numbers are printed on cards and follow one another, so that a number proves nothing. Of a card that is tied
to a holder nothing is shown here, and of any card no place and no time.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from api.pages.page import render
from api.pages.visitor import Doors
from card.holders import holder_of
from card.registry import find
from clearing.holder.holdings import Held, purse_waiting
from ledger.balances import balance
from ledger.db import reading

router = APIRouter()
DIGITS = 20


@router.get("/card", response_class=HTMLResponse)
def card(request: Request, doors: Doors, card: Annotated[str, Query(max_length=64)] = "") -> HTMLResponse:
    """Ask for a card number, or say what is wrong with the one given; a good one shows its balance."""
    number = "".join(card.split())
    if not number:
        return render(request, "card.html", card="", refused="", purse=None)
    if len(number) != DIGITS or not (number.isascii() and number.isdecimal()):
        return render(request, "card.html", 404, card=card, refused="card_malformed", purse=None)
    with reading(doors.engine) as conn:
        record = find(conn, number)
        if record is None:
            return render(request, "card.html", 404, card=card, refused="card_unknown", purse=None)
        if holder_of(conn, number) is not None:
            return render(request, "card.html", 403, card=card, refused="card_named", purse=None)
        purse = Held(
            number, balance(conn, f"purse:{number}").balance_fen, purse_waiting(conn, number), record.status
        )
    return render(request, "card.html", card=card, refused="", purse=purse)
