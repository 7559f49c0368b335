"""The catalogue of billers: who they are, what they supply, and whether a bill may be paid in parts."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select

from clearing.sectors.utilities.tables import biller as biller_table
from ledger.accounts import Conflict, open_accounts
from ledger.bulk import one_of
from ledger.chart import account


class Supply(StrEnum):
    """What a biller supplies."""

    WATER = "water"
    POWER = "power"
    GAS = "gas"
    CABLE = "cable"


@dataclass(frozen=True, slots=True)
class Biller:
    """A biller; `id` is the participant that is paid, `part_payment` whether it takes parts of a bill."""

    id: str
    name: str
    kind: Supply
    part_payment: bool = False


def register_billers(conn: Connection, billers: Iterable[Biller], *, at: datetime) -> int:
    """Enter billers in the catalogue and open their clearing accounts; how many were new.

    The same again changes nothing. Raises ledger.accounts.Conflict where an id is known otherwise.
    """
    wanted: dict[str, Biller] = {}
    for one in billers:
        if wanted.setdefault(one.id, one) != one:
            raise Conflict(f"biller {one.id}", wanted[one.id], one)
    known = {one.id: one for one in billers_of(conn, list(wanted))}
    for one in wanted.values():
        if known.get(one.id, one) != one:
            raise Conflict(f"biller {one.id}", known[one.id], one)
    new = [one for one in wanted.values() if one.id not in known]
    if new:
        conn.execute(insert(biller_table), [asdict(one) | {"registered_at": at} for one in new])
        open_accounts(conn, [account(f"clearing:{one.id}") for one in new], at=at)
    return len(new)


def billers_of(conn: Connection, ids: Sequence[str] | None = None) -> list[Biller]:
    """The billers among `ids` (all, where none are given), by id."""
    columns = biller_table.c
    query = select(columns.id, columns.name, columns.kind, columns.part_payment).order_by(columns.id)
    if ids is not None:
        query = query.where(one_of(conn, columns.id, ids))
    return [Biller(row.id, row.name, Supply(row.kind), row.part_payment) for row in conn.execute(query)]


def biller_of(conn: Connection, biller_id: str) -> Biller | None:
    """The biller of an id, or None where it is not in the catalogue."""
    return next(iter(billers_of(conn, [biller_id])), None)
