"""Fare products that cards have bought, such as a day pass: kept once each, and read for a night's cards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select, update

from clearing.sectors.transit.fare_taps import Holding
from clearing.tables import fare_holding
from ledger.bulk import one_of

REFERENCE_CHARACTERS: Final = 64
REASON_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Sale:
    """A product sold to a card; `reference` is the seller's own number for it."""

    reference: str
    holding: Holding


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """That a sale was taken back: who says so, why, and since when."""

    by: str
    why: str
    at: datetime


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


def withdraw_sale(conn: Connection, reference: str, withdrawal: Withdrawal) -> Sale | Withdrawal | None:
    """Take a sale back, so that no night to come gives what it was for; what is settled stays.

    The sale; or by whom it was taken back before, which stands; None where there is no such sale.
    """
    columns = fare_holding.c
    query = select(fare_holding).where(columns.reference == reference)
    row = conn.execute(query).one_or_none()
    if row is None:
        return None
    if row.withdrawn_at is not None:
        return Withdrawal(row.withdrawn_by, row.withdrawn_why, row.withdrawn_at)
    conn.execute(
        update(fare_holding)
        .where(columns.reference == reference)
        .values(withdrawn_at=withdrawal.at, withdrawn_by=withdrawal.by, withdrawn_why=withdrawal.why)
    )
    return Sale(reference, Holding(row.card_no, row.product, row.bought_at))


def sales_to(conn: Connection, card_no: str) -> list[tuple[Sale, Withdrawal | None]]:
    """All that a card has bought, the newest first, each with how it was taken back if it was."""
    query = select(fare_holding).where(fare_holding.c.card_no == card_no)
    rows = conn.execute(query.order_by(fare_holding.c.bought_at.desc(), fare_holding.c.reference))
    return [
        (
            Sale(row.reference, Holding(row.card_no, row.product, row.bought_at)),
            row.withdrawn_at and Withdrawal(row.withdrawn_by, row.withdrawn_why, row.withdrawn_at),
        )
        for row in rows
    ]


def holdings_of(conn: Connection, cards: Sequence[str]) -> list[Holding]:
    """What these cards have bought and not taken back, in the order of the sellers' references."""
    query = (
        select(fare_holding)
        .where(one_of(conn, fare_holding.c.card_no, cards), fare_holding.c.withdrawn_at.is_(None))
        .order_by(fare_holding.c.reference)
    )
    return [Holding(row.card_no, row.product, row.bought_at) for row in conn.execute(query)]
