"""`onecard counter …`: a load counter with a card on its reader; `onecard loads`: what waits to be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from api.counter_desk import CounterDesk
from api.counter_opening import (
    Place,
    batch_numbers,
    card_on_reader,
    counters_folder,
    opened_counter,
    opened_till,
    till_of,
)
from api.doors import Refused, books, console, now
from api.keyboard import keys
from api.pos_commands import AT_HOME, pos_at
from city.agent import AGENT
from city.home import CITY_ZONE
from city.issuing import COUNTER_TERMINAL
from clearing.online.load_attempts import waiting_loads
from ledger.day import current_day
from ledger.db import reading
from ledger.money import yuan
from terminals.counter import CardOnReader, LoadCounter, LoadOutcome
from terminals.counter_lines import lines_of
from terminals.counter_screen import Screen, press, told
from terminals.counter_texts import CounterText, shown, waiting_line
from terminals.reader import Transmits
from terminals.shelf import BatchState, OutboxError
from terminals.till import sale, shown_sale
from terminals.upload import Uploader

counter = typer.Typer(
    help="A counter: its screen for a clerk, or one thing at a time with a card on its reader.",
    invoke_without_command=True,
)

Amount = Annotated[int, typer.Argument(help="amount in fen", min=1)]
Reference = Annotated[str, typer.Argument(help="the load's reference; left out, the oldest that waits")]


@dataclass(frozen=True, slots=True)
class Desk:
    """An open counter with a card on its reader."""

    counter: LoadCounter
    card: Transmits


@counter.callback()
def place(
    ctx: typer.Context,
    terminal: Annotated[str, typer.Option(help="the counter's number, 12 hex characters")] = COUNTER_TERMINAL,
    agent: Annotated[str, typer.Option(help="who runs the counter and has the cash")] = AGENT,
    card: Annotated[str, typer.Option(help="a card of the simulated city, by its 20 digits")] = "",
    reader: Annotated[str, typer.Option(help="host:port of a card on a reader across the network")] = "",
    clerk: Annotated[str, typer.Option(help="who sits at the counter")] = "clerk",
    pos: Annotated[
        str, typer.Option(help="the purchase terminal beside it, as `onecard pos enrol` made it")
    ] = "",
    gateway: Annotated[str, typer.Option(help="host:port of the gateway for purchases")] = AT_HOME,
    office: Annotated[
        str, typer.Option(help="address of the back office, where it is not here: https://host")
    ] = "",
) -> None:
    """Open the counter's screen for a clerk at a keyboard; with a command, do one thing and end."""
    if len(terminal) != 12 or not all(digit in "0123456789ABCDEFabcdef" for digit in terminal):
        raise Refused(f"--terminal is {terminal!r}; give 12 hex characters, such as {COUNTER_TERMINAL}")
    ctx.obj = Place(terminal.upper(), agent, card, reader, clerk, pos, gateway, office)
    if ctx.invoked_subcommand is None:
        _run_screen(ctx.obj)


@counter.command()
def sell(ctx: typer.Context, amount_fen: Amount) -> None:
    """Sell something out of the chip's purse; a sale torn before is proven first and not paid again."""
    with opened_till(ctx.obj) as (opened, made, _), card_on_reader(opened, ctx.obj) as card:
        text = shown_sale(made.tap(card, sale(amount_fen), at=now()))
    console.print(f"{text.chinese}　{text.english}", soft_wrap=True)
    if not text.good:
        raise typer.Exit(1)


@counter.command()
def upload(
    ctx: typer.Context,
    operator: Annotated[str, typer.Argument(help="whom the sales are of, as clearing knows it: SHOP-1")],
) -> None:
    """Put what was sold into batches for clearing, and send again what is not acknowledged."""
    with opened_till(ctx.obj) as (opened, made, outbox), batch_numbers() as numbers:
        outbox.number_by(partial(numbers.next_of, operator, made.identity.terminal))
        with reading(opened.engine) as conn:
            day = current_day(conn)
        uploader = Uploader(operator, outbox, opened.hsm, opened.home.inbox)
        try:
            done, new = uploader.take_acknowledgements(), uploader.make(day, at=now())
        except OutboxError as error:
            raise Refused(str(error)) from error
        sent, held = uploader.send(), outbox.batches(BatchState.HELD)
    console.print(f"{len(new)} batches made, {len(sent)} sent, {len(done)} acknowledged", soft_wrap=True)
    for one in held:
        what = f"batch {one.sequence} of {one.operator}, {one.records} sales, is held: {one.reason}"
        console.print(what, soft_wrap=True)
    if held:
        raise typer.Exit(1)


