"""Cards into hands and out of use: issued against a deposit and a fee, activated, blocked and unblocked.

`agent:{counter}` to `deposit:{card}` and `income:card` when a card is issued: the counter took the cash.
"""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, select

from card.holders import HolderRefused, tie_card
from card.hotlist import HotlistEntry, hotlist_card, unlist_card
from card.life import Act, LifeRefusal, LifeRefused, Move, Moved, move_card
from card.loss import HOTLIST_DEADLINE
from card.registry import CardRecord, register
from card.stock import find_blank
from card.tables import hotlist
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.entry import Entry, Line, Refused
from ledger.post import post

INCOME = "income:card"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a card costs: the deposit that comes back with it, and the fee that does not."""

    agent: str
    deposit_fen: int
    fee_fen: int
    business_date: date


def issue_card(conn: Connection, card_no: str, terms: Terms, act: Act) -> Moved | LifeRefused:
    """Hand a personalised card out: it comes into the register, its deposit and fee into the books.

    It cannot be used until it is activated. `conn` comes from `ledger.db.writing`.
    """
    if terms.deposit_fen < 0 or terms.fee_fen < 0:
        message = f"deposit and fee are {terms.deposit_fen} and {terms.fee_fen} fen; give 0 or more"
        return LifeRefused(LifeRefusal.AMOUNT, message)
    moved = move_card(conn, card_no, Move.ISSUE, act)
    if isinstance(moved, LifeRefused):
        return moved
    found = find_blank(conn, card_no)
    assert found is not None, "a card that can be issued is one of the stock"
    made = found.personalised
    assert made is not None, "a card that can be issued was personalised"
    record = CardRecord(
        card_no,
        found.issuer,
        found.holder_class,
        made.key_version,
        made.algorithm,
        act.at,
        moved.after.value,
        made.valid_from,
        made.valid_until,
    )
    register(conn, [record], at=act.at)
    open_accounts(
        conn, [account(code) for code in (f"deposit:{card_no}", INCOME, f"agent:{terms.agent}")], at=act.at
    )
    parts = ((f"deposit:{card_no}", terms.deposit_fen), (INCOME, terms.fee_fen))
    lines = tuple(Line(f"agent:{terms.agent}", code, fen, card_no) for code, fen in parts if fen)
    require_posted(
        conn, Entry(f"card-issued:{card_no}", "card_issued", terms.business_date, act.at, lines), act
    )
    return moved


def activate_card(conn: Connection, card_no: str, act: Act, *, holder: str = "") -> Moved | LifeRefused:
    """Put an issued card into use, tied to a holder where one is named."""
    moved = move_card(conn, card_no, Move.ACTIVATE, act)
    if isinstance(moved, LifeRefused) or not holder:
        return moved
    tied = tie_card(conn, holder, card_no, at=act.at)
    if isinstance(tied, HolderRefused):
        raise NotTied(tied)
    return moved


class NotTied(Exception):
    """The card cannot be that holder's; whoever calls lets the transaction go."""

    def __init__(self, refused: HolderRefused) -> None:
        super().__init__(refused.message)
        self.refused = refused


def block_card(conn: Connection, card_no: str, act: Act) -> Moved | LifeRefused:
    """Stop a card: it goes on the hotlist at once, and by the deadline on every device's copy of it."""
    moved = move_card(conn, card_no, Move.BLOCK, act)
    if isinstance(moved, Moved):
        list_card(conn, card_no, act, "blocked")
    return moved


def unblock_card(conn: Connection, card_no: str, act: Act) -> Moved | LifeRefused:
    """Let a blocked card be used again; a card on the hotlist for another reason stays there."""
    moved = move_card(conn, card_no, Move.UNBLOCK, act)
    if isinstance(moved, Moved):
        why = conn.scalars(select(hotlist.c.reason).where(hotlist.c.card_no == card_no)).one_or_none()
        if why == "blocked":
            unlist_card(conn, card_no)
    return moved


def list_card(conn: Connection, card_no: str, act: Act, reason: str) -> None:
    """Put a card on the hotlist, unless it stands there: its first listing stands."""
    if conn.execute(select(hotlist.c.card_no).where(hotlist.c.card_no == card_no)).first() is None:
        hotlist_card(conn, HotlistEntry(card_no, act.at, act.at + HOTLIST_DEADLINE, reason))


class NotBooked(Exception):
    """The ledger refuses what goes with a move; whoever calls lets the transaction go."""


def require_posted(conn: Connection, entry: Entry, act: Act) -> None:
    """Post an entry that goes with a move; one without lines is none. Raises NotBooked."""
    if not entry.lines:
        return
    (answer,) = post(conn, [entry], at=act.at)
    if isinstance(answer, Refused):
        raise NotBooked(f"{entry.reference}: {answer.message}")
