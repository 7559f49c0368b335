"""Participants of the scheme: who is paid, and on which bank account."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select, update

from ledger.accounts import Conflict
from settlement.tables import participant as participant_table

SCHEME: Final = "SCHEME"
"""The participant that runs the scheme: its account is the customer-funds reserve that pays the others."""

_ID = re.compile(r"[A-Z0-9][A-Z0-9-]{0,15}")
_ACCOUNT_NO = re.compile(r"[0-9A-Za-z-]{1,34}")
_BANK_CODE = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class Participant:
    """An operator, merchant or biller; `bank_code` is the bank's CNAPS number of 12 digits."""

    id: str
    name: str
    account_no: str
    bank_code: str
    bank_name: str
    name_zh: str = ""

    def __post_init__(self) -> None:
        for field, pattern, remedy in (
            ("id", _ID, "use 1 to 16 capital letters, digits and hyphens"),
            ("account_no", _ACCOUNT_NO, "give the bank account number, at most 34 letters and digits"),
            ("bank_code", _BANK_CODE, "give the bank's CNAPS code of 12 digits"),
        ):
            value = getattr(self, field)
            if not pattern.fullmatch(value):
                raise ValueError(f"participant {self.id!r}: {field} {value!r} is not possible; {remedy}")
        for field, least in (("name", 1), ("bank_name", 1), ("name_zh", 0)):
            value = getattr(self, field)
            if not least <= len(value.strip()) <= 140 or not value.isprintable():
                raise ValueError(
                    f"participant {self.id!r}: {field} {value!r} is not possible; "
                    f"give {least} to 140 printable characters"
                )

    @property
    def display_name(self) -> str:
        """The name a bank or a reader in the city knows it by."""
        return self.name_zh or self.name


def register_participants(conn: Connection, participants: Iterable[Participant], *, at: datetime) -> int:
    """Register those that are new and return how many; the same again changes nothing.

    Raises ledger.accounts.Conflict where an id is known with other particulars.
    """
    asked: dict[str, Participant] = {}
    for one in participants:
        if asked.setdefault(one.id, one) != one:
            raise Conflict(f"participant {one.id}", asked[one.id], one)
    known = participants_of(conn, tuple(asked))
    for one in asked.values():
        if one.id in known and known[one.id] != one:
            raise Conflict(f"participant {one.id}", known[one.id], one)
    new = [asdict(one) | {"registered_at": at} for one in asked.values() if one.id not in known]
    if new:
        conn.execute(insert(participant_table), new)
    return len(new)


def correct_account(conn: Connection, participant: Participant) -> None:
    """Let a registered participant be paid on another account from now on; whoever asks keeps what was before."""
    columns = participant_table.c
    values = {name: getattr(participant, name) for name in ("account_no", "bank_code", "bank_name")}
    conn.execute(update(participant_table).where(columns.id == participant.id).values(**values))


def participants_of(conn: Connection, ids: Sequence[str] | None = None) -> Mapping[str, Participant]:
    """The registered participants among `ids` (all, where none are given), by id and in its order."""
    table = participant_table.c
    columns = (table.id, table.name, table.account_no, table.bank_code, table.bank_name, table.name_zh)
    query = select(*columns).order_by(table.id)
    if ids is not None:
        query = query.where(table.id.in_(ids))
    return {row.id: Participant(*row) for row in conn.execute(query)}
