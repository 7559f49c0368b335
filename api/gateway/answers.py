"""What the gateway says: the fields of an answer to a message, and to a request that was booked."""

from collections.abc import Mapping
from datetime import datetime

from api.gateway.codes import Code
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.iso8583 import Message

ECHOED = (3, 4, 11, 12, 13, 41, 42, 49)
"""Fields that an answer repeats. The card number is not one: the terminal has it, and nobody else needs it."""
CURRENT_ACCOUNT_BALANCE = "1002156"
"""Field 54: account of no particular type, balance available, currency CNY."""


def answer_to(message: Message, code: Code, **more: str) -> Message:
    """The answer to a message, its fields repeated; `more` are further ones, such as `f54="…"`."""
    fields = {number: text for number in ECHOED if (text := message.get(number))}
    fields |= {int(name.removeprefix("f")): text for name, text in more.items()}
    return Message(answering(message.mti), fields | {39: code.value})


def answering(mti: str) -> str:
    """The type of the answer: 0210 to 0200, 0410 to 0400."""
    return f"{mti[:2]}{int(mti[2]) + 1}{mti[3]}"


def balance_field(balance_fen: int) -> str:
    """Field 54: the balance with its sign, C where it is the citizen's."""
    sign = "C" if balance_fen >= 0 else "D"
    return f"{CURRENT_ACCOUNT_BALANCE}{sign}{abs(balance_fen):012d}"


def booking_fields(number: int, at: datetime) -> Mapping[str, str]:
    """Fields 37 and 38 of what was booked: our own number for it, and its approval code."""
    local = at.astimezone(CITY_ZONE)
    retrieval = f"{local.year % 10}{local:%j}{number % 10**8:08d}"
    return {"f37": retrieval, "f38": f"{number % 10**6:06d}"}
