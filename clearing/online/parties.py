"""Who takes part in an online payment, as far as a decision needs to know: accounts in use, losses reported."""

import re
from collections.abc import Iterable

from sqlalchemy import Connection, select

from card.tables import loss
from ledger.bulk import one_of
from ledger.tables import account, total

MERCHANT = re.compile(r"[A-Z0-9][A-Z0-9-]{0,15}")
HOLDER = re.compile(r"H[0-9]{10}")
REFERENCE_LENGTH = 128
POCKETS = ("wallet", "medical", "subsidy")
"""What a holder may pay from online."""


def open_codes(conn: Connection, codes: Iterable[str]) -> frozenset[str]:
    """Those of `codes` that are accounts in use."""
    query = (
        select(account.c.code)
        .join(total, total.c.account_id == account.c.id)
        .where(one_of(conn, account.c.code, sorted(set(codes))), ~total.c.closed)
    )
    return frozenset(conn.scalars(query))


def locked_holders(conn: Connection, holders: Iterable[str]) -> frozenset[str]:
    """Those of `holders` who have reported a loss that is not lifted."""
    query = select(loss.c.holder).where(
        one_of(conn, loss.c.holder, sorted(set(holders))), loss.c.lifted_at.is_(None)
    )
    return frozenset(conn.scalars(query))


def wallet(holder: str) -> str:
    """The account of a holder's wallet."""
    return f"wallet:{holder}"


def text_flaw(name: str, text: str, longest: int, *, empty: bool = False) -> str | None:
    """What is wrong with a text that goes into the books, or None."""
    if not text and not empty:
        return f"{name} is empty; give one"
    if len(text) > longest:
        return f"{name} has {len(text)} characters; give at most {longest}"
    if not text.isprintable():
        return f"{name} {text!r} holds a character that cannot be printed; take it out"
    return None
