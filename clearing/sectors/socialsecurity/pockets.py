"""Where the subsidy pocket may be spent: at merchants of certain kinds, by one simple table.

The wallet is free. `subsidy:{holder}` is one pocket with one rule for the city, so that what is in it needs
no memory of which payer put it there.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from clearing.sectors.socialsecurity.tables import merchant_kind, subsidy_kind
from ledger.accounts import Conflict
from ledger.bulk import one_of

KIND = re.compile(r"[a-z][a-z_]{0,23}")
SUBSIDY = "subsidy:"


def set_merchant_kinds(conn: Connection, kinds: Mapping[str, str], *, at: datetime) -> int:
    """Say what kind of merchant each is (`canteen`, `farm_supplies`); how many were new.

    Raises ledger.accounts.Conflict where a merchant is of another kind already, and ValueError where a kind
    is not one; then nothing is changed.
    """
    for kind in kinds.values():
        _require_kind(kind)
    columns = merchant_kind.c
    query = select(columns.merchant, columns.kind).where(one_of(conn, columns.merchant, list(kinds)))
    held = {row.merchant: row.kind for row in conn.execute(query)}
    for merchant, ours in held.items():
        if ours != kinds[merchant]:
            raise Conflict(f"kind of merchant {merchant}", ours, kinds[merchant])
    new = [(merchant, kind) for merchant, kind in sorted(kinds.items()) if merchant not in held]
    if new:
        conn.execute(
            insert(merchant_kind),
            [{"merchant": merchant, "kind": kind, "registered_at": at} for merchant, kind in new],
        )
    return len(new)


def allow_kind(conn: Connection, kind: str, *, at: datetime) -> bool:
    """Let merchants of a kind take the subsidy pocket; False where they could before."""
    _require_kind(kind)
    if kind in allowed_kinds(conn):
        return False
    conn.execute(insert(subsidy_kind).values(kind=kind, allowed_at=at))
    return True


def forbid_kind(conn: Connection, kind: str) -> bool:
    """Let merchants of a kind take the subsidy pocket no longer; False where they could not before."""
    return conn.execute(delete(subsidy_kind).where(subsidy_kind.c.kind == kind)).rowcount > 0


def allowed_kinds(conn: Connection) -> frozenset[str]:
    """The kinds of merchants that take the subsidy pocket."""
    return frozenset(conn.scalars(select(subsidy_kind.c.kind)))


def takers(conn: Connection, merchants: Sequence[str]) -> frozenset[str]:
    """Those of `merchants` that take the subsidy pocket; one without a kind does not."""
    columns = merchant_kind.c
    query = (
        select(columns.merchant)
        .join(subsidy_kind, subsidy_kind.c.kind == columns.kind)
        .where(one_of(conn, columns.merchant, sorted(set(merchants))))
    )
    return frozenset(conn.scalars(query))


def _require_kind(kind: str) -> None:
    if not KIND.fullmatch(kind):
        raise ValueError(f"merchant kind {kind!r} is not one; use 1 to 24 small letters and underscores")
