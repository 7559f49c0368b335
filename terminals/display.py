"""What the rider sees and hears, in Chinese and English."""

from dataclasses import dataclass
from enum import StrEnum

from clearing.wire.batch import Ride
from clearing.wire.journey import Finding
from terminals.outcome import Outcome, Refusal
from terminals.pos_texts import yuan
from terminals.qr_validator import QrOutcome, QrRefusal


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
    Refusal.CLOCK_WRONG: Display("本机时钟异常，请联系工作人员", "Clock not right: ask the staff", Tone.NO),
    Refusal.TARIFF_NOT_IN_FORCE: Display(
        "本机暂停服务，请联系工作人员", "Out of service: ask the staff", Tone.NO
    ),
    Refusal.HOTLISTED: Display("此卡已挂失停用", "Card blocked: see the customer centre", Tone.NO),
    Refusal.NOT_VALID: Display("卡不在有效期内", "Card not valid today: see the customer centre", Tone.NO),
    Refusal.ISSUER_UNKNOWN: Display("非本地卡，暂不受理", "Card of another city: not accepted here", Tone.NO),
    Refusal.ALREADY_INSIDE: Display("此卡已进站", "This card has already entered", Tone.NO),
    Refusal.CLASS_UNKNOWN: Display("卡种不受理", "Card type not accepted here", Tone.NO),
    Refusal.FARE_OUT_OF_BOUNDS: Display("票价异常，请联系工作人员", "Fare not valid: ask the staff", Tone.NO),
    Refusal.INSUFFICIENT: Display("余额不足，请充值", "Balance too low: please top up", Tone.NO),
    Refusal.SAM_UNAVAILABLE: Display(
        "本机暂停服务，请联系工作人员", "Out of service: ask the staff", Tone.NO
    ),
    Refusal.KEY_UNKNOWN: Display("此卡不受理", "Card not accepted here", Tone.NO),
    Refusal.CARD_REFUSED: Display("交易未成功，请重刷", "Not paid: please tap again", Tone.AGAIN),
    Refusal.COUNTER_REUSED: Display("卡片异常，请联系工作人员", "Card not valid: ask the staff", Tone.NO),
    Refusal.TORN: Display("请重刷，勿移动卡片", "Tap again and hold the card still", Tone.AGAIN),
    Refusal.MAC_WRONG: Display("交易无效，请联系工作人员", "Payment not valid: ask the staff", Tone.NO),
    Refusal.UNPROVEN: Display(
        "交易待确认，请联系工作人员", "Payment to be confirmed: ask the staff", Tone.NO
    ),
}


CODE_REFUSED: dict[QrRefusal, Display] = {
    QrRefusal.UNREADABLE: Display("二维码无法识别", "Code not recognised", Tone.AGAIN),
    QrRefusal.OUTBOX_FULL: REFUSED[Refusal.OUTBOX_FULL],
    QrRefusal.CLOCK_WRONG: REFUSED[Refusal.CLOCK_WRONG],
    QrRefusal.TARIFF_NOT_IN_FORCE: REFUSED[Refusal.TARIFF_NOT_IN_FORCE],
    QrRefusal.ISSUER_KEY_UNKNOWN: Display("二维码不受理", "Code not accepted here", Tone.NO),
    QrRefusal.CERTIFICATE_FORGED: Display("二维码无效", "Code not valid", Tone.NO),
    QrRefusal.DEVICE_SIGNATURE_WRONG: Display("二维码无效", "Code not valid", Tone.NO),
    QrRefusal.NOT_YET_VALID: Display("请检查手机时间", "Check the time on your phone", Tone.NO),
    QrRefusal.CERTIFICATE_EXPIRED: Display("请联网更新乘车码", "Go online to renew your code", Tone.NO),
    QrRefusal.CODE_STALE: Display("请刷新二维码", "Refresh the code and try again", Tone.AGAIN),
    QrRefusal.HOLDER_LOCKED: Display("账户已停用", "Account blocked: see the customer centre", Tone.NO),
    QrRefusal.CLASS_UNKNOWN: REFUSED[Refusal.CLASS_UNKNOWN],
    QrRefusal.FARE_OUT_OF_BOUNDS: REFUSED[Refusal.FARE_OUT_OF_BOUNDS],
    QrRefusal.OVER_LIMIT: Display("超出乘车码限额", "Fare above the limit of this code", Tone.NO),
    QrRefusal.REPLAYED: Display("二维码已使用，请刷新", "Code already used: refresh it", Tone.AGAIN),
    QrRefusal.NUMBERS_EXHAUSTED: REFUSED[Refusal.OUTBOX_FULL],
}

FOUND: dict[Finding, tuple[str, str]] = {
    Finding.EXIT_MISSING: ("上次未出站，已补扣", "Last exit missing, charged now."),
    Finding.ENTRY_MISSING: ("无进站记录，按最高票价", "No entry on the card, highest fare."),
    Finding.OVERSTAYED: ("超时，按最高票价", "Stayed too long, highest fare."),
}
"""What a rider is told who pays for a journey of which one end is missing; other findings need no words."""


def shown(outcome: Outcome) -> Display:
    """What to show and sound for an outcome; amounts in yuan, as riders read them."""
    if outcome.refusal is not None:
        return REFUSED[outcome.refusal]
    record = outcome.record
    if record is None:
        raise ValueError("an open gate without a record: an outcome must have one or the other")
    tone = Tone.ONE if record.holder_class == 1 else Tone.TWO
    balance = "" if outcome.balance_fen is None else yuan(outcome.balance_fen)
    if record.ride is Ride.METRO_ENTRY and record.amount_fen == 0:
        return Display(f"请进站 余额{balance}元", f"Welcome. Balance ¥{balance}", tone)
    chinese, english = FOUND.get(outcome.finding, ("", ""))
    paid = yuan(record.amount_fen)
    return Display(
        f"{chinese} 扣款{paid}元 余额{balance}元".lstrip(),
        f"{english} Paid ¥{paid}. Balance ¥{balance}".lstrip(),
        tone,
    )


def shown_for_code(outcome: QrOutcome, holder_class: int = 1) -> Display:
    """What to show and sound for a code that was scanned."""
    if outcome.refusal is not None:
        return CODE_REFUSED[outcome.refusal]
    if outcome.record is None:
        raise ValueError("an open gate without a record: an outcome must have one or the other")
    tone, paid = (Tone.ONE if holder_class == 1 else Tone.TWO), yuan(outcome.record.amount_fen)
    if outcome.record.ride is Ride.METRO_ENTRY and outcome.record.amount_fen == 0:
        return Display("请进站", "Welcome", tone)
    return Display(f"扣款{paid}元", f"Paid ¥{paid}", tone)
