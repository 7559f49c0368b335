"""Chips against purses: what a card last said it holds, and what we owe its holder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal,
    select,
    union_all,
)

from card.life import State
from card.tables import card
from clearing.facts import disbelieved
from clearing.online.load import RETURNED
from clearing.tables import card_position, tap
from clearing.verdict import Money, Verdict
from ledger import chart
from ledger.archive import Archive
from ledger.balances import accounts_on
from ledger.bulk import one_of
from ledger.db import Instant
from ledger.history import beyond_the_books, booked_above, happened_by, walks
from ledger.questions import looking_up
from ledger.snapshots import total_fen
from ledger.tables import account, day, entry, line
from settlement.bank_files import decimal_yuan

CHIP_COLUMNS: Final = (
    "card", "chip yuan", "loaded since yuan", "purse yuan", "difference yuan", "suspended yuan",
    "rejected yuan", "shortfall yuan", "remainder yuan", "missing taps", "reason",
)  # fmt: skip


CARD_DIGITS: Final = 20
PURSE: Final = "purse:"
LOAD: Final = "load:"
"""With what the codes of a card's accounts begin, before its number: its purse, and what was paid to load it."""


class Reason(StrEnum):
    """Why a purse and its chip differ, in order of precedence."""

    EXPLAINED = "explained"  # taps of the card that are suspended or rejected, and shortfalls, add up to it
    LOAD_PENDING = "load_pending"  # the chip holds a load that it has not confirmed
    TAPS_DOUBTFUL = "taps_doubtful"  # taps that the card did not prove to have made add up to the remainder
    TAPS_MISSING = "taps_missing"  # counters were never presented, so their amounts are not known
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Difference:
    """One card whose purse is not what its chip last said plus what was loaded since; amounts in fen."""

    card_no: str
    chip_fen: int
    loaded_fen: int
    purse_fen: int
    suspended_fen: int
    rejected_fen: int
    shortfall_fen: int
    pending_fen: int
    doubtful_fen: int
    missing_taps: int

    @property
    def difference_fen(self) -> int:
        """What the purse is above the chip."""
        return self.purse_fen - self.chip_fen - self.loaded_fen

    @property
    def remainder_fen(self) -> int:
        """What is left of the difference after taps that were made and not booked."""
        return self.difference_fen - self.suspended_fen - self.rejected_fen - self.shortfall_fen

    @property
    def reason(self) -> Reason:
        """The first reason that covers the whole difference."""
        if self.remainder_fen == 0:
            return Reason.EXPLAINED
        if self.pending_fen and self.remainder_fen == -self.pending_fen:
            return Reason.LOAD_PENDING
        if self.remainder_fen == self.doubtful_fen:
            return Reason.TAPS_DOUBTFUL
        if self.missing_taps:
            return Reason.TAPS_MISSING
        return Reason.UNEXPLAINED

    def row(self) -> Sequence[object]:
        """The difference as CHIP_COLUMNS."""
        amounts = (
            self.chip_fen, self.loaded_fen, self.purse_fen, self.difference_fen, self.suspended_fen,
            self.rejected_fen, self.shortfall_fen, self.remainder_fen,
        )  # fmt: skip
        return (self.card_no, *map(decimal_yuan, amounts), self.missing_taps, self.reason)


def compared_chips(conn: Connection) -> int:
    """How many cards have ever shown us their chip's balance."""
    return conn.execute(select(func.count()).select_from(card_position)).scalar_one()


def chip_differences(
    conn: Connection, business_date: date, archive: Archive | None = None
) -> list[Difference]:
    """Cards whose purse differs from the chip at the end of a business date, by card number.

    What a chip held is known as of now only: once later taps or decisions are booked, an earlier date compares ill.
    Loads and shortfalls of archived months are read from `archive`; LinesArchived says that it is needed.
    """
    # By segment, too: to hold these alone against the cards costs half of holding all accounts.
    at = accounts_on(business_date, account.c.segment == "purse")
    seen = card_position.c
    query = (
        select(card_position, (at.c.credits_fen - at.c.debits_fen).label("purse_fen"))
        .join(at, at.c.code == literal(PURSE) + seen.card_no)
        .where(seen.balance_fen != at.c.credits_fen - at.c.debits_fen)
        # The money of a closed card has gone to another card or been paid out: its chip is scrap.
        .where(seen.card_no.not_in(select(card.c.card_no).where(card.c.status == State.CLOSED.value)))
        .order_by(seen.card_no)
    )
    rows = conn.execute(query).all()
    cards = [row.card_no for row in rows]
    loaded = _loaded_since(conn, business_date, {row.card_no: row.event_at for row in rows}, archive)
    pending = _pending(conn, business_date, cards)
    shortfalls = _shortfalls(conn, cards, archive)
    taps = _taps(conn, cards)
    found = []
    for row in rows:
        facts = taps.get(row.card_no, _NO_TAPS)
        found.append(
            Difference(
                card_no=row.card_no,
                chip_fen=row.balance_fen,
                loaded_fen=loaded.get(row.card_no, 0),
                purse_fen=row.purse_fen,
                suspended_fen=facts["suspended_fen"],
                rejected_fen=facts["rejected_fen"],
                shortfall_fen=shortfalls.get(row.card_no, 0),
                pending_fen=pending.get(row.card_no, 0),
                doubtful_fen=facts["doubtful_fen"],
                missing_taps=row.counter - row.first_counter + 1 - facts["counters"],
            )
        )
    return [one for one in found if one.difference_fen]


def chip_differences_now(conn: Connection, archive: Archive | None = None) -> list[Difference]:
    """The same, of purses as they stand now."""
    newest = conn.scalar(select(func.max(day.c.business_date)))
    return [] if newest is None else chip_differences(conn, newest, archive)


