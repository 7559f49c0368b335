"""The whole books recomputed from their first day, every row of every table, so that a change behind them shows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Connection, String, and_, cast, func, literal, or_, select, true, union_all

from ledger import tables
from ledger.accounts import Account, Kind, Limit, account_digest, segment_of
from ledger.archive import Archive, lines_begin
from ledger.archive_checks import archives_agree, resting_totals_agree
from ledger.archive_walks import Walks, walks_join_the_archive
from ledger.bulk import CHUNK_ROWS
from ledger.checks import CHECKS
from ledger.day import DayState
from ledger.entry import Line, chain_start, digest
from ledger.events import EVENTS_START, event_chained, read_events
from ledger.findings import Check, Finding, both_sides
from ledger.journal import of_day
from ledger.merkle import root_of
from ledger.orders import Hold, hold_content
from ledger.registers import Registers, registers_at_cut_off, registers_root
from ledger.replay import events_tell_the_present
from ledger.seal import GENESIS, PublicKey, Seal, seals, signed_under
from ledger.snapshots import date_number, day_number, latest_snapshot, lines_since, movements, total_fen
from ledger.walks import walks_reach_every_line

FromGround = Callable[[Connection], Iterable[Finding]]
"""Looks at everything since the books were opened."""


class Stage(NamedTuple):
    """One thing that is recomputed, by name."""

    name: str
    check: FromGround

    def findings(self, conn: Connection) -> Iterator[Finding]:
        """What is wrong with it."""
        return _legible(self.check, conn)


def verify_books(
    conn: Connection, public_key: PublicKey | None = None, archive: Archive | None = None
) -> Iterator[Finding]:
    """Everything that is wrong with the books, from the ground up, as it is found; nothing in good books.

    With `public_key`, the signatures of all seals are checked as well. `conn` may be one that only reads.
    Archived months are recomputed from `archive`; where that is needed and not given, it is a finding.
    What was written since the last cut-off, and nothing else refers to, can be taken away from its end unseen.
    """
    for stage in stages(conn, public_key, archive):
        yield from stage.findings(conn)


def stages(
    conn: Connection, public_key: PublicKey | None = None, archive: Archive | None = None
) -> list[Stage]:
    """What `verify_books` does, for who wants to show how far it is; to be run once, in this order."""
    # What went before stands in snapshots, which the archive has to agree with.
    begin, archived = lines_begin(conn), Walks()
    walks: FromGround = walks_reach_every_line
    if begin is not None:
        walks = partial(walks_join_the_archive, begin=begin, archived=archived)
    return [
        *(Stage(check.__name__, check) for check in _BESIDE_LINES),
        *(Stage(check.__name__, _since(check, begin)) for check in CHECKS),
        Stage(
            "archives_agree", partial(archives_agree, archive=archive, public_key=public_key, walks=archived)
        ),
        Stage("totals_tell_the_day_before", partial(resting_totals_agree, begin=begin)),
        Stage("walks_reach_every_line", walks),
        Stage("snapshots_agree", partial(snapshots_agree, begin=begin)),
        Stage("seals_agree", partial(seals_agree, public_key=public_key)),
    ]


def _since(check: Check, begin: date | None) -> FromGround:
    return lambda conn: check(conn, begin)


ROW_CHECKS = (
    "accounts_are_as_opened",
    "events_are_chained",
    "holds_are_as_placed",
    "entries_equal_digests",
    "entries_are_whole",
    "archives_agree",
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


def _legible(check: FromGround, conn: Connection) -> Iterator[Finding]:
    """What a check finds; where it meets what cannot be read at all, that is its finding."""
    try:
        yield from check(conn)
    except (ValueError, TypeError, ArithmeticError) as broken:
        message = f"the books hold what cannot be read ({broken}); restore them from a backup"
        yield Finding("books_are_legible", "books", 0, 0, message)


def accounts_are_as_opened(conn: Connection) -> Iterator[Finding]:
    """Accounts are numbered without gaps, as they were opened, and each has totals that know its limit."""
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
    strays = select(total.account_id).outerjoin(tables.account, account.id == total.account_id)
    for number in conn.scalars(strays.where(account.id.is_(None)).order_by(total.account_id)):
        message = f"there are totals of account number {number}, which is gone; restore it from a backup"
        yield Finding("accounts_are_as_opened", str(number), 0, number, message)


def controls_are_of_sub_ledgers(conn: Connection) -> Iterator[Finding]:
    """A sub-ledger has control totals since something was posted to it; how much, a check of every night says."""
    control = tables.control.c
    empty = control.debits_posted_fen + control.credits_posted_fen == 0
    for segment in conn.scalars(select(control.segment).where(empty).order_by(control.segment)):
        message = f"nothing was ever posted to {segment}, but it has control totals; find out who wrote them"
        yield Finding("controls_are_of_sub_ledgers", segment, 0, 0, message)


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
    for number, (hold_id, stored, whole, hold) in enumerate(_holds(conn), 1):
        if hold_id != number or not whole or digest(hold_content(hold)) != stored:
            message = f"hold {hold.reference!r} is not as it was placed, or one before it is gone"
            yield Finding("holds_are_as_placed", hold.reference, number, hold_id, message)
            return


def entries_refer_to_what_is_there(conn: Connection) -> Iterator[Finding]:
    """What an entry reverses or settles is in the books; that it is the right one, its digest tells."""
    entry, original, hold = tables.entry.c, tables.entry.alias("original"), tables.hold.c
    dangling = (
        select(entry.reference, entry.id)
        .outerjoin(original, original.c.id == entry.reverses_id)
        .outerjoin(tables.hold, hold.id == entry.settles_id)
        .where(
            or_(
                and_(entry.reverses_id.is_not(None), original.c.id.is_(None)),
                and_(entry.settles_id.is_not(None), hold.id.is_(None)),
            )
        )
        .order_by(entry.id)
    )
    for reference, number in conn.execute(dangling):
        message = f"entry {reference!r} reverses or settles what is not there; restore it from a backup"
        yield Finding("entries_refer_to_what_is_there", reference, 0, number, message)


def snapshots_agree(conn: Connection, begin: date | None = None) -> Iterator[Finding]:
    """Accounts have a snapshot of each closed day on which they moved, and it is the sum over all lines up to it.

    Those before `begin` are taken as they are.
    """
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
    closed = select(date_number(conn.dialect.name, day.business_date)).where(
        day.state == DayState.CLOSED.value
    )
    kept = select(
        snapshot.account_id,
        date_number(conn.dialect.name, snapshot.business_date),
        zero,
        zero,
        snapshot.debits_posted_fen,
        snapshot.credits_posted_fen,
    ).where(true() if begin is None else snapshot.business_date >= begin)
    sides = union_all(select(expected).where(expected.c.day.in_(closed)), kept).subquery()
    subject = account.code + " on " + cast(sides.c.day, String)
    of_both = (
        select(
            subject.label("subject"),
            total_fen(sides.c.debits),
            total_fen(sides.c.kept_debits),
            total_fen(sides.c.credits),
            total_fen(sides.c.kept_credits),
        )
        .join(tables.account, account.id == sides.c.account_id)
        .group_by(account.code, sides.c.day)
    )
    yield from both_sides("snapshots_agree", of_both, conn, "lines", "the snapshot")
    lone = of_both.having(func.count() != 2).order_by("subject")
    for found, *_ in conn.execute(lone):
        message = f"{found}: it moved and has no snapshot, or has one and never moved; restore a backup"
        yield Finding("snapshots_agree", found, 0, 0, message)


def seals_agree(conn: Connection, public_key: PublicKey | None = None) -> Iterator[Finding]:
    """Each seal is the root of its day's entries and registers as they are now, covers the seal before, is signed."""
    previous: Seal | None = None
    unsealed = _closed_days(conn)
    for seal in seals(conn):
        business_date = seal.business_date
        wrong = _wrong_with(conn, seal, previous)
        if business_date not in unsealed:
            wrong = "is of a day that is not closed"
        signature = (seal.key_version, seal.signature, seal.contents.root)
        if not wrong and public_key is not None and not signed_under(public_key, *signature):
            wrong = f"is not signed by key version {seal.key_version}"
        if wrong:
            message = f"the seal of {business_date} {wrong}; restore the books from a backup"
            yield Finding("seals_agree", str(business_date), 0, 0, message)
            return
        previous = seal
        unsealed.remove(business_date)
    # The newest one may be about to be sealed.
    for business_date in unsealed[:-1]:
        message = f"closed day {business_date} has no seal; seal the days in their order"
        yield Finding("seals_agree", str(business_date), 0, 0, message)


