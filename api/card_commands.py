"""`onecard cards …`: the back office of cards, from the batch of blanks to the card in a hand, and out of use."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, TypeVar

import typer
from sqlalchemy import Connection

from api.doors import Refused, books, console, now
from api.listings import Listing, figure, prose
from card.hotlist import hotlisted
from card.issue import NotBooked, NotTied, Terms, activate_card, block_card, issue_card, unblock_card
from card.life import Act, LifeRefused, Move, Moved, State, life_of, state_of
from card.loss import LossRefused, lift_loss, report_loss
from card.stock import (
    Batch,
    move_blanks,
    next_blanks,
    receive_batch,
    stock_levels,
)
from city.agent import AGENT
from city.home import CITY_ZONE
from ledger.accounts import Conflict
from ledger.day import DayOrderError, current_day
from ledger.db import reading, writing
from ledger.money import yuan

Card = Annotated[str, typer.Argument(help="the card's 20 digits")]
By = Annotated[str, typer.Option(help="the clerk who does it")]
Why = Annotated[str, typer.Option(help="why, in a sentence")]
Place = Annotated[str, typer.Option(help="the counter or depot where it happens")]
Amount = Annotated[
    int, typer.Option(help="in fen; a deposit is paid back with the card, a fee is not", min=0)
]
DEPOSIT_FEN, FEE_FEN = 2_000, 0
CENTRAL = "DEPOT"
Answer = TypeVar("Answer")


def receive(
    batch: Annotated[str, typer.Argument(help="the batch's name, such as 2026-03")],
    first: Annotated[str, typer.Argument(help="the first card's 20 digits")],
    count: Annotated[int, typer.Argument(help="how many, with consecutive numbers")],
    by: By,
    issuer: Annotated[str, typer.Option(help="the issuer's 8 hex digits")] = "01011000",
    holder_class: Annotated[
        int, typer.Option("--class", help="1 standard, 2 half fare, 3 free, others up to 255 by the tariff")
    ] = 1,
    place: Place = CENTRAL,
    why: Why = "delivered",
) -> None:
    """Take a batch of blanks into stock; the same batch again changes nothing."""
    made = Batch(batch, issuer, first, count, holder_class)
    with books() as engine, writing(engine) as conn, sorting():
        new = receive_batch(conn, made, Act(by, now(), why, place))
    said = f"{new} blanks are in stock at {place}" if new else "was received before; nothing changed"
    console.print(f"Batch {batch}: {said}", soft_wrap=True)


def stock() -> None:
    """Show how many cards lie where, blank and personalised."""
    with books() as engine, reading(engine) as conn:
        levels = stock_levels(conn)
    if not levels:
        console.print("No card is in stock; `onecard cards receive` takes a batch in", soft_wrap=True)
        return
    table = Listing("place", "state", figure("class"), figure("cards"))
    for level in levels:
        table.add(level.place, level.state, str(level.holder_class), str(level.count))
    console.print(table)


def ship(
    count: Annotated[int, typer.Argument(help="how many cards", min=1)],
    to: Annotated[str, typer.Argument(help="the counter or depot they go to")],
    by: By,
    place: Place = CENTRAL,
    blanks: Annotated[bool, typer.Option("--blanks", help="blanks instead of personalised cards")] = False,
    why: Why = "stock for the counter",
) -> None:
    """Send cards from a place to another, the lowest numbers first."""
    state = State.STOCK if blanks else State.PERSONALISED
    with books() as engine, writing(engine) as conn:
        numbers = done(next_blanks(conn, place, state, count))
        done(move_blanks(conn, numbers, Move.SHIP, Act(by, now(), why, to)))
    console.print(f"{count} cards {numbers[0]} … {numbers[-1]} are at {to}", soft_wrap=True)


def spoil(card_no: Card, by: By, why: Why, place: Place = CENTRAL) -> None:
    """Write off a blank or personalised card that is of no use."""
    _make(
        card_no, lambda conn, act: move_blanks(conn, [card_no], Move.SPOIL, act), Act(by, now(), why, place)
    )


def issue(
    card_no: Card,
    by: By,
    deposit_fen: Amount = DEPOSIT_FEN,
    fee_fen: Amount = FEE_FEN,
    agent: Annotated[str, typer.Option(help="the counter that takes the cash")] = AGENT,
    holder: Annotated[str, typer.Option(help="the holder to tie it to, such as H0000000001")] = "",
    inactive: Annotated[
        bool, typer.Option("--inactive", help="do not activate it: it replaces another")
    ] = False,
    why: Why = "sold at the counter",
) -> None:
    """Hand a personalised card out against its deposit, and put it into use."""
    act = Act(by, now(), why, agent)

    def both(conn: Connection, act: Act) -> Moved | LifeRefused:
        terms = Terms(agent, deposit_fen, fee_fen, current_day(conn))
        issued = issue_card(conn, card_no, terms, act)
        return (
            issued
            if inactive or isinstance(issued, LifeRefused)
            else activate_card(conn, card_no, act, holder=holder)
        )

    _make(card_no, both, act)
    console.print(
        f"The counter has {yuan(deposit_fen)} yuan of deposit and {yuan(fee_fen)} of fee", soft_wrap=True
    )


def activate(card_no: Card, by: By, holder: str = "", why: Why = "activated", place: Place = AGENT) -> None:
    """Put an issued card into use, tied to a holder where one is named."""
    act = Act(by, now(), why, place)
    _make(card_no, lambda conn, act: activate_card(conn, card_no, act, holder=holder), act)


def block(card_no: Card, by: By, why: Why, place: Place = AGENT) -> None:
    """Stop a card: on the hotlist now, on every device by the deadline."""
    _make(card_no, lambda conn, act: block_card(conn, card_no, act), Act(by, now(), why, place))


def unblock(card_no: Card, by: By, why: Why, place: Place = AGENT) -> None:
    """Let a blocked card be used again."""
    _make(card_no, lambda conn, act: unblock_card(conn, card_no, act), Act(by, now(), why, place))


def lose(
    face: Annotated[
        str, typer.Argument(help="the card's 20 digits, or its holder's id: all faces are locked")
    ],
    by: By,
) -> None:
    """Report a loss: every card, the wallet and the links of the holder are locked."""
    with books() as engine, writing(engine) as conn:
        said = report_loss(conn, face, at=now(), by=by)
    if isinstance(said, LossRefused):
        raise Refused(said.message)
    first = "" if said.first_time else " (reported before)"
    console.print(
        f"Locked: {said.holder or 'no holder'}, cards {', '.join(said.cards) or 'none'}{first}",
        soft_wrap=True,
    )


def find(
    face: Annotated[str, typer.Argument(help="the card's 20 digits, or its holder's id")],
    by: By,
    still_lost: Annotated[
        list[str] | None, typer.Option(help="a card that stays lost; again for more")
    ] = None,
) -> None:
    """Lift a reported loss; what is still lost stays on the hotlist for good, to be replaced."""
    with books() as engine, writing(engine) as conn:
        said = lift_loss(conn, face, at=now(), still_lost=still_lost or (), by=by)
    if isinstance(said, LossRefused):
        raise Refused(said.message)
    console.print(
        f"In use again: {said.holder or 'no holder'}, cards {', '.join(said.cards) or 'none'}", soft_wrap=True
    )


def show_hotlist() -> None:
    """List the stopped cards: since when, and by when every device must have the list that names them."""
    with books() as engine, reading(engine) as conn:
        listed = hotlisted(conn)
    if not listed:
        console.print("No card is on the hotlist", soft_wrap=True)
        return
    at, table = now(), Listing("card", "listed", "on every device by", "state", prose("reason"))
    for entry in listed:
        when = [_local(instant) for instant in (entry.listed_at, entry.effective_at)]
        table.add(entry.card_no, *when, "in force" if entry.effective_at <= at else "spreading", entry.reason)
    console.print(table)


def life(card_no: Card) -> None:
    """Show where a card stands, and everything that happened to it: who, when, why."""
    with books() as engine, reading(engine) as conn:
        state, moves = state_of(conn, card_no), life_of(conn, card_no)
    if state is None:
        raise Refused(
            f"card {card_no} is not known here; look at its number, or `onecard cards receive` its batch"
        )
    console.print(f"Card {card_no} is {state}", soft_wrap=True)
    if not moves:
        console.print(
            "It was registered before the office kept lives; nothing has happened to it since", soft_wrap=True
        )
        return
    for one in moves:
        act = one.act
        place = f" at {act.place}" if act.place else ""
        move = f"{one.move.replace('_', ' ')}: {one.before} → {one.after}"
        console.print(f"{_local(act.at)}  {move}, by {act.by}{place}: {act.why}", soft_wrap=True)


def done(answer: Answer | LifeRefused) -> Answer:
    """The answer, or the refusal as the command line says it."""
    if isinstance(answer, LifeRefused):
        raise Refused(answer.message)
    return answer


@contextmanager
def sorting() -> Iterator[None]:
    """What a value, a key or the calendar does not let through is a refusal to the clerk."""
    try:
        yield
    except (ValueError, Conflict, NotTied, NotBooked, DayOrderError) as error:
        raise Refused(str(error)) from error


def _make(card_no: str, move: Callable[[Connection, Act], object], act: Act) -> None:
    """Make a move in a transaction of its own, or none of it, and say where the card stands then."""
    with books() as engine, sorting(), writing(engine) as conn:
        done(move(conn, act))
        state = state_of(conn, card_no)
    console.print(f"Card {card_no} is {state}", soft_wrap=True)


def _local(at: datetime) -> str:
    return at.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S")
