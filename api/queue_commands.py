"""`onecard queue`: what people must look at after the nights, taken, done, or given back, by name and with a note."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from api.doors import Refused, books, console, now
from api.listings import Listing, figure, prose
from city.home import CITY_ZONE
from ledger.db import reading, writing
from ledger.money import yuan
from settlement.work_queue import Happened, Item, QueueRefused, State, events_of, item_of, items_of, move

Number = Annotated[int, typer.Argument(help="the item's number, as `onecard queue list` shows it")]
By = Annotated[str, typer.Option("--by", help="who does it; kept with the item")]
Why = Annotated[str, typer.Option("--why", help="why not; kept")]
Note = Annotated[str, typer.Option("--note", help="why, or what was found out; kept with the item")]


def list_items(
    done_too: Annotated[bool, typer.Option("--done-too", help="also what is done")] = False,
) -> None:
    """List items, the earliest deadline first, with how late they are."""
    states = tuple(State) if done_too else (State.OPEN, State.TAKEN)
    with books() as engine, reading(engine) as conn:
        items = items_of(conn, states)
    if not items:
        console.print("Nothing waits for anybody.")
        return
    show_items(console, items, today())


def show(number: Number) -> None:
    """Show one item with everything that happened to it."""
    with books() as engine, reading(engine) as conn:
        item, events = item_of(conn, number), events_of(conn, number)
    if item is None:
        raise Refused(f"no item has number {number}; `onecard queue list` names them")
    show_items(console, [item], today())
    console.print(f"To do: {item.remedy}", soft_wrap=True, highlight=False)
    table = Listing("when", "what", "by", prose("said"), title="What happened to it")
    for event in events:
        when = event.at.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M")
        happened = f"{event.happened}, due {event.due_on}" if event.due_on else str(event.happened)
        table.add(when, happened, event.who, event.what)
    console.print(table)


def take(number: Number, by: By, note: Note = "") -> None:
    """Take an item: it is yours until it is done or given back."""
    _move(number, Happened.TAKEN, by, note)


def done(number: Number, by: By, note: Note = "") -> None:
    """Say that an item is dealt with, and how; a night that still finds it after its deadline raises it again."""
    _move(number, Happened.DONE, by, note)


def back(number: Number, by: By, note: Note = "") -> None:
    """Give an item back to all, also one that was called done and is not."""
    _move(number, Happened.BACK, by, note)


def today() -> date:
    """The calendar day in the city."""
    return now().astimezone(CITY_ZONE).date()


def show_items(console: Console, items: Sequence[Item], day: date) -> None:
    """Items as a table; a deadline that has passed is red."""
    table = Listing(
        figure("no"),
        "kind",
        prose("what"),
        figure("yuan"),
        "raised",
        "due",
        figure("late days"),
        "state",
        "by",
    )
    for item in items:
        late = item.late_on(day)
        due = Text(str(item.due_on), style="red" if late else "")
        table.add(
            str(item.number), item.kind, item.what, yuan(item.amount_fen), str(item.raised_on), due,
            str(late or ""), item.state, item.who,
        )  # fmt: skip
    console.print(table)


def named(who: str) -> str:
    """Who says that it was they. Raises Refused where that names nobody."""
    if not who.strip() or len(who) > 64:
        raise Refused(f"--by {who!r} names nobody; give a name of 1 to 64 characters")
    return who


def _move(number: int, happened: Happened, who: str, note: str) -> None:
    named(who)
    if len(note) > 2000:
        raise Refused(f"--note has {len(note)} characters; give at most 2000")
    with books() as engine, writing(engine) as conn:
        item = move(conn, number, happened, who=who, note=note, at=now())
    if isinstance(item, QueueRefused):
        raise Refused(f"{item.message}; {item.remedy}")
    console.print(f"Item {item.number} is {item.state}: {item.what}", soft_wrap=True, highlight=False)
