"""A night without its postings: every verdict, price and position it would come to, in a folder of its own.

The night's own steps run over links to the inbox and to what it has collected; of what they hand over to be written
nothing is written. Institutions are not asked; of other cities' results, those in the inbox are looked at. What the
ledger itself refuses shows only in the real night.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Final

import pyarrow as pa
from sqlalchemy import Connection, Engine

from clearing import steps as clearing
from clearing.archive import archived
from clearing.columns import numbers, texts
from clearing.context import Night, Step, StepRefused
from clearing.intake import pending_files, registered
from clearing.interop.results import result_inbox
from clearing.interop.trial import TriedResults, try_results
from clearing.judged import Judged, judged_taps
from clearing.peers import NOBODY
from clearing.postings import shares
from clearing.qr_booking import judge_qr
from clearing.qr_intake import qr_inbox
from clearing.qr_owed import wallets_fen
from clearing.qr_rides import JudgedRide
from clearing.qr_shortfall import shorts_fen
from ledger.balances import balances_of
from ledger.db import reading
from settlement.agreements import agreements_on
from settlement.books import check_books_before
from settlement.calendar import YearUnknown, load_calendar
from settlement.day_end import owed_at
from settlement.instructions import Instruction
from settlement.instructions import instruct as instructions_for
from settlement.netting import Position, Refused, net_positions
from settlement.night import NightRefused, refusal_to_start
from settlement.night_log import recorded_steps
from settlement.participants import SCHEME, participants_of
from settlement.steps import payers_of

_PAID: Final = pa.schema(
    [pa.field("card_no", pa.string())]
    + [pa.field(name, pa.int64()) for name in ("counter", "amount_fen", "paid_fen")]
)
UP_TO_PRICES: Final[tuple[tuple[str, Step], ...]] = (
    ("check_books_before", check_books_before),
    ("collect", clearing.collect),
    ("verify", clearing.verify),
    ("match", clearing.match),
    ("price", clearing.price),
)


@dataclass(frozen=True, slots=True)
class OperatorShare:
    """What an operator's taps and rides on codes come to tonight, in fen."""

    operator: str
    taps: int
    presented_fen: int
    paid_fen: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A step that would stop the night, why, and what to do before."""

    step: str
    reason: str
    remedy: str


@dataclass(slots=True)
class DryRun:
    """What a night would come to, as far as it would come; `refusals` are the first steps that would stop it."""

    business_date: date
    counts: dict[str, Mapping[str, int]] = field(default_factory=dict)
    shares: tuple[OperatorShare, ...] = ()
    positions: tuple[Position, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    refusals: list[Refusal] = field(default_factory=list)
    results: TriedResults | None = None  # of other cities; None: it did not come so far


def dry_run(engine: Engine, night: Night, scratch: Path) -> DryRun:
    """Run the night's clearing in `scratch` and net it in memory; books, inbox, archive and folder stay.

    Raises NightRefused where the night has booked already.
    """
    with reading(engine) as conn:
        if "post" in (done := [one.step for one in recorded_steps(conn, night.business_date)]):
            remedy = f"see `onecard night status {night.business_date}`"
            raise NightRefused("dry_run", f"the night has done {done[-1]} already: it has booked", remedy)
        refusal = refusal_to_start(conn, night.business_date)
        uncleared = registered(conn)
    dry = _apart(night, scratch, [uncleared.digests[key] for key in uncleared.uncleared])
    found = DryRun(night.business_date)
    if refusal is not None:
        found.refusals.append(Refusal("start", *refusal))
    try:
        for name, step in UP_TO_PRICES:
            found.counts[name] = step(engine, dry).counts
        _, rides, _ = judge_qr(engine, dry)
        found.counts["rides on codes"] = Counter(one.verdict.value for one in rides)
        with reading(engine) as conn:
            found.results = results = try_results(conn, dry)
        found.counts["results of other cities"] = results.counts
    except StepRefused as stop:
        found.refusals.append(Refusal(stop.step, stop.reason, stop.remedy))
        return found
    with judged_taps(dry) as judged, reading(engine) as conn:
        found.shares = _shares(judged, rides)
        taken_fen = Counter(_sources(conn, judged, rides))
        taken_fen["suspense"] -= results.overcharged_fen
        _settle(conn, found, results.owed_fen, taken_fen)
    return found


def _apart(night: Night, scratch: Path, digests: Sequence[str]) -> Night:
    """The night in a folder of its own, with links to every file that it would read."""
    dry = replace(
        night, folder=scratch / "night", inbox=scratch / "inbox", archive=scratch / "archive", peers=NOBODY
    )
    for folder in (Path, qr_inbox, result_inbox):
        ours = folder(dry.inbox)
        ours.mkdir(parents=True, exist_ok=True)
        for path in pending_files(folder(night.inbox)):
            (ours / path.name).symlink_to(path.resolve())
    for digest in digests:
        place = archived(dry.archive, digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(archived(night.archive, digest).resolve())
    return dry


def _shares(judged: Judged, rides: Sequence[JudgedRide]) -> tuple[OperatorShare, ...]:
    of_codes = (
        (one.presented.operator, 1, one.ride.amount_fen if one.ride else 0, one.paid_fen) for one in rides
    )
    of: dict[str, list[tuple[int, int, int]]] = {}
    for operator, *share in (*judged.by_operator(), *of_codes):
        taps, presented_fen, paid_fen = share
        of.setdefault(operator, []).append((taps, presented_fen, paid_fen))
    return tuple(
        OperatorShare(operator, *(sum(parts) for parts in zip(*shares, strict=True)))
        for operator, shares in sorted(of.items())
    )


def _sources(conn: Connection, judged: Judged, rides: Sequence[JudgedRide]) -> dict[str, int]:
    """Whose money the night would take for operators, in fen by the first segment of the account.

    What holders owe for earlier rides would be taken back first; here it is not, and more shows as theirs.
    """
    pieces = (piece.select(_PAID.names) for piece in judged.paid())
    paid = pa.concat_tables([_PAID.empty_table(), *pieces])
    codes = sorted({f"purse:{card_no}" for card_no in texts(paid, "card_no")})
    purses_fen = {one.code.removeprefix("purse:"): one.balance_fen for one in balances_of(conn, codes)}
    parts = shares(
        texts(paid, "card_no"), numbers(paid, "counter"), numbers(paid, "amount_fen"), numbers(paid, "paid_fen"),
        purses_fen,
    )  # fmt: skip
    paid_rides = [one for one in rides if one.paid_fen]
    short_fen = sum(shorts_fen(paid_rides, wallets_fen(conn, {one.holder for one in paid_rides})).values())
    return {
        "purse": int(parts.purse_paid.sum()),
        "suspense": int(parts.short_paid.sum()) + short_fen,
        "wallet": sum(one.paid_fen for one in paid_rides) - short_fen,
    }


def _settle(
    conn: Connection, found: DryRun, results_fen: Mapping[str, int], sources_fen: Mapping[str, int]
) -> None:
    """Net what the books hold and what tonight's taps and results would add, and make the instructions of it."""
    day = found.business_date
    gross_fen = Counter(owed_at(conn, day))
    gross_fen.update(results_fen)
    gross_fen.update({share.operator: share.paid_fen for share in found.shares})
    taken_fen = Counter(payers_of(conn, day))
    taken_fen.update(sources_fen)
    participants, agreements = participants_of(conn), agreements_on(conn, day)
    positions = net_positions(gross_fen, taken_fen, agreements, participants)
    if isinstance(positions, Refused):
        found.refusals.append(Refusal("net", positions.message, positions.remedy))
        return
    found.positions = positions
    try:
        found.instructions = tuple(
            instructions_for(
                positions, day, participants=participants, agreements=agreements, calendar=load_calendar(conn)
            )
        )
    except YearUnknown as unknown:
        found.refusals.append(Refusal("instruct", unknown.reason, unknown.remedy))
    if found.instructions and SCHEME not in participants:
        remedy = f"register a participant {SCHEME} with the account of the customer-funds reserve"
        found.refusals.append(Refusal("instruct", "the scheme has no bank account to pay from", remedy))
