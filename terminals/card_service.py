"""What a counter asks of the back office of cards, in values: issue, loss, blocking, replacement, return.

The office may be in this process or across the network: whoever answers, the values are the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol

from terminals.counter_texts import CounterText
from terminals.pos_texts import yuan


class Service(StrEnum):
    """What is done to a card beside loading it."""

    ISSUE = "issue"
    ACTIVATE = "activate"
    LOSE = "lose"
    FIND = "find"
    BLOCK = "block"
    UNBLOCK = "unblock"
    REPLACE = "replace"
    MOVE_BALANCE = "move_balance"
    HAND_IN = "hand_in"
    PAY_OUT = "pay_out"


@dataclass(frozen=True, slots=True)
class ServiceAsked:
    """What the clerk wants done to a card of 20 digits, and why.

    `amount_fen` is the deposit of ISSUE, without which the card is not put into use, and what HAND_IN keeps for
    wear; `new_card` is the one that REPLACE puts in the card's place.
    """

    service: Service
    card_no: str
    clerk: str
    why: str
    amount_fen: int = 0
    new_card: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """It is done. `amount_fen` was taken, paid or moved; `cards` were locked or found; `due_on` is a balance's."""

    service: Service
    card_no: str
    amount_fen: int = 0
    cards: int = 0
    due_on: date | None = None


@dataclass(frozen=True, slots=True)
class NotServed:
    """Nothing was done: the office's reason by its name, and what stands in the way with the remedy."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CardStanding:
    """Where a card stands with the office, empty where nobody knows it, and whether it is on the hotlist."""

    state: str
    stopped: bool


class CardOffice(Protocol):
    """The back office of cards. Both raise terminals.loads.OfficeGone where it does not answer."""

    def standing(self, card_no: str) -> CardStanding:
        """How a card stands now."""
        ...

    def serve(self, asked: ServiceAsked) -> Served | NotServed:
        """Do it, once: asked again because the answer was lost, it is answered as the first time."""
        ...


@dataclass(frozen=True, slots=True)
class StoppedCards:
    """The hotlist as the office has it at this moment: each card is asked about when it is on the reader."""

    office: CardOffice

    def __contains__(self, card_no: object) -> bool:
        """Whether the card is stopped. Raises OfficeGone."""
        return isinstance(card_no, str) and self.office.standing(card_no).stopped


_SAID: Mapping[Service, CounterText] = {
    Service.ISSUE: CounterText("收押金{yuan}元，已启用", "Issued for a deposit of ¥{yuan}, in use"),
    Service.ACTIVATE: CounterText("已启用", "In use"),
    Service.LOSE: CounterText("已锁定{cards}张卡", "Locked: {cards} cards"),
    Service.FIND: CounterText("已恢复{cards}张卡", "In use again: {cards} cards"),
    Service.BLOCK: CounterText("已停用并列入黑名单", "Blocked and on the hotlist"),
    Service.UNBLOCK: CounterText("已解锁", "Unblocked"),
    Service.REPLACE: CounterText(
        "余额可于{due_on}起转移", "Replaced; the balance can be moved from {due_on} on"
    ),
    Service.MOVE_BALANCE: CounterText("{yuan}元待补登", "¥{yuan} wait to be written to the new card"),
    Service.HAND_IN: CounterText("已收卡，押金已退", "Handed in; the deposit is paid back"),
    Service.PAY_OUT: CounterText("退余额{yuan}元，已销卡", "¥{yuan} paid out; the card is closed"),
}


def served_text(served: Served) -> CounterText:
    """What clerk and owner read of a service that was done."""
    said = _SAID[served.service]
    if served.service is Service.ISSUE and not served.amount_fen:
        said = CounterText("已售出，未启用", "Issued, not activated")
    facts = {"yuan": yuan(served.amount_fen), "cards": served.cards, "due_on": served.due_on}
    return CounterText(said.chinese.format(**facts), said.english.format(**facts), good=True)
