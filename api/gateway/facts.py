"""What is looked up about a request before it is booked: its terminal, its card, whose card it is."""

from dataclasses import dataclass

from sqlalchemy import Connection

from api.gateway.codes import Code
from api.gateway.requests import Request, Task
from card.holders import holder_of
from card.loss import is_locked
from card.registry import find
from ledger.balances import balance


@dataclass(frozen=True, slots=True)
class Citizen:
    """Who pays: the holder that the card is tied to."""

    holder: str

    @property
    def wallet(self) -> str:
        """The account that a counter takes money from."""
        return f"wallet:{self.holder}"


def citizen_of(conn: Connection, request: Request) -> Citizen | Code:
    """The holder of the request's card, or why nobody pays with it."""
    card = find(conn, request.card_no)
    holder = None if card is None else holder_of(conn, request.card_no)
    if card is None or holder is None:
        return Code.CARD_UNKNOWN
    if card.status != "active" or is_locked(conn, holder):
        return Code.CARD_LOST
    return Citizen(holder)


def look_up(conn: Connection, request: Request) -> Citizen | Code | int | None:
    """Who pays; for a balance, what is in the wallet in fen; or why the card is not taken.

    None for a reversal or refund: it is about a payment that was made, whoever has the card by now.
    """
    if request.task in (Task.REVERSAL, Task.REFUND):
        return None
    found = citizen_of(conn, request)
    if request.task is Task.BALANCE and isinstance(found, Citizen):
        return balance(conn, found.wallet).balance_fen
    return found
