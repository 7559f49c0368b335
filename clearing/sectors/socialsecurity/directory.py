"""Who an identity number belongs to here, and who may be paid: many at once, as batches ask."""

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from sqlalchemy import Connection, select

from card.tables import holder
from clearing.online.parties import locked_holders
from ledger.bulk import one_of


class Directory(Protocol):
    """What social security asks about persons. Every answer leaves out whom it knows nothing of."""

    def holders(self, conn: Connection, identity_nos: Sequence[str]) -> Mapping[str, str]:
        """The holder of each identity number that is enrolled."""

    def present(self, conn: Connection, holders: Sequence[str]) -> Set[str]:
        """Those of `holders` who are enrolled and not forgotten."""

    def locked(self, conn: Connection, holders: Sequence[str]) -> Set[str]:
        """Those of `holders` who have reported a loss that is not lifted."""


class BlindIndex(Protocol):
    """The part of the vault that finds a person without opening anything."""

    def index(self, kind: str, plain: str) -> bytes:
        """The blind index of a text of that kind."""


class HolderDirectory:
    """The directory of the city's own holders, found by the vault's blind index."""

    def __init__(self, vault: BlindIndex) -> None:
        self._vault = vault

    def holders(self, conn: Connection, identity_nos: Sequence[str]) -> Mapping[str, str]:
        """The holder of each identity number that is enrolled."""
        by_index = {self._vault.index("identity", number).hex(): number for number in identity_nos}
        columns = holder.c
        query = select(columns.identity_index, columns.id).where(
            one_of(conn, columns.identity_index, list(by_index))
        )
        return {by_index[row.identity_index]: row.id for row in conn.execute(query)}

    def present(self, conn: Connection, holders: Sequence[str]) -> Set[str]:
        """Those of `holders` who are enrolled and not forgotten."""
        columns = holder.c
        query = select(columns.id).where(one_of(conn, columns.id, holders), columns.forgotten_at.is_(None))
        return frozenset(conn.scalars(query))

    def locked(self, conn: Connection, holders: Sequence[str]) -> Set[str]:
        """Those of `holders` who have reported a loss that is not lifted."""
        return locked_holders(conn, holders)
