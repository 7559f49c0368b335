"""The end of a card: replaced by another, or handed in and refunded; money moves when no tap can come any more.

A bus may present a ride days after it was made, and until a hotlist is out the card may still ride. Before
that time is over nobody knows what a card holds, so its balance stays in `purse:{card}`. The deposit is known
at once: it goes over to the new card, or back to the holder less the wear, `deposit:{card}` to `income:card`.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert, select, update

from card.holders import HolderRefused, holder_of, tie_card, untie_card
from card.issue import INCOME, NotTied, list_card, require_posted
from card.life import Act, LifeRefusal, LifeRefused, Move, Moved, State, life_of, move_card, state_of
from card.loss import is_locked
from card.office_tables import replacement
from card.tables import hotlist
from ledger.accounts import open_accounts
from ledger.balances import balance
from ledger.chart import account
from ledger.entry import Entry, Line

LATE_TAP_DAYS = 7
"""How many days after a tap an operator may still present it."""
PAID_TO = ("agent:", "wallet:", "bank:")
_CITY_ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Replaced:
    """A card was replaced; from `due_on` on its balance can be moved. What was moved, and when, is None until then."""

    old_card: str
    new_card: str
    replaced_at: datetime
    due_on: date
    moved_fen: int | None = None
    moved_at: datetime | None = None


def replace_card(
    conn: Connection, old_card: str, new_card: str, act: Act, *, business_date: date
) -> Replaced | LifeRefused:
    """Put a new card in the old one's place: the tie to the holder and the deposit go over, the balance later.

    The new card has been issued to the same person and is activated by this. `conn` is from `ledger.db.writing`.
    """
    owner = holder_of(conn, old_card)
    if owner is not None and is_locked(conn, owner):
        message = f"{owner} has reported a loss; lift it first, card {old_card} staying lost, then replace it"
        return LifeRefused(LifeRefusal.HOLDER_LOCKED, message)
    fresh = state_of(conn, new_card)
    if fresh is not State.ISSUED:
        message = f"card {new_card} is {fresh or 'not known here'}; replace by one that is issued and not in use yet"
        return LifeRefused(LifeRefusal.OTHER_CARD_UNFIT, message)
    moved = move_card(conn, old_card, Move.REPLACE, act)
    if isinstance(moved, LifeRefused):
        return moved
    list_card(conn, old_card, act, "replaced")
    move_card(conn, new_card, Move.ACTIVATE, act)
    if owner is not None:
        untie_card(conn, old_card, at=act.at)
        if isinstance(tied := tie_card(conn, owner, new_card, at=act.at), HolderRefused):
            raise NotTied(tied)
    _carry_deposit(conn, old_card, new_card, act, business_date)
    made = Replaced(old_card, new_card, act.at, _due_on(conn, old_card, act.at))
    conn.execute(
        insert(replacement).values(
            old_card=old_card, new_card=new_card, replaced_at=act.at, due_on=made.due_on
        )
    )
    return made


def hand_in(
    conn: Connection, card_no: str, act: Act, *, to: str, wear_fen: int, business_date: date
) -> Moved | LifeRefused:
    """Take a card back for good: the deposit less the wear goes to `to` at once, the balance follows by `refund`."""
    deposit_fen = _held_fen(conn, f"deposit:{card_no}")
    if not 0 <= wear_fen <= deposit_fen:
        message = f"wear is {wear_fen} fen; give 0 to the deposit, {deposit_fen} fen"
        return LifeRefused(LifeRefusal.AMOUNT, message)
    if (flaw := _payee_flaw(to)) is not None:
        return flaw
    moved = move_card(conn, card_no, Move.HAND_IN, act)
    if isinstance(moved, LifeRefused):
        return moved
    list_card(conn, card_no, act, "returned")
    untie_card(conn, card_no, at=act.at)
    open_accounts(conn, [account(code) for code in (INCOME, to) if not code.startswith("wallet:")], at=act.at)
    parts = ((to, deposit_fen - wear_fen), (INCOME, wear_fen))
    lines = tuple(Line(f"deposit:{card_no}", code, fen, card_no) for code, fen in parts if fen)
    require_posted(conn, Entry(f"deposit-back:{card_no}", "deposit_back", business_date, act.at, lines), act)
    return moved


def refund(
    conn: Connection, card_no: str, act: Act, *, to: str, business_date: date
) -> tuple[Moved, int] | LifeRefused:
    """Pay what a card that was handed in holds, and close it; how much, in fen.

    Too early while late taps may come. `to` is the counter that pays, a wallet, or the bank.
    """
    if state_of(conn, card_no) is State.REPLACED:
        message = f"card {card_no} is replaced: its balance goes to the new card; move it there"
        return LifeRefused(LifeRefusal.NOT_IN_THIS_STATE, message)
    refused = _payee_flaw(to) or waits_for_taps(conn, card_no, business_date) or _load_waits(conn, card_no)
    if refused is not None:
        return refused
    moved = move_card(conn, card_no, Move.CLOSE, act)
    if isinstance(moved, LifeRefused):
        return moved
    purse_fen = _held_fen(conn, f"purse:{card_no}")
    if not to.startswith("wallet:"):
        open_accounts(conn, [account(to)], at=act.at)
    lines = (Line(f"purse:{card_no}", to, purse_fen, card_no),) if purse_fen else ()
    require_posted(conn, Entry(f"card-refund:{card_no}", "card_refund", business_date, act.at, lines), act)
    return moved, purse_fen


def waits_for_taps(conn: Connection, card_no: str, business_date: date) -> LifeRefused | None:
    """Why a card's balance cannot be moved yet on this business date, or None."""
    ended = [one for one in life_of(conn, card_no) if one.move in (Move.REPLACE, Move.HAND_IN)]
    if not ended:
        message = f"card {card_no} was neither replaced nor handed in; its balance is on the card"
        return LifeRefused(LifeRefusal.NOT_IN_THIS_STATE, message)
    due_on = _due_on(conn, card_no, ended[-1].act.at)
    if business_date >= due_on:
        return None
    message = f"taps of card {card_no} may come until {due_on - timedelta(days=1)}; come again on {due_on}"
    return LifeRefused(LifeRefusal.TOO_EARLY, message)


