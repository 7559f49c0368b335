"""The events played again: what they make of days, accounts, holds and references, against what the tables say."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from ledger import tables
from ledger.archive import archives
from ledger.day import DayState
from ledger.events import Event, Happened, read_events
from ledger.findings import Finding
from ledger.registers import cut_off_at, registers_at

_STEPS = {
    Happened.DAY_OPENED: None,
    Happened.DAY_CLOSING: Happened.DAY_OPENED,
    Happened.DAY_CLOSED: Happened.DAY_CLOSING,
    Happened.DAY_SEALED: Happened.DAY_CLOSED,
    Happened.ACCOUNT_CLOSED: Happened.ACCOUNT_REOPENED,
    Happened.ACCOUNT_REOPENED: Happened.ACCOUNT_CLOSED,
    Happened.HOLD_PLACED: None,
    Happened.HOLD_SETTLED: Happened.HOLD_PLACED,
    Happened.HOLD_VOIDED: Happened.HOLD_PLACED,
    Happened.HOLD_EXPIRED: Happened.HOLD_PLACED,
    Happened.FORESTALLED: None,
    Happened.MONTH_ARCHIVED: None,
}
"""What comes right before an event of its subject: nothing, or what makes it possible."""


@dataclass(slots=True)
class Told:
    """What the events make of their subjects, as the tables must have it."""

    days: dict[str, Any] = field(default_factory=dict)
    closed: dict[str, Any] = field(default_factory=dict)
    placed: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)
    forestalled: dict[str, Any] = field(default_factory=dict)
    sealed: dict[str, Any] = field(default_factory=dict)
    archived: dict[str, Any] = field(default_factory=dict)


def events_tell_the_present(conn: Connection) -> Iterator[Finding]:
    """Events follow one another, and from them days, closed accounts, holds, forestalled references and seals."""
    told = Told()
    last: dict[tuple[str, str], str] = {}
    accounts = registers_at(conn).accounts
    for event_id, event, _ in read_events(conn):
        about = (event.kind.partition("_")[0], event.subject)
        if not _follows(last.get(about), event.kind):
            message = f"event {event_id}, {event.kind} of {event.subject!r}, cannot follow what was before it"
            yield Finding("events_tell_the_present", event.subject, 0, event_id, message)
            return
        last[about] = event.kind
        if event.kind == Happened.DAY_CLOSING:
            cut_off = cut_off_at(event_id, event.detail)
            if cut_off is None or cut_off.holds != len(told.placed) or cut_off.accounts > accounts:
                message = f"at the cut-off of {event.subject}, {event.detail!r} were there; they are not now"
                yield Finding("events_tell_the_present", event.subject, 0, event_id, message)
        _tell(told, event)
    found = Told(
        _days(conn),
        _closed(conn),
        _placed(conn),
        _ended(conn),
        _forestalled(conn),
        _sealed(conn),
        _archived(conn),
    )
    for what, expected, present in (
        ("day", told.days, found.days),
        ("closed account", told.closed, found.closed),
        ("hold", told.placed, found.placed),
        ("end of hold", told.ended, found.ended),
        ("forestalled reference", told.forestalled, found.forestalled),
        ("seal of", told.sealed, found.sealed),
        ("archived month", told.archived, found.archived),
    ):
        differing = sorted(
            key for key in expected.keys() | present.keys() if expected.get(key) != present.get(key)
        )
        if differing:
            message = f"{what} {differing[0]!r} is not what the events say; restore it from a backup"
            yield Finding("events_tell_the_present", differing[0], 0, len(differing), message)


def _follows(before: str | None, kind: str) -> bool:
    if kind not in _STEPS:
        return False
    wanted = _STEPS[Happened(kind)]
    # An account is open before its first event, as if it had been reopened.
    return before == wanted or (before is None and kind == Happened.ACCOUNT_CLOSED)


def _tell(told: Told, event: Event) -> None:
    match event.kind:
        case Happened.DAY_OPENED | Happened.DAY_CLOSING | Happened.DAY_CLOSED:
            told.days[event.subject] = {**told.days.get(event.subject, {}), event.kind: event.at}
        case Happened.DAY_SEALED:
            told.sealed[event.subject] = (event.detail, event.at)
        case Happened.ACCOUNT_CLOSED:
            told.closed[event.subject] = True
        case Happened.ACCOUNT_REOPENED:
            told.closed.pop(event.subject)
        case Happened.HOLD_PLACED:
            told.placed[event.subject] = (event.detail, event.at)
        case Happened.HOLD_SETTLED | Happened.HOLD_VOIDED | Happened.HOLD_EXPIRED:
            told.ended[event.subject] = event.detail
        case Happened.FORESTALLED:
            told.forestalled[event.subject] = (event.detail, event.at)
        case Happened.MONTH_ARCHIVED:
            told.archived[event.subject] = (event.detail, event.at)


def _days(conn: Connection) -> dict[str, Any]:
    found = {}
    for row in conn.execute(select(tables.day)):
        instants: dict[str, datetime | None] = {
            Happened.DAY_OPENED: row.opened_at,
            Happened.DAY_CLOSING: row.closing_at,
            Happened.DAY_CLOSED: row.closed_at,
        }
        known = {kind: at for kind, at in instants.items() if at is not None}
        states = (DayState.OPEN, DayState.CLOSING, DayState.CLOSED)
        found[row.business_date.isoformat()] = known if row.state == states[len(known) - 1] else {}
    return found


def _closed(conn: Connection) -> dict[str, Any]:
    account, total = tables.account.c, tables.total.c
    query = select(account.code).join(tables.total, total.account_id == account.id).where(total.closed)
    return dict.fromkeys(conn.scalars(query), True)


def _placed(conn: Connection) -> dict[str, Any]:
    query = select(tables.hold.c.reference, tables.hold.c.digest, tables.hold.c.placed_at)
    return {reference: (bytes(content).hex(), at) for reference, content, at in conn.execute(query)}


def _ended(conn: Connection) -> dict[str, Any]:
    """The holds that are not open, each with the reference of the entry that settled it; one open wrongly shows."""
    hold, still, entry = tables.hold.c, tables.open_hold, tables.entry.c
    query = (
        select(hold.reference, entry.reference, still.c.expires_at, hold.expires_at)
        .select_from(tables.hold.outerjoin(still, still.c.hold_id == hold.id))
        .outerjoin(tables.entry, entry.settles_id == hold.id)
    )
    found = {}
    for reference, settled_by, open_until, expires_at in conn.execute(query):
        if open_until is None:
            found[reference] = settled_by or ""
        elif open_until != expires_at or settled_by is not None:
            found[reference] = f"open until {open_until}"
    strays = (
        select(still.c.hold_id).outerjoin(tables.hold, hold.id == still.c.hold_id).where(hold.id.is_(None))
    )
    found.update({f"number {hold_id}": "open" for hold_id in conn.scalars(strays)})
    return found


def _forestalled(conn: Connection) -> dict[str, Any]:
    return {row.reference: (row.by_reference, row.at) for row in conn.execute(select(tables.forestalled))}


def _sealed(conn: Connection) -> dict[str, Any]:
    seal = tables.seal.c
    query = select(seal.business_date, seal.root, seal.sealed_at)
    return {day.isoformat(): (bytes(root).hex(), at) for day, root, at in conn.execute(query)}


def _archived(conn: Connection) -> dict[str, Any]:
    return {f"{one.month:%Y-%m}": (one.sha256.hex(), one.archived_at) for one in archives(conn)}
