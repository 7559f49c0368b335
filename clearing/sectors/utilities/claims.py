"""What a biller claims and we do not have: held in suspense, in the books, until it is withdrawn.

A claim is booked from `suspense:biller_unmatched` to `suspense:biller_claim`: it is on the trial balance and
nobody is paid by it. `clearing:{biller}` holds only what holders have paid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from clearing.sectors.utilities.comparing import Difference
from clearing.sectors.utilities.daily_file import FileHeader
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.day import current_day
from ledger.entry import Entry, Line, Refused, mirrored
from ledger.post import post

UNMATCHED: Final = "suspense:biller_unmatched"
CLAIM: Final = "suspense:biller_claim"


class SuspenseError(Exception):
    """The books did not take what must go to suspense, or come out of it; nothing was reconciled."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A payment that was claimed `times` times; `entry` holds `amount_fen` in suspense now, or is None."""

    times: int = 0
    amount_fen: int = 0
    entry: str | None = None


def renew_claims(
    conn: Connection,
    header: FileHeader,
    held: Mapping[str, Claim],
    found: Sequence[Difference],
    *,
    at: datetime,
) -> dict[str, Claim]:
    """Release what is not claimed any more, hold what is claimed now; every claim known, by reference.

    Raises SuspenseError where the books refuse, ledger.day.DayOrderError where no business day is open.
    """
    amounts_fen = {one.reference: one.theirs_fen or 0 for one in found}
    over = {
        reference: claim
        for reference, claim in held.items()
        if claim.entry is not None and amounts_fen.get(reference) != claim.amount_fen
    }
    _release(conn, over, at)
    now = dict(held) | {reference: Claim(claim.times) for reference, claim in over.items()}
    fresh = [one for one in found if now.get(one.reference, Claim()).entry is None]
    times = {one.reference: now.get(one.reference, Claim()).times + 1 for one in fresh}
    # A claim withdrawn and made again, or made of another amount, is another claim.
    entries = {
        one.reference: f"biller-claim:{header.biller}:{header.business_date}:{one.reference}:{times[one.reference]}"
        for one in fresh
    }
    _hold(conn, {entries[one.reference]: one for one in fresh}, at)
    return now | {
        one.reference: Claim(times[one.reference], amounts_fen[one.reference], entries[one.reference])
        for one in fresh
    }


def _hold(conn: Connection, fresh: Mapping[str, Difference], at: datetime) -> None:
    if not fresh:
        return
    open_accounts(conn, [account(UNMATCHED), account(CLAIM)], at=at)
    today = current_day(conn)
    entries = []
    for reference, one in fresh.items():
        line = _line(one.reference, one.theirs_fen or 0)
        entries.append(Entry(reference, "biller_claim", today, at, (line,), one.message))
    _book(conn, entries, at)


def _release(conn: Connection, over: Mapping[str, Claim], at: datetime) -> None:
    """Take claims out of suspense. The books compare with what went in, which may be archived by now."""
    if not over:
        return
    today = current_day(conn)
    entries = [
        Entry(
            f"{claim.entry}|released", "biller_claim", today, at,
            mirrored((_line(reference, claim.amount_fen),)), "the claim is gone", claim.entry,
        )
        for reference, claim in over.items()
    ]  # fmt: skip
    _book(conn, entries, at)


def _line(reference: str, amount_fen: int) -> Line:
    """How a claim stands in suspense."""
    return Line(UNMATCHED, CLAIM, amount_fen, reference)


def _book(conn: Connection, entries: Sequence[Entry], at: datetime) -> None:
    for answer in post(conn, entries, at=at):
        if isinstance(answer, Refused):
            raise SuspenseError(f"suspense entry {answer.reference} is refused: {answer.message}")
