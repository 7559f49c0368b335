"""Fare products that cards have bought, such as a day pass: kept once each, and read for a night's cards."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from clearing.sectors.transit.fare_taps import Holding
from clearing.tables import fare_holding
from ledger.bulk import one_of


@dataclass(frozen=True, slots=True)
class Sale:
    """A product sold to a card; `reference` is the seller's own number for it."""

    reference: str
    holding: Holding


class SaleDiffers(Exception):
    """A sale under a reference that stands for another one."""

    def __init__(self, sale: Sale, before: Holding) -> None:
        super().__init__(
            f"reference {sale.reference} is {sale.holding.product} for card {sale.holding.card} now, and was"
            f" {before.product} for card {before.card} before: give it a reference of its own"
        )


def keep_sales(conn: Connection, sales: Sequence[Sale]) -> int:
    """Keep sales, and say how many are new; one that is told again changes nothing.

    Raises SaleDiffers where a reference comes again with another card, product or instant.
    """
    asked = one_of(conn, fare_holding.c.reference, [sale.reference for sale in sales])
    known = {
        row.reference: Holding(row.card_no, row.product, row.bought_at)
        for row in conn.execute(select(fare_holding).where(asked))
    }
    rows = []
    for sale in sales:
        holding = sale.holding
        if sale.reference not in known:
            known[sale.reference] = holding
            rows.append(
                {
                    "reference": sale.reference,
                    "card_no": holding.card,
                    "product": holding.product,
                    "bought_at": holding.bought_at,
                }
            )
        elif known[sale.reference] != holding:
            raise SaleDiffers(sale, known[sale.reference])
    if rows:
        conn.execute(insert(fare_holding), rows)
    return len(rows)


def holdings_of(conn: Connection, cards: Sequence[str]) -> list[Holding]:
    """What these cards have bought, in the order of the sellers' references."""
    query = (
        select(fare_holding)
        .where(one_of(conn, fare_holding.c.card_no, cards))
        .order_by(fare_holding.c.reference)
    )
    return [Holding(row.card_no, row.product, row.bought_at) for row in conn.execute(query)]
