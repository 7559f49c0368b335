"""Posting: the one way in which money moves. Facts are loaded, everything is decided, then it is written."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import overload

from sqlalchemy import Connection

from ledger.archive import Archive
from ledger.decision import offered
from ledger.entry import Entry, Posted, Refused, mirrored
from ledger.facts import load_facts
from ledger.journal import of_references, read_entries, whole
from ledger.orders import Answer, Order
from ledger.store import decide_and_store
from ledger.stream import are_plain, post_plain


@overload
def post(
    conn: Connection, orders: Sequence[Entry], *, at: datetime, closing: bool = False
) -> list[Posted | Refused]: ...


@overload
def post(
    conn: Connection, orders: Sequence[Order], *, at: datetime, closing: bool = False
) -> list[Answer]: ...


def post(
    conn: Connection, orders: Sequence[Order], *, at: datetime, closing: bool = False
) -> Sequence[Answer]:
    """Book orders in one go and answer each, in the order given; `conn` comes from `ledger.db.writing`.

    The number of statements is bounded, however many orders or lines there are. An order sees the effect
    of those before it; one that is refused leaves no trace and does not sink the others. The same reference
    with the same content is answered with the first result. `at` is the instant of booking, at which holds
    that have run out end first; `closing` lets the night book on its closing day. Amounts are in fen.
    """
    if conn.dialect.name == "postgresql" and are_plain(orders):
        answers = post_plain(conn, orders, closing=closing, at=at)
        if answers is not None:
            return answers
    offers = offered(orders)
    facts = load_facts(conn, [offer.order for offer in offers if offer.flaw is None], at=at)
    return decide_and_store(conn, offers, facts, closing=closing, at=at)


def expire_holds(conn: Connection, *, at: datetime) -> int:
    """End the holds that have run out at `at`, as every posting does first, and say how many."""
    facts = load_facts(conn, [], at=at)
    decide_and_store(conn, [], facts, closing=False, at=at)
    return len(facts.due)


def reversal_of(
    conn: Connection,
    reference: str,
    *,
    reversal_reference: str,
    business_date: date,
    event_at: datetime,
    kind: str = "reversal",
    narrative: str = "",
    archive: Archive | None = None,
) -> Entry:
    """The mirror of a booked entry, to be posted. Raises LookupError when it is not in the books.

    Of an archived entry the lines come from `archive`, and LinesArchived, a LookupError, says that it is needed.
    """
    found = next(read_entries(conn, of_references(conn, [reference]), archive=archive), None)
    if found is None:
        raise LookupError(f"no entry {reference!r} is in the books; post it before reversing it")
    return Entry(
        reference=reversal_reference,
        kind=kind,
        business_date=business_date,
        event_at=event_at,
        lines=mirrored(whole(found).entry.lines),
        narrative=narrative,
        reverses=reference,
    )
