"""`onecard card NUMBER`: what is cleared, what is pending, and the last taps."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy import Connection, select

from api.doors import Refused, books, console
from api.listings import Listing, figure
from card.registry import find
from city.home import CITY_ZONE
from clearing.holder.holdings import Why, purse_waiting
from clearing.tables import tap
from ledger.balances import balance
from ledger.db import reading
from ledger.money import yuan

LAST_TAPS = 50


@dataclass(frozen=True, slots=True)
class CardTap:
    """One tap of the card as clearing decided it; amounts in fen."""

    event_at: datetime | None
    ride: int
    operator: str
    line: int
    station: int
    list_fare_fen: int
    amount_fen: int
    paid_fen: int
    verdict: str
    money: str


@dataclass(frozen=True, slots=True)
class CardStatement:
    """A card's money: `cleared_fen` is the ledger's; pending taps are debited on the chip and not yet decided."""

    card_no: str
    status: str
    holder_class: int
    cleared_fen: int
    pending_taps_fen: int
    pending_loads_fen: int
    taps: tuple[CardTap, ...]


def card_statement(conn: Connection, card_no: str) -> CardStatement | str:
    """The card's statement, or a sentence that says what to do about the number."""
    if len(card_no) != 20 or not card_no.isdecimal():
        return f"A card number has 20 digits; this one has {len(card_no)} characters. It is on the back of the card."
    record = find(conn, card_no)
    if record is None:
        return "No card of this city has that number. Check the digits on the back of the card."
    columns = tap.c
    rows = conn.execute(
        select(
            columns.event_at, columns.ride, columns.operator, columns.line, columns.station, columns.list_fare_fen,
            columns.amount_fen, columns.paid_fen, columns.verdict, columns.money,
        )
        .where(columns.card_no == card_no)
        .order_by(columns.counter.desc(), columns.event_at.desc())
        .limit(LAST_TAPS)
    )  # fmt: skip
    taps = tuple(CardTap(**row._mapping) for row in rows)
    waiting = {one.why: one.amount_fen for one in purse_waiting(conn, card_no)}
    return CardStatement(
        card_no=card_no,
        status=record.status,
        holder_class=record.holder_class,
        cleared_fen=balance(conn, f"purse:{card_no}").balance_fen,
        pending_taps_fen=-waiting.get(Why.TAP_UNDECIDED, 0),
        pending_loads_fen=waiting.get(Why.LOAD_ORDERED, 0),
        taps=taps,
    )


def show_card(card_no: Annotated[str, typer.Argument(help="the card's 20 digits")]) -> None:
    """Show one card: what is cleared, what is pending, its newest taps with their verdicts."""
    with books() as engine, reading(engine) as conn:
        statement = card_statement(conn, card_no)
    if isinstance(statement, str):
        raise Refused(statement)
    console.print(
        f"Card {statement.card_no}: {yuan(statement.cleared_fen)} yuan cleared, "
        f"{yuan(statement.pending_taps_fen)} in taps not yet decided, "
        f"{yuan(statement.pending_loads_fen)} in loads on their way"
    )
    table = Listing("when", "operator", "line · stop", figure("charged, yuan"), "verdict", "money")
    for one in statement.taps:
        when = one.event_at.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S") if one.event_at else "–"
        place = f"{one.line} · {one.station}"
        table.add(when, one.operator, place, yuan(one.amount_fen), one.verdict, one.money)
    console.print(table or "No tap of it has come yet")
