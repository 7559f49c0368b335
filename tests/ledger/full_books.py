"""Books in which every table has rows of every kind: four days, two of them sealed, and holds of every end."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from ledger import chart
from ledger.accounts import close_account, open_accounts, reopen_account
from ledger.day import begin_close, finish_close
from ledger.db import writing
from ledger.entry import Entry, Line, Refused
from ledger.orders import Hold, Order, Reversal, Void
from ledger.post import post
from ledger.seal import Seal, day_contents, store_seal
from tests.ledger.some_books import AT, DAY, Books, overtake

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY_VERSION = 3
DAYS = [DAY + timedelta(days=number) for number in range(4)]
"""The first two are sealed, the third is closing, the fourth is open."""


def public_key(version: int) -> bytes:
    """The public key of the seals in these books."""
    if version != KEY_VERSION:
        raise LookupError(f"there is no key of version {version}")
    return KEY.public_key().public_bytes_raw()


def close_and_seal(conn: Connection, business_date: date, *, at: datetime) -> Seal:
    """End a day that is closing, and seal it."""
    finish_close(conn, business_date, at=at)
    contents = day_contents(conn, business_date)
    return store_seal(conn, contents, KEY_VERSION, KEY.sign(contents.root), at=at)


def tap(card: str, amount_fen: int, reference: str, day: date) -> Entry:
    """A ride of some fen."""
    return Entry(
        reference, "tap", day, AT, (Line(f"purse:{card}", "clearing:METRO-1", amount_fen, reference),)
    )


def hold(reference: str, *lines: Line, hours: int) -> Hold:
    """Money set aside for some hours from the first day's instant on."""
    return Hold(reference, "counter", AT, AT + timedelta(hours=hours), lines, "held")


def fill(books: Books) -> None:
    """Put something of every kind into fresh books."""
    now = AT

    def book(*orders: Order, closing: bool = False) -> None:
        nonlocal now
        now += timedelta(minutes=1)
        with writing(books.engine) as conn:
            refused = [
                found for found in post(conn, orders, at=now, closing=closing) if isinstance(found, Refused)
            ]
        assert not refused, refused

    first, second, third, fourth = DAYS
    with writing(books.engine) as conn:
        codes = ("purse:3", "purse:4", "wallet:h1")
        open_accounts(conn, [chart.account(code, owner="holder 1") for code in codes], at=now)
        close_account(conn, "purse:3", at=now)
        close_account(conn, "purse:4", at=now)
        reopen_account(conn, "purse:4", at=now)
    book(*_first_orders(first))
    book(
        Entry(
            "pay:1", "pay", first, AT, (Line("purse:1", "clearing:METRO-1", 60, "p"),), settles="hold:settled"
        )
    )
    book(tap("1", 21, "tap:1", first), Reversal("back:1", "tap:1", first, AT, narrative="wrong fare"))
    for business_date, following in ((first, second), (second, third), (third, fourth)):
        with writing(books.engine) as conn:
            begin_close(conn, business_date, at=now)
        # The night books on its day while the next one goes on.
        book(tap("1", 5, f"early:{following}", following))
        late, noon = (
            tap("1", 3, f"late:{business_date}", business_date),
            tap("1", 2, f"noon:{following}", following),
        )
        if business_date is second:
            now += timedelta(minutes=2)
            overtake(books.engine, late, noon, at=now)
        else:
            book(late, closing=True)
            book(noon)
        if business_date is not third:
            with writing(books.engine) as conn:
                close_and_seal(conn, business_date, at=now)
        now += timedelta(hours=12)
    book(hold("hold:new", Line("wallet:h1", "clearing:METRO-1", 11), hours=1000))


def _first_orders(day: date) -> Sequence[Order]:
    shared = (Line("purse:2", "clearing:METRO-1", 20, "a"), Line("purse:1", "income:fee", 10, "b"))
    loads = tuple(Line("agent:A", code, 500, code) for code in ("purse:1", "purse:2", "wallet:h1"))
    return (
        Entry("load", "load", day, AT, loads),
        hold("hold:open", *shared, hours=1000),
        hold("hold:settled", Line("purse:1", "clearing:METRO-1", 100, "p"), hours=2),
        hold("hold:voided", Line("purse:2", "clearing:METRO-1", 30), hours=2),
        hold("hold:over", Line("purse:2", "clearing:METRO-1", 40), hours=2),
        Void("hold:voided"),
        Void("hold:never"),
        Reversal("back:never", "tap:never", day, AT),
        Entry("fee", "fee", day, AT, (Line("clearing:METRO-1", "income:fee", 1),), "站台费"),
    )
