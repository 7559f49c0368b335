"""The register of issued cards: which cards are ours, and how their keys are derived."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from datetime import date, datetime

from sqlalchemy import Connection, select

from card.tables import card
from ledger.accounts import Conflict, open_accounts
from ledger.bulk import insert_rows, one_of
from ledger.chart import account

DIGITS = 20


@dataclass(frozen=True, slots=True)
class CardRecord:
    """An issued card; `card_no` in 20 digits, `issuer` in 8 hex digits; class 1 standard, 2 half, 3 free, up to 255.

    `key_version` and `algorithm` are those of its keys; it is valid on both days and between. No days are known of
    cards registered before these were kept.
    """

    card_no: str
    issuer: str
    holder_class: int
    key_version: int
    algorithm: int
    issued_at: datetime
    status: str = "active"
    valid_from: date | None = None
    valid_until: date | None = None


def register(conn: Connection, cards: Sequence[CardRecord], *, at: datetime) -> int:
    """Enter cards in the register and open their purse and load accounts; how many were new.

    A card registered before with the same content changes nothing; its status may have changed since. Raises
    Conflict where it, or the same number twice in one call, has other content, and ValueError where a number
    is not 20 digits; then nothing is registered.
    """
    wanted: dict[str, CardRecord] = {}
    for record in cards:
        if len(record.card_no) != DIGITS or not (record.card_no.isascii() and record.card_no.isdigit()):
            raise ValueError(
                f"card number {record.card_no!r} is not {DIGITS} digits; give it as in file 15, bytes 10-19"
            )
        first = wanted.setdefault(record.card_no, record)
        if first != record:
            raise Conflict(f"card {record.card_no}", first, record)
    held = _held(conn, list(wanted))
    for card_no, ours in held.items():
        if replace(ours, status=wanted[card_no].status) != wanted[card_no]:
            raise Conflict(f"card {card_no}", ours, wanted[card_no])
    new = [record for card_no, record in wanted.items() if card_no not in held]
    if new:
        insert_rows(conn, card, ((*astuple(record), at) for record in new))
        open_accounts(
            conn,
            [account(f"{kind}:{record.card_no}") for record in new for kind in ("purse", "load")],
            at=at,
        )
    return len(new)


def find(conn: Connection, card_no: str) -> CardRecord | None:
    """The card's entry in the register, or None where the card is not ours."""
    return _held(conn, [card_no]).get(card_no)


def registered(conn: Connection, card_nos: Sequence[str]) -> set[str]:
    """Which of these numbers are cards that we have issued."""
    return set(conn.scalars(select(card.c.card_no).where(one_of(conn, card.c.card_no, list(card_nos)))))


def _held(conn: Connection, card_nos: list[str]) -> dict[str, CardRecord]:
    columns = [column for column in card.c if column.name != "registered_at"]
    found = conn.execute(select(*columns).where(one_of(conn, card.c.card_no, card_nos)))
    return {row.card_no: CardRecord(*row) for row in found}
