"""Loss reported in one place locks every face at once: cards, wallet, QR code and links.

A loss is of a holder, with all the cards tied then, or of one card that nobody is tied to. The wallet, the
code and the links are locked by `is_locked` being asked wherever they are used.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from card.hotlist import HotlistEntry, hotlist_card, hotlisted, unlist_card
from card.life import Act, Move, Moved, State, judge, keep_moves, states_of
from card.tables import card, held_card, holder, loss, lost_card

HOTLIST_DEADLINE = timedelta(hours=24)
"""After which every device must hold the list that names a lost card; until then the issuer bears its taps."""
LOST, ACTIVE = "lost", "active"


class LossRefusal(StrEnum):
    """Why a report or a lifting is not taken, in order of precedence: the first that applies."""

    HOLDER_UNKNOWN = "holder_unknown"
    CARD_UNKNOWN = "card_unknown"
    CARD_NOT_ACTIVE = "card_not_active"
    NOT_REPORTED = "not_reported"
    CARD_NOT_OF_LOSS = "card_not_of_loss"


@dataclass(frozen=True, slots=True)
class LossRefused:
    """Not done, why, and what to do."""

    reason: LossRefusal
    message: str


@dataclass(frozen=True, slots=True)
class LossReported:
    """What is locked: the holder, where there is one, and these cards. `first_time` where this call did it."""

    holder: str | None
    cards: tuple[str, ...]
    reported_at: datetime
    first_time: bool


@dataclass(frozen=True, slots=True)
class LossLifted:
    """What is in use again; the holder's other faces are too."""

    holder: str | None
    cards: tuple[str, ...]


def is_locked(conn: Connection, owner: str) -> bool:
    """Whether a loss of this holder is reported and not lifted; one read by an index."""
    query = select(loss.c.id).where(loss.c.holder == owner, loss.c.lifted_at.is_(None))
    return conn.execute(query).first() is not None


def lock_list(conn: Connection) -> list[str]:
    """Every holder with a loss that is reported and not lifted, for terminals that have no line to us."""
    columns = loss.c
    query = select(columns.holder).where(columns.holder.is_not(None), columns.lifted_at.is_(None))
    return sorted(conn.scalars(query))


def report_loss(
    conn: Connection, face: str, *, at: datetime, by: str = "holder"
) -> LossReported | LossRefused:
    """Lock everything of a holder, named by the holder's id or by one of the cards (20 digits).

    Reported again, nothing changes and the first report is answered. Cards go on the hotlist as of `at`; their
    lives say who reported it.
    """
    found = _face(conn, face)
    if isinstance(found, LossRefused):
        return found
    owner, cards = found
    known = _open_loss(conn, owner, face)
    if known is not None:
        number, reported_at = known
        return LossReported(owner, tuple(_cards_of_loss(conn, number)), reported_at, first_time=False)
    active = _active(conn, cards)
    if owner is None and not active:
        message = f"card {face} is not active, so there is nothing to lock; see its status"
        return LossRefused(LossRefusal.CARD_NOT_ACTIVE, message)
    [number] = conn.execute(insert(loss).values(holder=owner, reported_at=at).returning(loss.c.id)).scalars()
    listed = {entry.card_no for entry in hotlisted(conn)} if active else set()
    for card_no in active:
        if card_no not in listed:
            hotlist_card(conn, HotlistEntry(card_no, at, at + HOTLIST_DEADLINE, LOST))
        conn.execute(insert(lost_card).values(loss=number, card_no=card_no, hotlisted=card_no not in listed))
    _move(conn, active, Move.LOSE, Act(by, at, "loss reported"))
    return LossReported(owner, tuple(active), at, first_time=True)


