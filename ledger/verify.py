"""The whole books recomputed from their first day: every row of every table."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, String, cast, func, literal, select, true, union_all

from ledger import tables
from ledger.accounts import Account, Kind, Limit, account_digest, segment_of
from ledger.archive import Archive, archives, lines_begin
from ledger.archive_checks import archives_agree
from ledger.archive_walks import Walks, names_a_later_line, unnamed_lines, walks_join_the_archive
from ledger.bulk import CHUNK_ROWS
from ledger.checks import CHECKS, Finding, both_sides
from ledger.day import DayState
from ledger.entry import Line, chain_start, digest
from ledger.events import EVENTS_START, Happened, event_chained, read_events
from ledger.journal import of_day
from ledger.merkle import root_of
from ledger.orders import Hold, hold_content
from ledger.registers import Registers, registers_root
from ledger.seal import GENESIS, PublicKey, Seal, seals, signed_under
from ledger.snapshots import day_number, latest_snapshot, lines_since, movements, total_fen


class Stage(NamedTuple):
    """One thing that is recomputed, by name; `findings` does it."""

    name: str
    findings: Callable[[], Iterable[Finding]]


def verify_books(
    conn: Connection, public_key: PublicKey | None = None, archive: Archive | None = None
) -> Iterator[Finding]:
    """Everything that is wrong with the books, from the ground up, as it is found; nothing in good books.

    With `public_key`, the signatures of all seals are checked as well. `conn` may be one that only reads.
    Archived months are recomputed from `archive`; where that is needed and not given, it is a finding.
    """
    for stage in stages(conn, public_key, archive):
        yield from stage.findings()


def stages(
    conn: Connection, public_key: PublicKey | None = None, archive: Archive | None = None
) -> list[Stage]:
    """What `verify_books` does, for who wants to show how far it is; to be run once, in this order."""
    # What went before stands in snapshots, which the archive has to agree with.
    begin, archived = lines_begin(conn), Walks()
    walks = (
        partial(walks_join_the_archive, conn, archived) if begin else partial(walks_reach_every_line, conn)
    )
    return [
        Stage("accounts_are_as_opened", partial(accounts_are_as_opened, conn)),
        Stage("events_are_chained", partial(events_are_chained, conn)),
        Stage("holds_are_as_placed", partial(holds_are_as_placed, conn)),
        Stage("events_tell_the_present", partial(_events_tell_the_present, conn)),
        *(Stage(check.__name__, partial(check, conn, begin)) for check in CHECKS),
        Stage("archives_agree", partial(archives_agree, conn, archive, public_key, archived)),
        Stage("walks_reach_every_line", walks),
        Stage("snapshots_agree", partial(snapshots_agree, conn, begin)),
        Stage("seals_agree", partial(seals_agree, conn, public_key)),
    ]


ROW_CHECKS = (
    "accounts_are_as_opened",
    "events_are_chained",
    "holds_are_as_placed",
    "entries_equal_digests",
    "entries_are_whole",
    "walks_reach_every_line",
    "snapshots_agree",
    "seals_agree",
    "events_tell_the_present",
    "totals_equal_lines",
)
"""Checks that point at a row, the surest first; the others say only that something does not add up."""


def first_changed(findings: Sequence[Finding]) -> Finding | None:
    """The finding that names the first row that was changed, or else just the first one."""
    for name in ROW_CHECKS:
        for finding in findings:
            if finding.check == name:
                return finding
    return findings[0] if findings else None


def accounts_are_as_opened(conn: Connection) -> Iterator[Finding]:
    """Accounts are numbered without gaps, as they were opened, and their totals know their limits."""
    account, total = tables.account.c, tables.total.c
    query = (
        select(tables.account, total.may_debit, total.may_credit)
        .outerjoin(tables.total, total.account_id == account.id)
        .order_by(account.id)
        .execution_options(yield_per=CHUNK_ROWS)
    )
    for number, row in enumerate(conn.execute(query), 1):
        found = Account(row.code, Kind(row.kind), Limit(row.limit_rule), row.owner, row.currency)
        message = ""
        if row.id != number:
            message = f"account number {number} is gone: {row.code} has {row.id}"
        elif account_digest(found, row.opened_at) != bytes(row.digest) or row.segment != segment_of(row.code):
            message = f"account {row.code} is not as it was opened"
        elif (row.may_debit, row.may_credit) != (
            found.limit is not Limit.NO_DEBIT_BALANCE,
            found.limit is not Limit.NO_CREDIT_BALANCE,
        ):
            message = f"the totals of account {row.code} do not know its limit {row.limit_rule}"
        if message:
            yield Finding("accounts_are_as_opened", row.code, 0, 0, f"{message}; restore it from a backup")
            return


def events_are_chained(conn: Connection) -> Iterator[Finding]:
    """Events are numbered without gaps, and their running hash goes through each."""
    chain = EVENTS_START
    for number, written in enumerate(read_events(conn), 1):
        chain = event_chained(chain, written.event)
        if written.event_id != number or written.chain != chain:
            event = written.event
            message = f"event {number}, {event.kind} {event.subject!r}, was changed, or one before it is gone"
            yield Finding("events_are_chained", event.subject, number, written.event_id, message)
            return


def holds_are_as_placed(conn: Connection) -> Iterator[Finding]:
    """Holds are numbered without gaps, and each, with its lines, is as it was placed."""
    for number, (hold_id, stored, hold) in enumerate(_holds(conn), 1):
        if hold_id != number or digest(hold_content(hold)) != stored:
            message = f"hold {hold.reference!r} is not as it was placed, or one before it is gone"
            yield Finding("holds_are_as_placed", hold.reference, number, hold_id, message)
            return


def walks_reach_every_line(conn: Connection) -> Iterator[Finding]:
    """Each account's lines name one another: every line is named once, by the next or by the account."""
    account = tables.account.c
    unnamed = unnamed_lines().subquery()
    query = select(account.code, unnamed.c.line_id).join(unnamed, unnamed.c.account_id == account.id)
    for code, line_id in conn.execute(query.order_by(unnamed.c.line_id).limit(1)):
        message = f"line {line_id} of account {code} is not named once by what follows it; restore a backup"
        yield Finding("walks_reach_every_line", code, 0, line_id, message)
    yield from names_a_later_line(conn)


