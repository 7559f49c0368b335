"""Sales of fare products as a CSV file that a seller brings: one row a sale."""

from collections.abc import Callable, Collection
from datetime import datetime, tzinfo
from typing import Final

from clearing.sectors.transit.csv_rows import MOST_FLAWS, instant_of, numbered_rows
from clearing.sectors.transit.fare_file import Flaw, TariffFlawed
from clearing.sectors.transit.fare_products import REFERENCE_CHARACTERS, Sale
from clearing.sectors.transit.fare_taps import Holding

COLUMNS: Final = ("reference", "card_no", "product", "bought_at")
CARD_DIGITS: Final = 20


def read_sales(
    data: bytes,
    zone: tzinfo,
    *,
    at: datetime,
    products: Collection[str],
    cards: Callable[[list[str]], Collection[str]],
) -> list[Sale]:
    """Read sales of these products that were made until `at`; a time without an offset is in `zone`.

    `cards` says which of some card numbers are in the register. Raises TariffFlawed with every cell that is wrong:
    a file is taken whole or not at all.
    """
    rows = numbered_rows(data, COLUMNS)
    known = set(cards(sorted({row["card_no"] for _, row in rows})))
    flaws, sales = [], []
    for number, row in rows:
        bought_at = instant_of(row["bought_at"], zone)
        if bought_at is not None and bought_at > at:
            bought_at = None
        flaw = _flaw(number, row, products, known, sold=bought_at is not None)
        if flaw is not None:
            flaws.append(flaw)
        elif bought_at is not None:
            sales.append(Sale(row["reference"], Holding(row["card_no"], row["product"], bought_at)))
    if flaws or not sales:
        raise TariffFlawed(tuple(flaws[:MOST_FLAWS]) or (Flaw("the file", "no sales", "give a row a sale"),))
    return sales


def _flaw(
    number: int, row: dict[str, str], products: Collection[str], known: Collection[str], *, sold: bool
) -> Flaw | None:
    card_no, reference = row["card_no"], row["reference"]
    called = 0 < len(reference) <= REFERENCE_CHARACTERS and reference.isprintable()
    digits = len(card_no) == CARD_DIGITS and card_no.isascii() and card_no.isdecimal()
    offered = ", ".join(sorted(products)) or "there is none"
    checks = (
        ("reference", called, f"give the seller's own number, 1 to {REFERENCE_CHARACTERS} characters"),
        ("card_no", digits, f"give {CARD_DIGITS} digits"),
        ("card_no", card_no in known, "give a card of the register; this one was never issued"),
        ("product", row["product"] in products, f"give a product of the city's tariffs: {offered}"),
        ("bought_at", sold, "give the time of the sale, which is over, such as 2026-03-02T08:00"),
    )
    return next(
        (Flaw(f"row {number} {name}", row[name], remedy) for name, holds, remedy in checks if not holds), None
    )