@counter.command()
def look(ctx: typer.Context) -> None:
    """Show the card, what it holds, and the loads that wait for it."""
    with desk(ctx.obj) as open_desk:
        found = _looked(open_desk)
    assert found.public is not None
    console.print(
        f"卡 {found.public.card_no} 余额{yuan(found.balance_fen)}元　Balance ¥{yuan(found.balance_fen)}",
        soft_wrap=True,
    )
    if not found.waiting:
        console.print("没有待补登的充值　No load waits for this card", soft_wrap=True)
    for one in found.waiting:
        text = waiting_line(one)
        console.print(f"{text.chinese}　{text.english}　{one.reference}", soft_wrap=True)


@counter.command()
def load(ctx: typer.Context, amount_fen: Amount) -> None:
    """Load the card for cash; a load torn before is proven first and not made again."""
    with desk(ctx.obj) as open_desk:
        _tell(open_desk.counter.load(open_desk.card, amount_fen, at=now()))


@counter.command()
def complete(ctx: typer.Context, reference: Reference = "") -> None:
    """Write a load that waits onto the card, wherever it was paid or begun (补登)."""
    with desk(ctx.obj) as open_desk:
        chosen = _chosen(open_desk, reference)
        _tell(open_desk.counter.complete(open_desk.card, chosen, at=now()))


@counter.command("return")
def give_back(ctx: typer.Context, reference: Reference = "") -> None:
    """Give a load that waits back to who paid it; the card shows that it has not taken it."""
    with desk(ctx.obj) as open_desk:
        chosen = _chosen(open_desk, reference)
        _tell(open_desk.counter.give_back(open_desk.card, chosen, at=now()))


def loads(card_no: Annotated[str, typer.Argument(help="the card's 20 digits; left out, all")] = "") -> None:
    """List the loads that are paid and not known to be on a card: each is completed or returned at any counter."""
    with books() as engine, reading(engine) as conn:
        waiting = waiting_loads(conn, card_no or None)
    if not waiting:
        console.print("No load waits" + (f" for card {card_no}" if card_no else ""))
        return
    for one in waiting:
        since = one.ordered_at.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S")
        last = (
            f", {len(one.attempts)}×, last at {one.attempts[-1].terminal}"
            if one.attempts
            else ", never tried"
        )
        console.print(f"{one.reference}  card {one.card_no}", soft_wrap=True)
        console.print(
            f"    {yuan(one.amount_fen)} yuan from {one.paid_from} since {since}{last}", soft_wrap=True
        )
    total = yuan(sum(one.amount_fen for one in waiting))
    console.print(
        f"{len(waiting)} wait, {total} yuan together; with the card: `onecard counter complete` or `return`",
        soft_wrap=True,
    )


@contextmanager
def desk(at: Place) -> Iterator[Desk]:
    """The counter at work, with the card that is named on its reader."""
    with opened_counter(at) as opened, card_on_reader(opened.city, at) as card:
        yield Desk(opened.counter, card)


def _run_screen(at: Place) -> None:
    """Keys in, screens out, until the clerk quits."""
    with opened_counter(at) as opened:
        served = CounterDesk(
            opened.office,
            opened.counter,
            lambda: card_on_reader(opened.city, at),
            terminal=at.terminal,
            clerk=at.clerk,
            receipts=counters_folder() / "receipts",
            now=now,
            selling=lambda: till_of(opened.city, at.terminal),
            purchasing=(lambda: pos_at(at.pos, at.gateway)) if at.pos else None,
        )
        screen = Screen()
        _show(screen)
        for key in keys():
            screen, order = press(screen, key)
            if order is not None:
                said = served.do(order, screen.card)
                screen = told(screen, said.text, said.card, has_receipt=said.has_receipt)
            if screen.over:
                return
            _show(screen)


def _show(screen: Screen) -> None:
    console.clear()
    console.print("\n".join(lines_of(screen)), highlight=False, soft_wrap=True)


def _looked(open_desk: Desk) -> CardOnReader:
    found = open_desk.counter.look(open_desk.card, at=now())
    if found.refusal is not None:
        _tell(LoadOutcome(found.refusal, detail=found.detail))
    return found


def _chosen(open_desk: Desk, reference: str) -> str:
    """The reference given, or that of the oldest load that waits for the card."""
    if reference:
        return reference
    waiting = _looked(open_desk).waiting
    if not waiting:
        raise Refused("no load waits for this card; `onecard loads` lists those that wait")
    return waiting[0].reference


def _tell(outcome: LoadOutcome) -> None:
    text: CounterText = shown(outcome)
    console.print(f"{text.chinese}　{text.english}", soft_wrap=True)
    if not text.good:
        raise typer.Exit(1)