def snapshots_agree(conn: Connection, begin: date | None = None) -> list[Finding]:
    """The snapshots of closed days are the sums over all lines up to them; before `begin`, they are believed."""
    snapshot, account, day, line = tables.snapshot.c, tables.account.c, tables.day.c, tables.line.c
    of_day = day_number(line.id).label("day")
    moved = movements(by=(of_day,)).subquery()
    if begin is not None:
        base = latest_snapshot(begin - timedelta(days=1)).c
        before = select(
            base.account_id, base.debits_posted_fen, base.credits_posted_fen, literal(0, BigInteger)
        )
        moved = union_all(movements(lines_since(begin), by=(of_day,)), before).subquery()
    window: dict[str, Any] = {"partition_by": moved.c.account_id, "order_by": moved.c.day}
    zero = literal(0, BigInteger)
    expected = select(
        moved.c.account_id,
        moved.c.day,
        func.sum(moved.c.debits_fen).over(**window).cast(BigInteger).label("debits"),
        func.sum(moved.c.credits_fen).over(**window).cast(BigInteger).label("credits"),
        zero.label("kept_debits"),
        zero.label("kept_credits"),
    ).subquery()
    number = _day_of(conn, day.business_date)
    closed = select(number).where(day.state == DayState.CLOSED.value)
    kept = select(
        snapshot.account_id,
        _day_of(conn, snapshot.business_date),
        zero,
        zero,
        snapshot.debits_posted_fen,
        snapshot.credits_posted_fen,
    ).where(true() if begin is None else snapshot.business_date >= begin)
    sides = union_all(select(expected).where(expected.c.day.in_(closed)), kept).subquery()
    rows = (
        select(
            account.code + " on " + cast(sides.c.day, String),
            total_fen(sides.c.debits),
            total_fen(sides.c.kept_debits),
            total_fen(sides.c.credits),
            total_fen(sides.c.kept_credits),
        )
        .join(tables.account, account.id == sides.c.account_id)
        .group_by(account.code, sides.c.day)
    )
    return both_sides("snapshots_agree", rows, conn, "lines", "the snapshot")


def seals_agree(conn: Connection, public_key: PublicKey | None = None) -> Iterator[Finding]:
    """Each seal is the root of its day's entries and registers as they are now, covers the seal before, is signed."""
    previous: Seal | None = None
    sealed_at = {
        e.event.subject: e.event.at for e in read_events(conn) if e.event.kind is Happened.DAY_SEALED
    }
    closed = _closed_days(conn)
    for seal in seals(conn):
        subject = str(seal.business_date)
        wrong = _wrong_with(conn, seal, previous) or (
            "was not sealed when it says" if sealed_at.get(subject) != seal.sealed_at else ""
        )
        if not wrong and public_key is not None:
            signed = signed_under(public_key, seal.key_version, seal.signature, seal.contents.root)
            wrong = "" if signed else f"is not signed by key version {seal.key_version}"
        if wrong:
            message = f"the seal of {subject} {wrong}; restore the books from a backup"
            yield Finding("seals_agree", subject, 0, 0, message)
            return
        previous = seal
        closed.remove(seal.business_date)
    for business_date in closed[:-1]:
        yield Finding("seals_agree", str(business_date), 0, 0, f"closed day {business_date} has no seal")


