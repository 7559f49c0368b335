"""Plain entries on PostgreSQL, as they come together online: in parts, each at work while others are decided.

All questions are asked part by part before the first answer is heard, and what is decided over a part is written
while the next is decided. So client and server work at once, where they would take turns: in a call of 256 entries
each of them waited for the other half of the time.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Final, TypeGuard

from sqlalchemy import Connection

from ledger.db import LOCK_WRITERS
from ledger.decision import Offer, answer, offered
from ledger.entry import Entry
from ledger.entry_rows import say_entries
from ledger.facts import (
    ACCOUNTS,
    BOOKED,
    DAYS,
    FORESTALLED,
    RAN_OUT,
    Facts,
    accounts_of,
    booked_of,
    codes_of,
    days_of,
)
from ledger.moved import added_by
from ledger.orders import Answer, Order
from ledger.questions import AS_IT_LIKES, BY_KEY, array_of
from ledger.standing import Standing
from ledger.talk import talking
from ledger.totals import say_totals

if TYPE_CHECKING:
    from ledger.pipeline import Talk

MOST: Final = 1_000
"""Orders in a call: of more than that, COPY takes in rows faster."""

PARTS: Final = 4
"""At most so many parts: each is some statements more."""

LEAST: Final = 16
"""Orders in a part: fewer are done before the next are decided."""


def are_plain(orders: Sequence[Order]) -> "TypeGuard[Sequence[Entry]]":
    """Whether these are entries, not too many, and none has to do with a hold or with another entry."""
    if len(orders) > MOST:
        return False
    for order in orders:
        if not isinstance(order, Entry) or order.reverses is not None or order.settles is not None:
            return False
    return True


def post_plain(
    conn: Connection, orders: Sequence[Entry], *, closing: bool, at: datetime
) -> list[Answer] | None:
    """`ledger.post.post` for plain entries on PostgreSQL; None where a hold has run out, which is to end first."""
    dates = {order.business_date for order in orders}
    with talking(conn) as talk:
        for words, values in (
            (LOCK_WRITERS, ()),
            (BY_KEY, ()),
            (DAYS.in_postgresql, (min(dates, default=date.max), max(dates, default=date.min))),
            (RAN_OUT.in_postgresql, (at,)),
        ):
            talk.say(words, values)
        parts = _ask(talk, orders)
        _, _, days, ran_out = talk.hear(4)
        books = None
        if not ran_out:
            books = Standing(Facts(days=days_of(days, dates)), closing=closing, at=at)
            _book(talk, books, parts)
        talk.say(AS_IT_LIKES)
    return None if books is None else books.decision.answers


def _ask(talk: "Talk", orders: Sequence[Entry]) -> list[list[Offer]]:
    """Look at each order alone and ask for what is needed to decide over it, a part at a time."""
    parts, asked = [], set[str]()
    a_part = max(LEAST, -(-len(orders) // PARTS))
    for start in range(0, len(orders), a_part):
        offers = offered(orders[start : start + a_part])
        possible = [offer.order for offer in offers if offer.flaw is None]
        references = array_of(list({order.reference for order in possible}))
        codes = codes_of(possible) - asked
        asked |= codes
        talk.say(ACCOUNTS.in_postgresql, (array_of(list(codes)),))
        talk.say(BOOKED.in_postgresql, (references,))
        talk.say(FORESTALLED.in_postgresql, (references,))
        talk.send()
        parts.append(offers)
    return parts


def _book(talk: "Talk", books: Standing, parts: Sequence[Sequence[Offer]]) -> None:
    """Decide over each part and have it written, then what all of them add to accounts."""
    accepted, accounts = books.decision.accepted, books.decision.accounts
    for offers in parts:
        account_rows, booked, forestalled = talk.hear(3)
        books.learn(accounts_of(account_rows), booked_of(booked), dict(forestalled))
        said = len(accepted)
        answer(books, offers)
        if len(accepted) > said:
            say_entries(talk, accepted[said:], accounts, at=books.at)
            talk.send()
    if accepted:
        say_totals(talk, *added_by(books.decision))
