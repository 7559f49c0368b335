"""What a counter can do, and what the clerk has to say for each: the fields of its form, with their checks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from terminals.card_service import Service
from terminals.counter_texts import CounterText

_YUAN = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,2}))?")


class Action(StrEnum):
    """What a clerk can have done at the counter itself. READ, PRINT, COMPLETE and GIVE_BACK have no form."""

    READ = "read"
    PRINT = "print"
    LOAD = "load"
    COMPLETE = "complete"
    GIVE_BACK = "give_back"
    PURCHASE = "purchase"
    REFUND = "refund"
    SELL = "sell"


Errand = Action | Service
"""Whatever a clerk can have done, at the counter or by the office of cards."""

NAMES: Mapping[Errand, CounterText] = {
    Action.READ: CounterText("读卡", "Read the card"),
    Action.PRINT: CounterText("打印凭条", "Print the receipt"),
    Action.LOAD: CounterText("充值", "Load"),
    Action.COMPLETE: CounterText("补登", "Write the waiting load"),
    Action.GIVE_BACK: CounterText("退回未写卡充值", "Return the waiting load"),
    Action.PURCHASE: CounterText("消费", "Purchase"),
    Action.REFUND: CounterText("退货", "Refund"),
    Action.SELL: CounterText("从卡上消费", "Sell from the card's purse"),
    Service.ISSUE: CounterText("售卡", "Issue a card"),
    Service.ACTIVATE: CounterText("启用", "Activate"),
    Service.LOSE: CounterText("挂失", "Report lost"),
    Service.FIND: CounterText("解挂", "Lift a loss"),
    Service.BLOCK: CounterText("停用", "Block"),
    Service.UNBLOCK: CounterText("解锁", "Unblock"),
    Service.REPLACE: CounterText("补换卡", "Replace"),
    Service.MOVE_BALANCE: CounterText("余额转移", "Move an old card's balance"),
    Service.HAND_IN: CounterText("退卡", "Hand in"),
    Service.PAY_OUT: CounterText("退余额", "Pay out a card handed in"),
}


class Sort(StrEnum):
    """What may be typed into a field."""

    YUAN = "yuan"
    YUAN_OR_NOTHING = "yuan_or_nothing"
    CARD = "card"
    NUMBER = "number"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that the clerk types."""

    sort: Sort
    label: CounterText

    @property
    def is_amount(self) -> bool:
        """Whether it is an amount in yuan."""
        return self.sort in (Sort.YUAN, Sort.YUAN_OR_NOTHING)

    def flaw(self, text: str) -> CounterText | None:
        """What is wrong with what was typed, and the remedy; None where it will do."""
        match self.sort:
            case Sort.YUAN | Sort.YUAN_OR_NOTHING:
                fen = typed_fen(text)
                least_fen = 1 if self.sort is Sort.YUAN else 0
                if fen is None or fen < least_fen:
                    return CounterText(
                        f"金额“{text}”有误，请输入如 50 或 12.50", f"Amount '{text}': type 50 or 12.50"
                    )
            case Sort.CARD:
                if not re.fullmatch(r"[0-9]{20}", text):
                    return CounterText(
                        f"卡号应为20位，现为{len(text)}位", f"A card number has 20 digits, not {len(text)}"
                    )
            case Sort.NUMBER:
                if not re.fullmatch(r"[0-9]{1,9}", text):
                    return CounterText(f"“{text}”不是编号", f"'{text}' is no number: look at the receipt")
            case Sort.WORDS:
                if not text:
                    return CounterText("请填写原因", "Say why, in a few words")
        return None


_AMOUNT = Field(Sort.YUAN, CounterText("金额（元）", "Amount in yuan"))
_WHY = Field(Sort.WORDS, CounterText("原因", "Why"))
_CARD = Field(Sort.CARD, CounterText("卡号", "Card number"))
_NEW_CARD = Field(Sort.CARD, CounterText("新卡卡号", "The new card's number"))
_OLD_CARD = Field(Sort.CARD, CounterText("旧卡卡号", "The old card's number"))
_TICKET = Field(Sort.NUMBER, CounterText("原凭证号", "Ticket of the purchase"))
_DEPOSIT = Field(
    Sort.YUAN_OR_NOTHING, CounterText("押金（元，补换卡填0）", "Deposit in yuan, 0 for a replacement")
)
_WEAR = Field(Sort.YUAN_OR_NOTHING, CounterText("折旧扣款（元）", "Kept for wear, in yuan"))

FORMS: Mapping[Errand, tuple[Field, ...]] = {
    Action.READ: (),
    Action.PRINT: (),
    Action.LOAD: (_AMOUNT,),
    Action.COMPLETE: (),
    Action.GIVE_BACK: (),
    Action.PURCHASE: (_AMOUNT,),
    Action.REFUND: (_TICKET, _AMOUNT),
    Action.SELL: (_AMOUNT,),
    Service.ISSUE: (_CARD, _DEPOSIT),
    Service.ACTIVATE: (),
    Service.LOSE: (_CARD,),
    Service.FIND: (_CARD,),
    Service.BLOCK: (_WHY,),
    Service.UNBLOCK: (_WHY,),
    Service.REPLACE: (_OLD_CARD, _NEW_CARD, _WHY),
    Service.MOVE_BALANCE: (_OLD_CARD,),
    Service.HAND_IN: (_WEAR, _WHY),
    Service.PAY_OUT: (_CARD,),
}


def typed_fen(text: str) -> int | None:
    """Yuan as a person types them, in fen; None for what is no amount."""
    match = _YUAN.fullmatch(text)
    if match is None:
        return None
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
