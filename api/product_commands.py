"""`onecard products …`: fare products that cards have bought, such as a month's pass, as their sellers tell them."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from api.doors import Refused, books, console, now, settings
from api.listings import Listing, figure, prose
from api.queue_commands import named
from api.tariff_files import bytes_of, flawed
from card.registry import registered
from city.home import CITY_ZONE
from city.world import tariffs_of
from clearing.sectors.transit.fare_file import TariffFlawed
from clearing.sectors.transit.fare_products import (
    REASON_CHARACTERS,
    SaleDiffers,
    Withdrawal,
    keep_sales,
    sales_to,
    withdraw_sale,
)
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.sectors.transit.sales_file import read_sales
from ledger.db import reading, writing
from ledger.money import yuan


def offered() -> None:
    """List what the city's fare tariffs let a card buy."""
    table = Listing("product", figure("yuan"), "holds for", "tariff", "from", "to")
    for tariff in _fares():
        for one in tariff.products:
            periods = f"{one.periods} {one.per}{'s' if one.periods > 1 else ''}"
            until = "until replaced" if tariff.valid_to is None else str(tariff.valid_to)
            named_so = f"{tariff.name} {tariff.version}"
            table.add(one.name, yuan(one.price_fen), periods, named_so, str(tariff.valid_from), until)
    console.print(table or "No tariff has a product: give one `products` (docs/formats/tariff.md)")


def take(
    file: Annotated[Path, typer.Argument(metavar="SALES", help="a CSV of sales (docs/fares.md)")],
) -> None:
    """Take in a seller's file of sales, whole or not at all; what was told before changes nothing."""
    data = bytes_of(file)
    offered_now = {one.name for tariff in _fares() for one in tariff.products}
    with books() as engine:
        try:
            with writing(engine) as conn:
                sales = read_sales(
                    data,
                    CITY_ZONE,
                    at=now(),
                    products=offered_now,
                    cards=lambda numbers: registered(conn, numbers),
                )
                new = keep_sales(conn, sales)
        except TariffFlawed as error:
            raise flawed(file, error.flaws) from error
        except SaleDiffers as error:
            raise Refused(f"{file.name}: {error}") from error
    console.print(f"{new} sales taken in, {len(sales) - new} known before")


def of_card(card_no: Annotated[str, typer.Argument(help="the card's 20 digits")]) -> None:
    """List what a card has bought, the newest first."""
    with books() as engine, reading(engine) as conn:
        found = sales_to(conn, card_no)
    table = Listing("reference", "product", "bought at", prose("taken back"))
    for sale, withdrawal in found:
        back = "" if withdrawal is None else f"{_local(withdrawal.at)} by {withdrawal.by}: {withdrawal.why}"
        table.add(sale.reference, sale.holding.product, _local(sale.holding.bought_at), back)
    console.print(table if found else f"Card {card_no} has bought nothing")


def withdraw(
    reference: Annotated[str, typer.Argument(help="the seller's number of the sale")],
    *,
    by: Annotated[str, typer.Option(help="who says so")],
    why: Annotated[str, typer.Option(help="why, such as: sold to the wrong card")],
) -> None:
    """Take a sale back: no night to come gives what it was for; rides that are settled stay as they are."""
    if not 0 < len(why.strip()) <= REASON_CHARACTERS:
        raise Refused(f"--why {why!r} says nothing; give 1 to {REASON_CHARACTERS} characters")
    withdrawal = Withdrawal(named(by), why.strip(), now())
    with books() as engine, writing(engine) as conn:
        found = withdraw_sale(conn, reference, withdrawal)
    match found:
        case None:
            raise Refused(f"no sale {reference!r} is known; `onecard products of CARD` lists a card's")
        case Withdrawal():
            raise Refused(
                f"sale {reference!r} was taken back by {found.by} at {_local(found.at)}: {found.why}"
            )
    console.print(f"{found.holding.product} of card {found.holding.card} is taken back")


def _fares() -> list[FareTariff]:
    try:
        return [one for one in tariffs_of(settings().city_home()) if isinstance(one, FareTariff)]
    except TariffFlawed as error:
        raise Refused("\n".join(map(str, error.flaws))) from error


def _local(at: datetime) -> str:
    return f"{at.astimezone(CITY_ZONE):%Y-%m-%d %H:%M:%S}"