def replacements(conn: Connection, *, moved: bool | None = None) -> list[Replaced]:
    """Replacements, those due first; only those whose balance has moved or has not, where asked."""
    columns = replacement.c
    query = select(replacement).order_by(columns.due_on, columns.old_card)
    if moved is not None:
        query = query.where(columns.moved_at.is_not(None) if moved else columns.moved_at.is_(None))
    return [
        Replaced(row.old_card, row.new_card, row.replaced_at, row.due_on, row.moved_fen, row.moved_at)
        for row in conn.execute(query)
    ]


def take_balance(
    conn: Connection, old_card: str, act: Act, *, account_code: str, business_date: date
) -> tuple[Replaced, int] | LifeRefused:
    """Move what a replaced card's purse holds to `account_code` and close the card; the purse's fen.

    What else the old card had coming is the caller's to add, and the whole to write by `note_moved`.
    """
    rows = [one for one in replacements(conn) if one.old_card == old_card]
    if not rows:
        message = f"card {old_card} was not replaced; `onecard cards life {old_card}` says what it is"
        return LifeRefused(LifeRefusal.CARD_UNKNOWN, message)
    refused = waits_for_taps(conn, old_card, business_date)
    if refused is not None:
        return refused
    moved = move_card(conn, old_card, Move.CLOSE, act)
    if isinstance(moved, LifeRefused):
        return moved
    purse_fen = _held_fen(conn, f"purse:{old_card}")
    open_accounts(conn, [account(account_code)], at=act.at)
    lines = (Line(f"purse:{old_card}", account_code, purse_fen, old_card),) if purse_fen else ()
    require_posted(conn, Entry(f"migration:{old_card}", "card_migration", business_date, act.at, lines), act)
    return rows[0], purse_fen


def note_moved(conn: Connection, old_card: str, moved_fen: int, act: Act) -> None:
    """Write down that a replaced card's money has gone over to the new one."""
    this = update(replacement).where(replacement.c.old_card == old_card)
    conn.execute(this.values(moved_at=act.at, moved_fen=moved_fen))


def _due_on(conn: Connection, card_no: str, ended_at: datetime) -> date:
    """The day after the last on which a tap may be presented: it was made before the list was out."""
    listed = conn.scalars(select(hotlist.c.effective_at).where(hotlist.c.card_no == card_no)).one_or_none()
    last_tap = max(ended_at, listed or ended_at).astimezone(_CITY_ZONE).date()
    return last_tap + timedelta(days=LATE_TAP_DAYS + 1)


def _carry_deposit(conn: Connection, old_card: str, new_card: str, act: Act, business_date: date) -> None:
    deposit_fen = _held_fen(conn, f"deposit:{old_card}")
    codes = f"deposit:{old_card}", f"deposit:{new_card}"
    lines = (Line(*codes, deposit_fen, old_card),) if deposit_fen else ()
    require_posted(
        conn, Entry(f"deposit-moved:{old_card}", "deposit_moved", business_date, act.at, lines), act
    )


def _payee_flaw(to: str) -> LifeRefused | None:
    if to.startswith(PAID_TO):
        return None
    message = f"{to!r} cannot be paid; give agent:COUNTER for cash, wallet:HOLDER, or bank:reserve"
    return LifeRefused(LifeRefusal.AMOUNT, message)


def _load_waits(conn: Connection, card_no: str) -> LifeRefused | None:
    waiting_fen = _held_fen(conn, f"load:{card_no}")
    if not waiting_fen:
        return None
    message = f"{waiting_fen} fen wait to be written to card {card_no}; return that load first, with the card"
    return LifeRefused(LifeRefusal.LOAD_WAITS, message)


def _held_fen(conn: Connection, code: str) -> int:
    try:
        return balance(conn, code).balance_fen
    except LookupError:
        return 0
