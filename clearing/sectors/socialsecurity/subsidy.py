"""Paying from the subsidy pocket: there before the wallet, as far as it goes and the merchant's kind allows it."""

from sqlalchemy import Connection

from clearing.online.parties import open_codes
from clearing.online.payment import Leg
from clearing.sectors.socialsecurity.pockets import SUBSIDY, takers
from ledger.balances import balance


def legs_for(conn: Connection, holder: str, merchant: str, amount_fen: int) -> tuple[Leg, ...]:
    """Who pays a purchase: the subsidy pocket as far as it goes, where it may be spent, then the wallet.

    Whatever legs an order names, `clearing.online.payment.pay` declines a subsidy where it may not be spent.
    """
    pocket, wallet = f"{SUBSIDY}{holder}", f"wallet:{holder}"
    from_pocket_fen = 0
    if takers(conn, [merchant]) and open_codes(conn, [pocket]):
        from_pocket_fen = min(balance(conn, pocket).balance_fen, amount_fen)
    legs = (Leg(pocket, from_pocket_fen), Leg(wallet, amount_fen - from_pocket_fen))
    return tuple(leg for leg in legs if leg.amount_fen > 0) or (Leg(wallet, amount_fen),)
