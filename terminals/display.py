"""What the rider sees and hears, in Chinese and English."""

from dataclasses import dataclass
from enum import StrEnum

from clearing.wire.batch import Ride
from terminals.outcome import Outcome, Refusal


class Tone(StrEnum):
    """The sound: one beep for a full fare, two for a concession, three low ones for no."""

    ONE = "one"
    TWO = "two"
    AGAIN = "again"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Display:
    """A line for the screen in both languages, and the tone."""

    chinese: str
    english: str
    tone: Tone


REFUSED: dict[Refusal, Display] = {
    Refusal.UNREADABLE: Display("无法识别，请换卡", "Card not recognised: use another card", Tone.NO),
    Refusal.OUTBOX_FULL: Display(
        "本机暂停服务，请使用其他设备", "Out of service: use another reader", Tone.NO
    ),
    Refusal.TARIFF_NOT_IN_FORCE: Display(
        "本机暂停服务，请联系工作人员", "Out of service: ask the staff", Tone.NO
    ),
    Refusal.HOTLISTED: Display("此卡已挂失停用", "Card blocked: see the customer centre", Tone.NO),
    Refusal.NOT_VALID: Display("卡不在有效期内", "Card not valid today: see the customer centre", Tone.NO),
    Refusal.CLASS_UNKNOWN: Display("卡种不受理", "Card type not accepted here", Tone.NO),
    Refusal.FARE_OUT_OF_BOUNDS: Display("票价异常，请联系工作人员", "Fare not valid: ask the staff", Tone.NO),
    Refusal.INSUFFICIENT: Display("余额不足，请充值", "Balance too low: please top up", Tone.NO),
    Refusal.SAM_UNAVAILABLE: Display(
        "本机暂停服务，请联系工作人员", "Out of service: ask the staff", Tone.NO
    ),
    Refusal.KEY_UNKNOWN: Display("此卡不受理", "Card not accepted here", Tone.NO),
    Refusal.CARD_REFUSED: Display("交易未成功，请重刷", "Not paid: please tap again", Tone.AGAIN),
    Refusal.TORN: Display("请重刷，勿移动卡片", "Tap again and hold the card still", Tone.AGAIN),
    Refusal.MAC_WRONG: Display("交易无效，请联系工作人员", "Payment not valid: ask the staff", Tone.NO),
    Refusal.UNPROVEN: Display(
        "交易待确认，请联系工作人员", "Payment to be confirmed: ask the staff", Tone.NO
    ),
}


def shown(outcome: Outcome) -> Display:
    """What to show and sound for an outcome; amounts in yuan, as riders read them."""
    if outcome.refusal is not None:
        return REFUSED[outcome.refusal]
    record = outcome.record
    if record is None:
        raise ValueError("an open gate without a record: an outcome must have one or the other")
    tone = Tone.ONE if record.holder_class == 1 else Tone.TWO
    balance = "" if outcome.balance_fen is None else _yuan(outcome.balance_fen)
    if record.ride is Ride.METRO_ENTRY:
        return Display(f"请进站 余额{balance}元", f"Welcome. Balance ¥{balance}", tone)
    paid = _yuan(record.amount_fen)
    return Display(f"扣款{paid}元 余额{balance}元", f"Paid ¥{paid}. Balance ¥{balance}", tone)


def _yuan(amount_fen: int) -> str:
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"
