"""What the cashier and the citizen read on the counter's terminal, in Chinese and English."""

from collections.abc import Mapping
from dataclasses import dataclass

from terminals.pos import PosOutcome, Result
from terminals.pos_journal import Kind


@dataclass(frozen=True, slots=True)
class PosText:
    """A line in both languages; `good` where what was asked for is done or kept."""

    chinese: str
    english: str
    good: bool = False


DECLINED: Mapping[str, PosText] = {
    "03": PosText("商户未登记", "Merchant not registered: call the card centre"),
    "12": PosText("日期或交易无效，请核对终端时间", "Not valid: check the terminal's date and time"),
    "13": PosText("金额无效", "Amount not valid"),
    "14": PosText("此卡未绑定，不能使用钱包", "Card not tied to a wallet: use another card"),
    "21": PosText("交易已冲正，请重新收款", "Reversed before: charge again"),
    "25": PosText("原交易不存在", "Original purchase unknown"),
    "30": PosText("报文格式错误，请联系客服", "Message not understood: call the card centre"),
    "40": PosText("不支持此交易", "Not supported here"),
    "41": PosText("此卡已挂失", "Card reported lost: see the customer centre"),
    "51": PosText("余额不足，请充值", "Balance too low: please top up"),
    "61": PosText("超过可退金额", "More than can be refunded"),
    "94": PosText("流水号重复，请重新收款", "Trace number used before: charge again"),
}
"""By field 39."""

OTHERS: Mapping[Result, PosText] = {
    Result.NOT_PAID: PosText("未收到应答，本笔未扣款，请重试", "No answer: not paid, try again"),
    Result.HOST_AWAY: PosText("网络故障，请稍后再试", "No connection: try again later"),
    Result.KEPT: PosText("已保存，联机后上送", "Kept: sent when the host answers", good=True),
}


def shown(outcome: PosOutcome) -> PosText:
    """What to show for an outcome; amounts in yuan."""
    if outcome.result is Result.DECLINED:
        fallback = PosText(f"交易失败 {outcome.code}", f"Declined, code {outcome.code}")
        return DECLINED.get(outcome.code, fallback)
    if outcome.result is not Result.APPROVED:
        return OTHERS[outcome.result]
    if outcome.ticket is None:
        balance = yuan(outcome.balance_fen or 0)
        return PosText(f"余额{balance}元", f"Balance ¥{balance}", good=True)
    amount, number = yuan(outcome.ticket.amount_fen), outcome.ticket.number
    if outcome.ticket.kind is Kind.REFUND:
        return PosText(f"退款{amount}元 凭证{number}", f"Refunded ¥{amount}, ticket {number}", good=True)
    return PosText(f"已付{amount}元 凭证{number}", f"Paid ¥{amount}, ticket {number}", good=True)


def yuan(amount_fen: int) -> str:
    """Fen as yuan with two decimals."""
    sign = "-" if amount_fen < 0 else ""
    return f"{sign}{abs(amount_fen) // 100}.{abs(amount_fen) % 100:02d}"