def lift_loss(
    conn: Connection, face: str, *, at: datetime, still_lost: Collection[str] = (), by: str = "holder"
) -> LossLifted | LossRefused:
    """Unlock what the report locked, all but the cards `still_lost`, which stay lost and listed for good.

    Found cards leave the hotlist, unless they stood on it for another reason before.
    """
    found = _face(conn, face)
    if isinstance(found, LossRefused):
        return found
    owner, _ = found
    known = _open_loss(conn, owner, face)
    if known is None:
        return LossRefused(LossRefusal.NOT_REPORTED, f"no loss of {face} is open; there is nothing to lift")
    number, _ = known
    cards = _cards_of_loss(conn, number)
    strangers = sorted(set(still_lost) - set(cards))
    if strangers:
        message = f"card {strangers[0]} was not locked by this loss; name cards that were"
        return LossRefused(LossRefusal.CARD_NOT_OF_LOSS, message)
    restored = [card_no for card_no in cards if card_no not in still_lost]
    states = states_of(conn, restored)
    for card_no in restored:
        # A card that was replaced while it was lost stays listed for good.
        if cards[card_no] and states[card_no] is State.LOST:
            unlist_card(conn, card_no)
    of_loss = lost_card.c.loss == number
    conn.execute(update(lost_card).where(of_loss, lost_card.c.card_no.in_(restored)).values(restored_at=at))
    _move(conn, restored, Move.FIND, Act(by, at, "loss lifted"))
    conn.execute(update(loss).where(loss.c.id == number).values(lifted_at=at))
    return LossLifted(owner, tuple(restored))


def _face(conn: Connection, face: str) -> tuple[str | None, list[str]] | LossRefused:
    """The holder behind a face, and the holder's cards; of a card that is nobody's, the card alone."""
    if face.startswith("H"):
        query = select(holder.c.id).where(holder.c.id == face, holder.c.forgotten_at.is_(None))
        if conn.execute(query).first() is None:
            return LossRefused(LossRefusal.HOLDER_UNKNOWN, f"there is no holder {face}; see the id")
        return face, _tied(conn, face)
    if conn.execute(select(card.c.card_no).where(card.c.card_no == face)).first() is None:
        return LossRefused(LossRefusal.CARD_UNKNOWN, f"card {face} is not registered; see its number")
    tie = select(held_card.c.holder).where(held_card.c.card_no == face, held_card.c.untied_at.is_(None))
    owner = conn.scalars(tie).one_or_none()
    return (None, [face]) if owner is None else (owner, _tied(conn, owner))


def _tied(conn: Connection, owner: str) -> list[str]:
    columns = held_card.c
    query = select(columns.card_no).where(columns.holder == owner, columns.untied_at.is_(None))
    return list(conn.scalars(query.order_by(columns.card_no)))


def _open_loss(conn: Connection, owner: str | None, face: str) -> tuple[int, datetime] | None:
    query = select(loss.c.id, loss.c.reported_at).where(loss.c.lifted_at.is_(None))
    if owner is not None:
        query = query.where(loss.c.holder == owner)
    else:
        query = query.join(lost_card, lost_card.c.loss == loss.c.id).where(lost_card.c.card_no == face)
    row = conn.execute(query).one_or_none()
    return None if row is None else (row.id, row.reported_at)


def _cards_of_loss(conn: Connection, number: int) -> dict[str, bool]:
    """The cards that a loss locked, in order, and whether it listed them."""
    columns = lost_card.c
    query = select(columns.card_no, columns.hotlisted).where(columns.loss == number)
    return {row.card_no: row.hotlisted for row in conn.execute(query.order_by(columns.card_no))}


def _active(conn: Connection, cards: list[str]) -> list[str]:
    query = select(card.c.card_no).where(card.c.card_no.in_(cards), card.c.status == ACTIVE)
    return list(conn.scalars(query.order_by(card.c.card_no)))


def _move(conn: Connection, cards: list[str], move: Move, act: Act) -> None:
    """Move the cards that can; one that was replaced while it was lost stays so."""
    states = states_of(conn, cards)
    answers = [judge(states.get(card_no), card_no, move, act) for card_no in cards]
    keep_moves(conn, [answer for answer in answers if isinstance(answer, Moved)])
