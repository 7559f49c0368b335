"""What the online doors must answer, said again slowly and obviously: dictionaries, one request at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from clearing.online.load import LoadBooked, LoadRefused
from clearing.online.payment import Approved, Declined, PaymentOrder, pay
from clearing.online.refund import Refund, Refunded, RefundRefused, refund
from clearing.online.reversal import Reversal, ReversalRefused, Reversed, reverse
from clearing.online.topup import TopUp, TopUpAccepted, TopUpRefused, confirm_topup, order_topup
from clearing.online.wallet_load import LoadReturn, WalletLoad, order_wallet_loads, return_loads
from tests.support.clearing_day import DAY, at


@dataclass(frozen=True)
class Confirmation:
    """A channel's word on a top-up."""

    reference: str
    channel_reference: str
    amount_fen: int


Request = PaymentOrder | Reversal | Refund | TopUp | Confirmation | WalletLoad | LoadReturn


def ask(conn: Connection, requests: list[Request]) -> list[str]:
    """The real answers to requests of one type, given in one call where the door takes several."""
    doors: dict[type, Callable[[Any], list[Any]]] = {
        PaymentOrder: lambda asked: pay(conn, asked, at=at(9)),
        Reversal: lambda asked: reverse(conn, asked, at=at(9)),
        Refund: lambda asked: refund(conn, asked, at=at(9)),
        WalletLoad: lambda asked: order_wallet_loads(conn, asked, at=at(9)),
        LoadReturn: lambda asked: return_loads(conn, asked, at=at(9)),
        TopUp: lambda asked: [order_topup(conn, one, at=at(9)) for one in asked],
        Confirmation: lambda asked: [_confirm(conn, one) for one in asked],
    }
    return [_said(answer) for answer in doors[type(requests[0])](requests)]


def _confirm(conn: Connection, word: Confirmation) -> TopUpAccepted | TopUpRefused:
    return confirm_topup(
        conn, word.reference, channel_id="PAY", channel_reference=word.channel_reference,
        amount_fen=word.amount_fen, business_date=DAY, event_at=at(9), at=at(9),
    )  # fmt: skip


def _said(answer: object) -> str:
    match answer:
        case Approved() | Reversed() | Refunded() | TopUpAccepted() | LoadBooked():
            return "done" if answer.first_time else "done before"
        case Declined() | ReversalRefused() | RefundRefused() | TopUpRefused() | LoadRefused():
            return answer.reason.value
    raise TypeError(f"{answer!r} is no answer of a door")


