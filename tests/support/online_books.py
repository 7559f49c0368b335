"""Books with holders whose pockets hold money, merchants and a fund, for what happens online."""

from dataclasses import replace

from sqlalchemy import Connection, Engine

from card.registry import CardRecord, register
from card.tables import holder as holder_table
from card.tables import loss
from clearing.online.payment import Channel, Leg, PaymentOrder
from ledger.accounts import open_accounts
from ledger.balances import balances
from ledger.chart import account
from ledger.day import open_day
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from tests.support.clearing_day import DAY, ISSUER, at, card_no

ANNA, BO = "H0000000017", "H0000000025"
SHOP, CLINIC, FUND = "SHOP-1", "CLINIC-1", "fund:MED-POOL"
CARD = card_no(1)
POCKETS = tuple(f"{pocket}:{holder}" for holder in (ANNA, BO) for pocket in ("wallet", "medical", "subsidy"))
POCKET_FEN = 10_000
ORDER = PaymentOrder(
    reference="http:SHOP-1:1",
    channel=Channel.HTTP,
    kind="purchase",
    merchant=SHOP,
    holder=ANNA,
    legs=(Leg(f"wallet:{ANNA}", 1_250),),
    business_date=DAY,
    event_at=at(9),
)
BILL = replace(
    ORDER,
    reference="http:CLINIC-1:1",
    kind="hospital_bill",
    merchant=CLINIC,
    legs=(Leg(FUND, 6_000), Leg(f"medical:{ANNA}", 3_000), Leg(f"wallet:{ANNA}", 1_000)),
)


def furnish(engine: Engine, *, pocket_fen: int = POCKET_FEN) -> None:
    """Open the day, the accounts and a card, and put `pocket_fen` into every pocket."""
    codes = ["equity:capital", FUND, *POCKETS, *(f"clearing:{merchant}" for merchant in (SHOP, CLINIC))]
    with writing(engine) as conn:
        open_day(conn, DAY, at=at(0))
        open_accounts(conn, [account(code) for code in codes], at=at(0))
        register(conn, [CardRecord(CARD, ISSUER, 1, 1, 0, at(0))], at=at(0))
        lines = tuple(Line("equity:capital", pocket, pocket_fen) for pocket in POCKETS)
        (answer,) = post(conn, [Entry("opening", "opening", DAY, at(0), lines)], at=at(0))
        assert isinstance(answer, Posted)


def lock(conn: Connection, holder: str) -> None:
    """Report a loss of a holder, as far as payments see it."""
    row = {"id": holder, "number": int(holder[1:]), "enrolled_at": at(0), "forgotten_at": at(0)}
    conn.execute(holder_table.insert().values(row))
    conn.execute(loss.insert().values(holder=holder, reported_at=at(1)))


def books_of(engine: Engine) -> dict[str, int]:
    """The balance of every account in fen, each in its natural direction; accounts at nothing left out."""
    with reading(engine) as conn:
        return balances_fen(conn)


def balances_fen(conn: Connection) -> dict[str, int]:
    """As `books_of`, within a transaction."""
    return {one.code: one.balance_fen for one in balances(conn) if one.balance_fen}


def moved_fen(engine: Engine, *, pocket_fen: int = POCKET_FEN) -> dict[str, int]:
    """What every account holds more, or less, than `furnish` gave it."""
    before = dict.fromkeys(POCKETS, pocket_fen) | {"equity:capital": -pocket_fen * len(POCKETS)}
    now = books_of(engine)
    codes = sorted(before.keys() | now.keys())
    return {
        code: now.get(code, 0) - before.get(code, 0)
        for code in codes
        if now.get(code, 0) != before.get(code, 0)
    }
