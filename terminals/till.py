"""A counter's till for the chip's purse: a sale is a tap whose fare the clerk has typed.

It is the validator's dialogue to the letter, so that a sale that was torn comes home as a ride does: the debit is
remembered before the card is asked for it, and the record is durable before the goods go over the counter.
"""

from datetime import date

from card.chip.files import HIGHEST_HOLDER_CLASS
from clearing.wire.batch import Ride
from clearing.wire.tariff import WHOLE_BP, Band, Tariff
from terminals.counter import MOST_FEN
from terminals.counter_texts import CounterText
from terminals.display import REFUSED
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox
from terminals.outcome import Outcome
from terminals.pos_texts import yuan
from terminals.reader import Sam
from terminals.standing import RideFacts
from terminals.trip import Identity
from terminals.validator import Validator

AS_TYPED = Tariff(
    name="prices as typed",
    version=0,
    valid_from=date.min,
    valid_to=None,
    linked_discount_fen=0,
    bands={Ride.PURCHASE: (Band(None, WHOLE_BP),)},
    class_pay_bp=dict.fromkeys(range(HIGHEST_HOLDER_CLASS + 1)),
    max_fare_fen={Ride.PURCHASE: MOST_FEN},
)
"""What a till knows of prices: nothing is reduced, for no class of holders."""


def till(terminal: str, sam: Sam, outbox: Outbox, hotlist: Hotlist) -> Validator:
    """A till with its SAM and its durable outbox; its records go into batches like any terminal's."""
    return Validator(Identity(terminal), sam, outbox, AS_TYPED, hotlist)


def sale(amount_fen: int) -> RideFacts:
    """What is to be sold, for whatever the clerk has typed above nothing."""
    if amount_fen <= 0:
        raise ValueError(f"amount is {amount_fen} fen; sell for at least one fen")
    return RideFacts(Ride.PURCHASE, amount_fen, full_fare=True)


def shown_sale(outcome: Outcome) -> CounterText:
    """What clerk and owner read of a sale, and of an earlier one that has come to light with it."""
    came = outcome.recovered
    earlier_zh, earlier_en = "", ""
    if came is not None and came is not outcome.record and came != outcome.record:
        paid = yuan(came.amount_fen)
        earlier_zh, earlier_en = f"（此前中断的消费{paid}元已入账）", f" (an earlier one of ¥{paid} was paid)"
    if outcome.refusal is not None:
        text = REFUSED[outcome.refusal]
        return CounterText(text.chinese + earlier_zh, text.english + earlier_en)
    assert outcome.record is not None, "what was sold has a record"
    paid, balance = yuan(outcome.record.amount_fen), yuan(outcome.balance_fen or 0)
    return CounterText(
        f"已消费{paid}元 余额{balance}元{earlier_zh}",
        f"Paid ¥{paid}. Balance ¥{balance}{earlier_en}",
        good=True,
    )
