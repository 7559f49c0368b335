"""The stock of blanks: which batches came in, at which counter their cards lie, and how they become cards."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import date

from sqlalchemy import Connection, func, insert, select, update

from card.chip.files import HIGHEST_HOLDER_CLASS
from card.life import Act, LifeRefusal, LifeRefused, Move, Moved, State, judge, keep_moves, states_of
from card.office_tables import blank, card_batch, personalised
from card.registry import DIGITS
from ledger.accounts import Conflict
from ledger.bulk import insert_rows, one_of

MOST_CARDS = 100_000
"""In one batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Blanks of one class with consecutive numbers; `first_no` in 20 digits, `issuer` in 8 hex digits."""

    id: str
    issuer: str
    first_no: str
    count: int
    holder_class: int = 1

    @property
    def numbers(self) -> list[str]:
        """Every card's number."""
        return [f"{int(self.first_no) + step:0{DIGITS}d}" for step in range(self.count)]


@dataclass(frozen=True, slots=True)
class Level:
    """How many cards of a class lie at a place in a state."""

    place: str
    state: State
    holder_class: int
    count: int


@dataclass(frozen=True, slots=True)
class Personalised:
    """What was written onto a blank: version and suite (0 international, 1 national) of its keys, its days.

    It is valid on both days and between.
    """

    card_no: str
    key_version: int
    algorithm: int
    valid_from: date
    valid_until: date


@dataclass(frozen=True, slots=True)
class Blank:
    """A card of the stock: what kind of card it is to become, where it lies, and what was written onto it."""

    card_no: str
    issuer: str
    holder_class: int
    place: str
    state: State
    personalised: Personalised | None


def receive_batch(conn: Connection, batch: Batch, act: Act) -> int:
    """Take a batch of blanks into stock at `act.place`; how many are new. The same batch again changes nothing.

    Raises ValueError for a batch that cannot be, and Conflict where its id or one of its numbers is taken.
    """
    _require_sound(batch, act.place)
    columns = card_batch.c
    held = conn.execute(select(card_batch).where(columns.id == batch.id)).one_or_none()
    if held is not None:
        # `count` of a row is a method of tuples.
        size = held._mapping["count"]
        ours = Batch(held.id, held.issuer, held.first_no, size, held.holder_class)
        if ours != batch:
            raise Conflict(f"batch {batch.id}", ours, batch)
        return 0
    taken = sorted(states_of(conn, batch.numbers))
    if taken:
        raise Conflict(f"card {taken[0]}", "known here", f"a blank of batch {batch.id}")
    conn.execute(
        insert(card_batch).values(
            id=batch.id, issuer=batch.issuer, first_no=batch.first_no, count=batch.count,
            holder_class=batch.holder_class, received_at=act.at,
        )
    )  # fmt: skip
    insert_rows(conn, blank, ((number, batch.id, act.place, State.STOCK.value) for number in batch.numbers))
    keep_moves(conn, [Moved(number, Move.RECEIVE, State.STOCK, State.STOCK, act) for number in batch.numbers])
    return batch.count


def move_blanks(conn: Connection, card_nos: Sequence[str], move: Move, act: Act) -> list[Moved] | LifeRefused:
    """Ship (to `act.place`) or spoil blanks: all of them or, where one cannot, none."""
    moved = _judged(conn, card_nos, move, act)
    if isinstance(moved, LifeRefused):
        return moved
    keep_moves(conn, moved)
    if move is Move.SHIP:
        there = [one.card_no for one in moved]
        conn.execute(update(blank).where(one_of(conn, blank.c.card_no, there)).values(place=act.place))
    return moved


def personalise_blanks(conn: Connection, made: Sequence[Personalised], act: Act) -> list[Moved] | LifeRefused:
    """Keep what was written onto blanks: onto all of them or, where one cannot be written, none."""
    moved = _judged(conn, [one.card_no for one in made], Move.PERSONALISE, act)
    if isinstance(moved, LifeRefused):
        return moved
    insert_rows(conn, personalised, (astuple(one) for one in made))
    keep_moves(conn, moved)
    return moved


def _judged(conn: Connection, card_nos: Sequence[str], move: Move, act: Act) -> list[Moved] | LifeRefused:
    states = states_of(conn, card_nos)
    answers = [judge(states.get(card_no), card_no, move, act) for card_no in dict.fromkeys(card_nos)]
    refused = next((answer for answer in answers if isinstance(answer, LifeRefused)), None)
    return refused or [answer for answer in answers if isinstance(answer, Moved)]


def next_blanks(conn: Connection, place: str, state: State, count: int) -> list[str] | LifeRefused:
    """The first `count` cards in a state at a place, by number; refused where there are not as many."""
    columns = blank.c
    query = select(columns.card_no).where(columns.place == place, columns.state == state.value)
    found = list(conn.scalars(query.order_by(columns.card_no).limit(count)))
    if len(found) < count:
        message = f"{place} has {len(found)} cards in state {state}, not {count}; ship or personalise more"
        return LifeRefused(LifeRefusal.CARD_UNKNOWN, message)
    return found


def find_blank(conn: Connection, card_no: str) -> Blank | None:
    """A card of the stock, or None."""
    query = (
        select(blank.c.card_no, card_batch.c.issuer, card_batch.c.holder_class, blank.c.place, blank.c.state)
        .join(card_batch, card_batch.c.id == blank.c.batch)
        .where(blank.c.card_no == card_no)
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        return None
    written = conn.execute(select(personalised).where(personalised.c.card_no == card_no)).one_or_none()
    return Blank(*row[:4], State(row.state), None if written is None else Personalised(*written))


def stock_levels(conn: Connection) -> list[Level]:
    """What lies where: blanks and personalised cards, by place, state and class."""
    columns = blank.c
    query = (
        select(columns.place, columns.state, card_batch.c.holder_class, func.count())
        .join(card_batch, card_batch.c.id == columns.batch)
        .where(columns.state.in_([State.STOCK.value, State.PERSONALISED.value]))
        .group_by(columns.place, columns.state, card_batch.c.holder_class)
        .order_by(columns.place, columns.state, card_batch.c.holder_class)
    )
    return [
        Level(place, State(state), holder_class, count)
        for place, state, holder_class, count in conn.execute(query)
    ]


def _require_sound(batch: Batch, place: str) -> None:
    if len(batch.first_no) != DIGITS or not (batch.first_no.isascii() and batch.first_no.isdigit()):
        raise ValueError(
            f"first number {batch.first_no!r} is not {DIGITS} digits; give that of the first card"
        )
    if not 1 <= batch.count <= MOST_CARDS or int(batch.first_no) + batch.count > 10**DIGITS:
        raise ValueError(
            f"count is {batch.count}; give 1 to {MOST_CARDS} cards that their numbers have room for"
        )
    if not 1 <= batch.holder_class <= HIGHEST_HOLDER_CLASS:
        raise ValueError(
            f"class is {batch.holder_class}; give 1 standard, 2 half, 3 free, or one of the tariff's up to"
            f" {HIGHEST_HOLDER_CLASS}"
        )
    if not batch.id or len(batch.id) > 16 or not batch.id.isprintable():
        raise ValueError(f"batch {batch.id!r} needs a name of 1 to 16 printable characters")
    if not place or len(place) > 32:
        raise ValueError(f"place {place!r} needs a name of 1 to 32 characters: a counter or the depot")
