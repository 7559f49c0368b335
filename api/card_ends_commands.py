"""`onecard cards replace …`, `move-balance`, `hand-in`, `refund`: how cards end, and their money goes on."""

from typing import Annotated

import typer

from api.card_commands import By, Card, Why, done, sorting
from api.doors import books, console, now
from api.listings import Listing
from card.closing import hand_in, refund, replace_card, replacements
from card.life import Act
from city.agent import AGENT
from city.home import CITY_ZONE
from clearing.online.migration import move_balance
from clearing.online.migration_left import left_behind, move_again
from ledger.day import current_day
from ledger.db import reading, writing
from ledger.money import yuan

Counter = Annotated[str, typer.Option(help="the counter where it happens, which pays cash")]
Amount = Annotated[int, typer.Option(help="kept of the deposit, in fen", min=0)]
To = Annotated[str, typer.Option(help="who is paid: agent:COUNTER for cash, wallet:HOLDER, bank:reserve")]


def replace(
    old_card: Card,
    new_card: Annotated[str, typer.Argument(help="20 digits of a card issued with --inactive")],
    by: By,
    why: Why,
    place: Counter = AGENT,
) -> None:
    """Put an issued card in an old one's place; deposit and holder go over now, the balance when it is certain."""
    with books() as engine, sorting(), writing(engine) as conn:
        made = done(
            replace_card(
                conn, old_card, new_card, Act(by, now(), why, place), business_date=current_day(conn)
            )
        )
    console.print(
        f"Card {new_card} replaces {old_card}; its balance can be moved from {made.due_on} on", soft_wrap=True
    )


def move(
    by: By,
    old_card: Annotated[
        str, typer.Argument(help="the replaced card's 20 digits; left out, all that are due")
    ] = "",
    why: Why = "no tap of the old card can come any more",
) -> None:
    """Move replaced cards' balances to the new cards' waiting loads; any counter writes them on."""
    with books() as engine, sorting():
        with reading(engine) as conn:
            day = current_day(conn)
            due = [one.old_card for one in replacements(conn, moved=False) if one.due_on <= day]
        for number in [old_card] if old_card else due:
            with writing(engine) as conn:
                made = done(move_balance(conn, number, Act(by, now(), why), business_date=current_day(conn)))
            ready = f"waits as load {made.reference}" if made.reference else "nothing to write"
            console.print(
                f"{yuan(made.moved_fen)} yuan of {number} to {made.new_card}: {ready}", soft_wrap=True
            )
        if not old_card and not due:
            console.print(
                "No replaced card's balance is due; `onecard cards replacements` says when each is",
                soft_wrap=True,
            )


def show_replacements() -> None:
    """List replacements whose balance has not moved yet, and when it can."""
    with books() as engine, reading(engine) as conn:
        waiting = replacements(conn, moved=False)
    if not waiting:
        console.print("No replaced card's balance waits to be moved", soft_wrap=True)
        return
    table = Listing("old card", "new card", "movable from")
    for one in waiting:
        table.add(one.old_card, one.new_card, str(one.due_on))
    console.print(table)


def show_left_behind() -> None:
    """List what earlier returns left in suspense of replaced cards' balances: whose it is, what can be done."""
    with books() as engine, reading(engine) as conn:
        left = left_behind(conn)
    if not left:
        console.print("Nothing of a replaced card's balance was left in suspense")
        return
    for one in left:
        since = one.returned_at.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S")
        console.print(f"{one.reference}  {yuan(one.amount_fen)} yuan since {since}", soft_wrap=True)
        whose = one.holder or "whoever has it: nobody is tied to it"
        console.print(
            f"    of card {one.old_card}, now card {one.card_no} ({one.state or 'not known here'}) of {whose}",
            soft_wrap=True,
        )
        console.print(f"    {one.remedy}", soft_wrap=True)
    total = yuan(sum(one.amount_fen for one in left))
    console.print(f"{len(left)} left behind, {total} yuan together, in suspense:migration", soft_wrap=True)


def order_again(
    reference: Annotated[str, typer.Argument(help="the load that went back, as `left-behind` lists it")],
    by: By,
    why: Why = "left in suspense by an earlier return",
) -> None:
    """Let what was left in suspense wait for the card again; any counter writes it on, or pays it out."""
    with books() as engine, sorting(), writing(engine) as conn:
        made = done(move_again(conn, reference, Act(by, now(), why), business_date=current_day(conn)))
    console.print(
        f"{yuan(made.moved_fen)} yuan of {made.old_card} to {made.new_card}: waits as load {made.reference}",
        soft_wrap=True,
    )


def take_back(
    card_no: Card,
    by: By,
    wear_fen: Amount = 0,
    to: To = "",
    place: Counter = AGENT,
    why: Why = "handed in",
) -> None:
    """Take a card back for good: the deposit is paid now, the balance by `refund` when it is certain."""
    with books() as engine, sorting(), writing(engine) as conn:
        payee = to or f"agent:{place}"
        day = current_day(conn)
        done(
            hand_in(conn, card_no, Act(by, now(), why, place), to=payee, wear_fen=wear_fen, business_date=day)
        )
    console.print(
        f"Card {card_no} is handed in; its deposit, less {yuan(wear_fen)} yuan, is paid to {payee}",
        soft_wrap=True,
    )


def pay_out(
    card_no: Card, by: By, to: To = "", place: Counter = AGENT, why: Why = "balance of a card handed in"
) -> None:
    """Pay what a card that was handed in holds, once no tap of it can come any more, and close it."""
    with books() as engine, sorting(), writing(engine) as conn:
        payee = to or f"agent:{place}"
        answer = refund(conn, card_no, Act(by, now(), why, place), to=payee, business_date=current_day(conn))
        _, paid_fen = done(answer)
    console.print(f"{yuan(paid_fen)} yuan are paid to {payee}; card {card_no} is closed", soft_wrap=True)