def _loaded_since(
    conn: Connection, business_date: date, seen_at: Mapping[str, datetime], archive: Archive | None
) -> Mapping[str, int]:
    """Loads that the chip confirmed after the tap by which we last saw its balance, by card.

    They are looked for along accounts of loads, which hardly ever move, from their newest line to when that was; those
    that had been returned by then, along the account that such money is in.
    """
    if not seen_at:
        return {}
    floors, earliest = _floors(conn, seen_at), min(seen_at.values())
    loaded_fen: dict[str, int] = {}

    def add(purse: str, amount_fen: int, event_at: datetime) -> None:
        card_no = purse.removeprefix(PURSE)
        if card_no in seen_at and event_at > seen_at[card_no]:
            loaded_fen[card_no] = loaded_fen.get(card_no, 0) + amount_fen

    with looking_up(conn):
        for purse, amount_fen, event_at in conn.execute(_loads(walks(floors=floors), business_date)):
            add(purse, amount_fen, event_at)
    for code, movements in beyond_the_books(conn, archive, floors=floors):
        seen = seen_at.get(code.removeprefix(LOAD), earliest)
        of_a_debit = 1 if chart.account(code).kind.grows_by_debit else -1
        for one in movements:
            if happened_by(one.business_date) <= seen:
                break  # and so has all that was booked before
            debited_fen = one.amount_fen * of_a_debit
            if (
                debited_fen > 0
                and one.counter_account.startswith(PURSE)
                and one.business_date <= business_date
            ):
                add(one.counter_account, debited_fen, one.event_at)
    return loaded_fen


def _floors(conn: Connection, seen_at: Mapping[str, datetime]) -> Subquery:
    """Of each account of loads that number which lines must be above, to be of what came after a card's last tap."""
    own, seen, dialect = account.alias(), card_position.c, conn.dialect.name
    of_cards = (
        select(own.c.id.label("account_id"), booked_above(dialect, seen.event_at).label("line_id"))
        .join(card_position, own.c.code == literal(LOAD) + seen.card_no)
        .where(one_of(conn, seen.card_no, sorted(seen_at)))
    )
    earliest = literal(min(seen_at.values()), Instant())
    of_returned = select(own.c.id, booked_above(dialect, earliest)).where(own.c.code == RETURNED)
    return union_all(of_cards, of_returned).subquery()


def _loads(walk: CTE, business_date: date) -> Select[Any]:
    """Loads among the lines of their accounts that were booked until a date: purse, fen, when the chip confirmed it."""
    return (
        select(account.c.code, line.c.amount_fen, entry.c.event_at)
        .select_from(walk)
        .join(line, (line.c.id == walk.c.line_id) & (line.c.debit_id == walk.c.account_id))
        .join(account, account.c.id == line.c.credit_id)
        .join(entry, entry.c.id == line.c.entry_id)
        .where(account.c.segment == "purse", entry.c.business_date <= business_date)
    )


def _pending(conn: Connection, business_date: date, cards: Sequence[str]) -> Mapping[str, int]:
    at = accounts_on(business_date)
    codes = [f"{LOAD}{card_no}" for card_no in cards]
    query = select(at.c.code, at.c.credits_fen - at.c.debits_fen).where(one_of(conn, at.c.code, codes))
    return {code.partition(":")[2]: pending_fen for code, pending_fen in conn.execute(query)}


def _shortfalls(conn: Connection, cards: Sequence[str], archive: Archive | None) -> Mapping[str, int]:
    """What taps cost beyond what the purse held; the item of such a line begins with the card's number."""
    if not cards:
        return {}
    wanted = frozenset(cards)
    card_no = func.substr(line.c.item, 1, CARD_DIGITS)
    shortfall = account.c.code == "suspense:purse_shortfall"
    walk = walks(shortfall)
    query = (
        select(card_no, total_fen(line.c.amount_fen))
        .join(walk, walk.c.line_id == line.c.id)
        .where(line.c.debit_id == walk.c.account_id)
        .group_by(card_no)
    )
    short_fen = {card: fen for card, fen in conn.execute(query) if card in wanted}
    for _, movements in beyond_the_books(conn, archive, shortfall):
        for one in movements:
            card = one.item[:CARD_DIGITS]
            if one.amount_fen > 0 and card in wanted:
                short_fen[card] = short_fen.get(card, 0) + one.amount_fen
    return short_fen


_NO_TAPS: Final[Mapping[str, int]] = {
    "suspended_fen": 0,
    "rejected_fen": 0,
    "doubtful_fen": 0,
    "counters": 0,
}


def _taps(conn: Connection, cards: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """What each card presented and did not pay, and how many of its counters we have seen."""
    table = tap.c
    seen = card_position.c
    doubtful = disbelieved()
    made = table.verdict.not_in([Verdict.MALFORMED, Verdict.DUPLICATE])

    def amount_where(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        return total_fen(case((and_(*conditions), table.amount_fen), else_=0))

    query = (
        select(
            table.card_no,
            amount_where(table.money == Money.SUSPENDED, ~doubtful).label("suspended_fen"),
            amount_where(table.money == Money.REJECTED, ~doubtful).label("rejected_fen"),
            amount_where(doubtful).label("doubtful_fen"),
            func.count(table.counter.distinct())
            .filter(table.counter.between(seen.first_counter, seen.counter), ~doubtful)
            .label("counters"),
        )
        .join(card_position, seen.card_no == table.card_no)
        .where(one_of(conn, table.card_no, cards), made)
        .group_by(table.card_no)
    )
    return {row["card_no"]: dict(row) for row in conn.execute(query).mappings()}
