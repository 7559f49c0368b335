"""What the clerk and the card's owner read at a load counter, in Chinese and English."""

from collections.abc import Mapping

from clearing.wire.bcd import moment_of
from terminals.counter import LoadOutcome, LoadRefusal
from terminals.loads import Waiting
from terminals.pos_texts import PosText, yuan

CounterText = PosText
"""A line in both languages, as at the terminal for purchases; `good` where what was asked for is done."""


REFUSED: Mapping[LoadRefusal, CounterText] = {
    LoadRefusal.UNREADABLE: CounterText("无法识别此卡，请换卡或重放", "Card not readable: put it on again"),
    LoadRefusal.HOTLISTED: CounterText("此卡已列入黑名单，请收回处理", "Card is on the hotlist: keep it"),
    LoadRefusal.NOT_VALID: CounterText("卡不在有效期内，请换卡", "Card not valid today: replace it"),
    LoadRefusal.AMOUNT: CounterText(
        "金额无效，单笔须大于0且不超过上限", "Amount not possible: above 0, below the limit"
    ),
    LoadRefusal.NOTHING_WAITS: CounterText("没有待补登的充值", "No such load waits for this card"),
    LoadRefusal.ALREADY_MADE: CounterText(
        "该笔充值已在卡内，现已入账", "That load is on the card already; it is booked"
    ),
    LoadRefusal.BALANCE_TOO_HIGH: CounterText(
        "充值后余额超过上限", "Balance would exceed the limit: load less"
    ),
    LoadRefusal.UNFINISHED: CounterText(
        "有未完成的充值，请先补登或退回", "A load is unfinished: complete or return it first"
    ),
    LoadRefusal.RETURNED: CounterText("原充值已退回，请重新充值", "That load was returned: load anew"),
    LoadRefusal.NOT_AUTHORISED: CounterText("充值未获授权，未写卡", "Not authorised; nothing was written"),
    LoadRefusal.OFFICE_GONE: CounterText(
        "后台无应答，款项如已收取可在待补登中找到",
        "No answer from the office: look at waiting loads before trying again",
    ),
    LoadRefusal.CARD_REFUSED: CounterText("卡片拒绝写入", "The card refused"),
    LoadRefusal.TORN: CounterText("卡片移动过早，请重放此卡", "Card moved too soon: put it on again"),
    LoadRefusal.UNPROVED: CounterText(
        "卡片凭证有误，款项挂账待查", "The card's proof is wrong: the money waits for the back office"
    ),
}


OFFICE_GONE = CounterText(
    "后台无应答，请稍后重做同一操作；同一操作只会办理一次",
    "No answer from the office: do the same again later, it is done once",
)
"""Said of a service to a card: whether it was done is not known, and asking again does no harm."""


def shown(outcome: LoadOutcome) -> CounterText:
    """What to show for the end of a load; amounts in yuan."""
    if outcome.refusal is not None:
        text = REFUSED[outcome.refusal]
        detail = f" ({outcome.detail})" if outcome.detail else ""
        return CounterText(text.chinese, text.english + detail, text.good)
    if outcome.receipt is None:
        return CounterText("已退回付款人", "Given back to who paid", good=True)
    amount = yuan(outcome.receipt.request.amount_fen)
    balance = yuan(outcome.receipt.new_balance_fen)
    return CounterText(
        f"已充值{amount}元 余额{balance}元", f"Loaded ¥{amount}. Balance ¥{balance}", good=True
    )


def waiting_line(one: Waiting) -> CounterText:
    """A load that waits, as a line of a list."""
    when = f"{moment_of(one.ordered_at):%Y-%m-%d %H:%M}"
    tried_zh = f"已尝试{one.attempts}次" if one.attempts else "未写过卡"
    tried = f"tried {one.attempts}×" if one.attempts else "never tried"
    return CounterText(
        f"{yuan(one.amount_fen)}元 {when} {tried_zh}", f"¥{yuan(one.amount_fen)} of {when}, {tried}"
    )
