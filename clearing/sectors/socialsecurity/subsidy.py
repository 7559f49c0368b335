"""Paying from the subsidy pocket: only where the merchant's kind allows it, and there before the wallet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from clearing.online.parties import MERCHANT, open_codes
from clearing.online.payment import Approved, Declined, Leg, PaymentOrder, flaw, pay
from clearing.online.payment_record import payments_by_reference
from clearing.sectors.socialsecurity.pockets import SUBSIDY, takers
from ledger.balances import balance


class SubsidyRefusal(StrEnum):
    """Why the subsidy pocket does not pay."""

    MERCHANT_NOT_ALLOWED = "merchant_not_allowed"


@dataclass(frozen=True, slots=True)
class SubsidyRefused:
    """Nothing was paid: `account` is the subsidy pocket, the merchant is of no kind that may take it."""

    reference: str
    reason: SubsidyRefusal
    account: str
    message: str


def legs_for(conn: Connection, holder: str, merchant: str, amount_fen: int) -> tuple[Leg, ...]:
    """Who pays a purchase: the subsidy pocket as far as it goes, where it may be spent, then the wallet."""
    pocket, wallet = f"{SUBSIDY}{holder}", f"wallet:{holder}"
    from_pocket_fen = 0
    if takers(conn, [merchant]) and open_codes(conn, [pocket]):
        from_pocket_fen = min(balance(conn, pocket).balance_fen, amount_fen)
    legs = (Leg(pocket, from_pocket_fen), Leg(wallet, amount_fen - from_pocket_fen))
    return tuple(leg for leg in legs if leg.amount_fen > 0) or (Leg(wallet, amount_fen),)


def pay_with_subsidy(
    conn: Connection, orders: Sequence[PaymentOrder], *, at: datetime
) -> list[Approved | Declined | SubsidyRefused]:
    """Pay as `clearing.online.payment.pay` does, save orders whose subsidy leg may not be spent there.

    An order that was paid before the table forbade it is answered as before.
    """
    refused = forbidden(conn, orders)
    known = payments_by_reference(conn, [orders[position].reference for position in sorted(refused)])
    refused = {position for position in refused if orders[position].reference not in known}
    allowed = [order for position, order in enumerate(orders) if position not in refused]
    answers = iter(pay(conn, allowed, at=at) if allowed else [])
    return [
        _refusal(order) if position in refused else next(answers) for position, order in enumerate(orders)
    ]


def forbidden(conn: Connection, orders: Sequence[PaymentOrder]) -> set[int]:
    """The positions of those orders that would spend a subsidy pocket where it may not be spent.

    Orders that are impossible in themselves are left to the payment, which says so.
    """
    asking = {
        position: order.merchant
        for position, order in enumerate(orders)
        if flaw(order) is None
        and MERCHANT.fullmatch(order.merchant)
        and any(leg.account.startswith(SUBSIDY) for leg in order.legs)
    }
    allowed = takers(conn, list(asking.values())) if asking else frozenset()
    return {position for position, merchant in asking.items() if merchant not in allowed}


def _refusal(order: PaymentOrder) -> SubsidyRefused:
    pocket = next((leg.account for leg in order.legs if leg.account.startswith(SUBSIDY)), SUBSIDY)
    return SubsidyRefused(
        order.reference,
        SubsidyRefusal.MERCHANT_NOT_ALLOWED,
        pocket,
        f"merchant {order.merchant} may not take {pocket}; pay from the wallet, or at a merchant of a kind "
        "that benefits are meant for",
    )