def _wrong_with(conn: Connection, seal: Seal, previous: Seal | None) -> str:
    contents, entry = seal.contents, tables.entry.c
    query = select(entry.digest, entry.chain).where(of_day(contents.business_date)).order_by(entry.id)
    rows = conn.execute(query).all()
    chain = bytes(rows[-1].chain) if rows else chain_start(contents.business_date)
    since = Registers(0, 0, 0) if previous is None else previous.contents.registers
    checks: tuple[tuple[bool, str], ...] = (
        (
            contents.previous_root == (GENESIS if previous is None else previous.root),
            "does not cover the one before",
        ),
        (contents.entries == len(rows), f"is of {contents.entries} entries, the day has {len(rows)}"),
        (contents.merkle_root == root_of([bytes(row.digest) for row in rows]), "is not of the day's entries"),
        (contents.chain == chain, "is not of the day's bookings"),
        (
            contents.registers_root == registers_root(conn, since, contents.registers),
            "is not of the registers",
        ),
        (contents.root == seal.root, "has another root than its contents"),
    )
    return next((wrong for holds, wrong in checks if not holds), "")


def _events_tell_the_present(conn: Connection) -> Iterator[Finding]:
    """Days, closed accounts, open holds and forestalled references are what the events made them."""
    days: dict[str, dict[str, datetime]] = {}
    closed: set[str] = set()
    ended: dict[str, str] = {}
    placed: dict[str, tuple[str, datetime]] = {}
    forestalled: dict[str, tuple[str, datetime]] = {}
    on_file: dict[str, tuple[str, datetime]] = {}
    for _, event, _ in read_events(conn):
        match event.kind:
            case Happened.DAY_OPENED | Happened.DAY_CLOSING | Happened.DAY_CLOSED:
                days.setdefault(event.subject, {})[event.kind.value] = event.at
            case Happened.ACCOUNT_CLOSED:
                closed.add(event.subject)
            case Happened.ACCOUNT_REOPENED:
                closed.discard(event.subject)
            case Happened.HOLD_PLACED:
                placed[event.subject] = (event.detail, event.at)
            case Happened.HOLD_SETTLED | Happened.HOLD_VOIDED | Happened.HOLD_EXPIRED:
                ended[event.subject] = event.detail
            case Happened.FORESTALLED:
                forestalled[event.subject] = (event.detail, event.at)
            case Happened.MONTH_ARCHIVED:
                on_file[event.subject] = (event.detail, event.at)
    for what, told, found in (
        ("day", days, _days(conn)),
        ("closed account", dict.fromkeys(closed, True), _closed(conn)),
        ("hold", placed, _placed(conn)),
        ("end of hold", ended, _ended(conn)),
        ("forestalled reference", forestalled, _forestalled(conn)),
        ("archived month", on_file, _on_file(conn)),
    ):
        differing = sorted(str(key) for key in told.keys() | found.keys() if told.get(key) != found.get(key))
        if differing:
            message = f"{what} {differing[0]!r} is not what the events say; restore it from a backup"
            yield Finding("events_tell_the_present", differing[0], 0, len(differing), message)


def _days(conn: Connection) -> dict[str, Any]:
    found = {}
    for row in conn.execute(select(tables.day)):
        instants = {
            "day_opened": row.opened_at,
            "day_closing": row.closing_at,
            "day_closed": row.closed_at,
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
        elif open_until != expires_at:
            found[reference] = f"open until {open_until}"
    return found


def _forestalled(conn: Connection) -> dict[str, Any]:
    return {row.reference: (row.by_reference, row.at) for row in conn.execute(select(tables.forestalled))}


def _on_file(conn: Connection) -> dict[str, Any]:
    return {f"{one.month:%Y-%m}": (one.sha256.hex(), one.archived_at) for one in archives(conn)}


def _closed_days(conn: Connection) -> list[date]:
    day = tables.day.c
    query = select(day.business_date).where(day.state == DayState.CLOSED.value).order_by(day.business_date)
    return list(conn.scalars(query))


def _holds(conn: Connection) -> Iterator[tuple[int, bytes, Hold]]:
    hold, line = tables.hold.c, tables.hold_line.c
    debit, credit = tables.account.alias("debit"), tables.account.alias("credit")
    lines = (
        select(line.hold_id, debit.c.code, credit.c.code, line.amount_fen, line.item)
        .join(debit, debit.c.id == line.debit_id)
        .join(credit, credit.c.id == line.credit_id)
        .order_by(line.hold_id, line.number)
        .execution_options(yield_per=CHUNK_ROWS)
    )
    waiting = conn.execute(lines)
    following = next(waiting, None)
    for row in conn.execute(select(tables.hold).order_by(hold.id)).all():
        own = []
        while following is not None and following[0] == row.id:
            own.append(Line(*following[1:]))
            following = next(waiting, None)
        yield (
            row.id,
            bytes(row.digest),
            Hold(row.reference, row.kind, row.event_at, row.expires_at, tuple(own), row.narrative),
        )


def _day_of(conn: Connection, column: Any) -> Any:
    """A date column as the whole number YYYYMMDD."""
    if conn.dialect.name == "postgresql":
        return cast(func.to_char(column, "YYYYMMDD"), BigInteger)
    return cast(func.replace(cast(column, String), "-", ""), BigInteger)