@dataclass
class SlowDoors:
    """All that was ever accepted, and what every account has moved, in fen."""

    start_fen: int
    paid: dict[str, PaymentOrder] = field(default_factory=dict)
    reversals: dict[str, Reversal] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    topups: dict[str, TopUp] = field(default_factory=dict)
    confirmed: dict[str, Confirmation] = field(default_factory=dict)
    loads: dict[str, WalletLoad] = field(default_factory=dict)
    returns: set[str] = field(default_factory=set)

    def ask(self, request: Request) -> str:
        """The answer to one request, after which it is accepted or forgotten."""
        match request:
            case PaymentOrder():
                return self._pay(request)
            case Reversal():
                return self._reverse(request)
            case Refund():
                return self._refund(request)
            case TopUp():
                if request.reference in self.topups:
                    return "done before" if self.topups[request.reference] == request else "reference_taken"
                self.topups[request.reference] = request
                return "done"
            case Confirmation():
                return self._confirm(request)
            case WalletLoad():
                return self._load(request)
            case LoadReturn():
                if request.reference not in self.loads:
                    return "load_unknown"
                again = request.reference in self.returns
                self.returns.add(request.reference)
                return "done before" if again else "done"

    def moved_fen(self) -> dict[str, int]:
        """What each account holds more, or less, than at the start, from everything that stands."""
        moved: dict[str, int] = {}

        def move(code: str, amount_fen: int) -> None:
            moved[code] = moved.get(code, 0) + amount_fen

        for order in self.paid.values():
            if order.reference in {reversal.original for reversal in self.reversals.values()}:
                continue
            for leg, kept_fen in zip(order.legs, self._kept_fen(order), strict=True):
                move(leg.account, kept_fen if leg.account.startswith("fund:") else -kept_fen)
                move(f"clearing:{order.merchant}", kept_fen)
        for reference in self.confirmed:
            move("agent:PAY", self.topups[reference].amount_fen)
            move(f"wallet:{self.topups[reference].holder}", self.topups[reference].amount_fen)
        for load in self.loads.values():
            if load.reference not in self.returns:
                move(f"wallet:{load.holder}", -load.amount_fen)
                move(f"load:{load.card_no}", load.amount_fen)
        return {code: amount_fen for code, amount_fen in sorted(moved.items()) if amount_fen}

    def refunded_fen(self, original: str) -> int:
        """What refunds of a payment sum to."""
        return sum(one.amount_fen for one in self.refunds.values() if one.original == original)

    def _kept_fen(self, order: PaymentOrder) -> list[int]:
        """What of each leg has not gone back: fen after fen is taken from the last leg that has one left."""
        kept = [leg.amount_fen for leg in order.legs]
        for _ in range(self.refunded_fen(order.reference)):
            last = max(place for place, left in enumerate(kept) if left)
            kept[last] -= 1
        return kept

    def _left_fen(self, account: str) -> int:
        return self.start_fen + self.moved_fen().get(account, 0)

    def _reversed(self, reference: str) -> bool:
        return any(reversal.original == reference for reversal in self.reversals.values())

    def _pay(self, order: PaymentOrder) -> str:
        known = self.paid.get(order.reference)
        if known is not None and known == order:
            return "reversed_before" if self._reversed(order.reference) else "done before"
        if known is not None:
            return "reference_taken"
        if self._reversed(order.reference):
            return "reversed_before"
        for account in {leg.account for leg in order.legs if not leg.account.startswith("fund:")}:
            asked_fen = sum(leg.amount_fen for leg in order.legs if leg.account == account)
            if self._left_fen(account) < asked_fen:
                return "insufficient"
        self.paid[order.reference] = order
        return "done"

    def _reverse(self, reversal: Reversal) -> str:
        if reversal.reference in self.reversals:
            same = self.reversals[reversal.reference] == reversal
            return "done before" if same else "reference_taken"
        if self._reversed(reversal.original):
            return "already_reversed"
        if self.refunded_fen(reversal.original):
            return "refunded_before"
        self.reversals[reversal.reference] = reversal
        return "done"

    def _refund(self, asked: Refund) -> str:
        if asked.reference in self.refunds:
            return "done before" if self.refunds[asked.reference] == asked else "reference_taken"
        if asked.original not in self.paid:
            return "payment_unknown"
        if self._reversed(asked.original):
            return "payment_reversed"
        paid_fen = sum(leg.amount_fen for leg in self.paid[asked.original].legs)
        if asked.amount_fen > paid_fen - self.refunded_fen(asked.original):
            return "above_payment"
        self.refunds[asked.reference] = asked
        return "done"

    def _confirm(self, word: Confirmation) -> str:
        if word.reference not in self.topups:
            return "topup_unknown"
        if self.topups[word.reference].amount_fen != word.amount_fen:
            return "amount_differs"
        if word.reference in self.confirmed:
            return "done before" if self.confirmed[word.reference] == word else "confirmed_otherwise"
        if word.channel_reference in {one.channel_reference for one in self.confirmed.values()}:
            return "channel_reference_taken"
        self.confirmed[word.reference] = word
        return "done"

    def _load(self, load: WalletLoad) -> str:
        if load.reference in self.loads:
            return "done before" if self.loads[load.reference] == load else "reference_taken"
        if self._left_fen(f"wallet:{load.holder}") < load.amount_fen:
            return "insufficient"
        self.loads[load.reference] = load
        return "done"
