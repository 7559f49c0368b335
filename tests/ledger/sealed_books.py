"""Small books whose days are closed and sealed under a key that everybody knows."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from ledger import chart
from ledger.accounts import open_accounts
from ledger.day import begin_close, day_state, finish_close, open_day
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from ledger.seal import Seal, day_contents, store_seal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = KEY.public_key().public_bytes_raw()
KEY_VERSION = 3
Sign = Callable[[bytes], tuple[int, bytes]]
FIRST = date(2018, 9, 1)


def sign(root: bytes) -> tuple[int, bytes]:
    """As the HSM does it: the key's version, and the signature."""
    return KEY_VERSION, KEY.sign(root)


def at(day: date, hour: int = 3) -> datetime:
    return datetime.combine(day, time(hour, 4, 5, 678901), UTC)


def load(day: date, card: str, amount_fen: int, reference: str = "") -> Entry:
    line = Line("agent:A", f"purse:{card}", amount_fen, card)
    return Entry(reference or f"load:{card}", "load", day, at(day), (line,), "充值")


def ride(day: date, reference: str, *fares: tuple[str, int]) -> Entry:
    """One entry of many taps: (card, fare in fen)."""
    lines = tuple(Line(f"purse:{card}", "clearing:METRO-1", fare_fen, reference) for card, fare_fen in fares)
    return Entry(reference, "ride", day, at(day, 5), lines)


def open_books(engine: Engine, first: date = FIRST, cards: int = 4) -> None:
    codes = ["agent:A", "clearing:METRO-1", "income:fee", *(f"purse:{card}" for card in range(1, cards + 1))]
    with writing(engine) as conn:
        open_day(conn, first, at=at(first))
        open_accounts(conn, [chart.account(code) for code in codes], at=at(first))


def book(engine: Engine, *entries: Entry, closing: bool = False) -> None:
    with writing(engine) as conn:
        found = post(conn, entries, at=max(entry.event_at for entry in entries), closing=closing)
    assert all(isinstance(answer, Posted) for answer in found), found


def seal_day(engine: Engine, day: date, sign: Sign = sign) -> Seal:
    """Close a day and seal it, as a night does."""
    with writing(engine) as conn:
        begin_close(conn, day, at=at(day, 15))
        finish_close(conn, day, at=at(day, 16))
    with reading(engine) as conn:
        contents = day_contents(conn, day)
    with writing(engine) as conn:
        return store_seal(conn, contents, *sign(contents.root), at=at(day, 17))


def seal_until(engine: Engine, day: date, first: date = FIRST, sign: Sign = sign) -> None:
    """Close and seal every day from the first one on, up to and including `day`."""
    while first <= day:
        with reading(engine) as conn:
            there = day_state(conn, first) is not None
        if there:
            seal_day(engine, first, sign)
        first += timedelta(days=1)