def _wrong_with(conn: Connection, seal: Seal, previous: Seal | None) -> str:
    contents, entry = seal.contents, tables.entry.c
    query = select(entry.digest, entry.chain).where(of_day(contents.business_date)).order_by(entry.id)
    rows = conn.execute(query).all()
    chain = bytes(rows[-1].chain) if rows else chain_start(contents.business_date)
    since = Registers(0, 0, 0) if previous is None else previous.contents.registers
    checks: tuple[tuple[bool, str], ...] = (
        (
            contents.registers == registers_at_cut_off(conn, contents.business_date),
            "does not cover accounts, holds and events up to the cut-off",
        ),
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


def _closed_days(conn: Connection) -> list[date]:
    day = tables.day.c
    query = select(day.business_date).where(day.state == DayState.CLOSED.value).order_by(day.business_date)
    return list(conn.scalars(query))


def _holds(conn: Connection) -> Iterator[tuple[int, bytes, bool, Hold]]:
    """Holds in order: number, digest as stored, whether the lines are numbered as they should be, the hold."""
    hold, line = tables.hold.c, tables.hold_line.c
    debit, credit = tables.account.alias("debit"), tables.account.alias("credit")
    lines = (
        select(line.hold_id, line.number, debit.c.code, credit.c.code, line.amount_fen, line.item)
        .join(debit, debit.c.id == line.debit_id)
        .join(credit, credit.c.id == line.credit_id)
        .order_by(line.hold_id, line.number)
        .execution_options(yield_per=CHUNK_ROWS)
    )
    waiting = iter(conn.execute(lines))
    following = next(waiting, None)
    heads = select(tables.hold).order_by(hold.id).execution_options(yield_per=CHUNK_ROWS)
    for row in conn.execute(heads):
        own: list[Line] = []
        numbers: list[int] = []
        while following is not None and following[0] == row.id:
            numbers.append(following[1])
            own.append(Line(*following[2:]))
            following = next(waiting, None)
        head = (row.reference, row.kind, row.event_at, row.expires_at)
        whole = row.line_count == len(own) and numbers == list(range(1, len(own) + 1))
        yield row.id, bytes(row.digest), whole, Hold(*head, tuple(own), row.narrative)


_BESIDE_LINES: Final[tuple[FromGround, ...]] = (
    accounts_are_as_opened,
    controls_are_of_sub_ledgers,
    events_are_chained,
    holds_are_as_placed,
    entries_refer_to_what_is_there,
    events_tell_the_present,
)
