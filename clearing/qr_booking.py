"""The night's rides on codes: taken in, judged, booked; one step, all of it or nothing.

`clear_qr` has the form of the night's steps: `wallet:{holder}` to `clearing:{operator}`, a line a ride. What a
wallet does not hold the scheme lays out from `suspense:purse_shortfall`, and takes back when it does.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, Engine, select

from card.hsm.errors import HsmError
from clearing.arrivals import Rejected
from clearing.atomic_files import write_bytes
from clearing.context import Night, StepRefused, StepResult
from clearing.devices import known_operators
from clearing.intake import missing
from clearing.online.qr_tables import qr_batch_file, qr_ride
from clearing.qr_facts import issuer_keys, qr_facts, suspended_rides
from clearing.qr_intake import QR_FILES, QrOutcome, clear_qr_inbox, held_batches, register_files
from clearing.qr_owed import wallets_fen
from clearing.qr_register import keep_rides
from clearing.qr_rides import JudgedRide, Place, PresentedRide, decide_qr, in_time
from clearing.qr_shortfall import recoveries, shorts_fen
from clearing.tap_accounts import SHORTFALL
from clearing.whole_files import TakenWhole, collect_whole
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.db import reading
from ledger.entry import Entry, Line, Refused
from ledger.post import post


def clear_qr(engine: Engine, night: Night) -> StepResult:
    """Take in the night's QR batches, judge their rides and those in suspense, and book what is owed.

    Raises StepRefused where the HSM cannot be asked; writing raises it where the ledger refuses. Then
    nothing is written, and the files stay where they are.
    """
    outcomes, judged, held = judge_qr(engine, night)
    taken = [outcome for outcome in outcomes if isinstance(outcome, TakenWhole)]
    numbers = set(held) | {(one.file.header.operator, one.file.header.sequence) for one in taken}
    requests = [{"operator": operator, "sequence": sequence} for operator, sequence in missing(numbers)]
    files = (write_bytes(night.work / "qr_missing.json", json.dumps(requests, indent=1).encode() + b"\n"),)

    def write(conn: Connection) -> None:
        post_qr(conn, night, outcomes, judged)

    return StepResult(_counts(outcomes, judged), files, write)


def judge_qr(
    engine: Engine, night: Night
) -> tuple[list[QrOutcome], tuple[JudgedRide, ...], dict[tuple[str, int], str]]:
    """What becomes of the night's QR batches and of their rides and those in suspense; batches held before.

    Writes into the archive and the acknowledgements, nothing into the database. Raises StepRefused where the
    HSM cannot be asked.
    """
    with reading(engine) as conn:
        held, operators = held_batches(conn), known_operators(conn)
        retried = suspended_rides(conn)
    try:
        outcomes = collect_whole(QR_FILES, night, held, operators)
        rides = [*retried, *_presented(outcomes, night.business_date)]
        keys = issuer_keys(night.hsm, rides)
    except HsmError as error:
        raise StepRefused("qr_rides", f"the HSM cannot be asked: {error}", "restore it, run again") from error
    with reading(engine) as conn:
        facts = qr_facts(conn, rides, keys, night)
    judged = decide_qr(rides, facts, business_date=night.business_date)
    return outcomes, judged, held


def empty_qr_inbox(engine: Engine, night: Night) -> StepResult:
    """Remove the files that the committed `clear_qr` has dealt with: the step that comes after it."""
    clear_qr_inbox(engine, night)
    return StepResult({})


def post_qr(
    conn: Connection, night: Night, outcomes: Sequence[QrOutcome], judged: Sequence[JudgedRide]
) -> None:
    """Write the night's batches and rides and book them; a night that is written already changes nothing.

    Raises StepRefused where the ledger refuses.
    """
    if _is_written(conn, night.business_date):
        return
    recovered = recoveries(conn, night.business_date, at=night.at)
    register_files(conn, outcomes, night.business_date)
    paid = sorted((one for one in judged if one.paid_fen), key=in_time)
    held_fen = wallets_fen(conn, {one.holder for one in paid})
    for line in recovered.lines if recovered else ():
        held_fen[line.debit] = held_fen.get(line.debit, 0) - line.amount_fen
    lacking_fen = shorts_fen(paid, held_fen)
    entries = _entries(conn, night.business_date, paid, lacking_fen)
    codes = [SHORTFALL, *sorted({f"clearing:{one.presented.operator}" for one in paid})]
    open_accounts(conn, [account(code) for code in codes], at=night.at)
    _book(conn, [*([recovered] if recovered else []), *entries], night.at)
    keep_rides(conn, judged, lacking_fen, night.business_date)


def _presented(outcomes: Iterable[QrOutcome], business_date: date) -> list[PresentedRide]:
    return [
        PresentedRide(
            outcome.file.header.operator, outcome.file.header.sequence, position, business_date, False, body
        )
        for outcome in outcomes
        if isinstance(outcome, TakenWhole)
        for position, body in enumerate(outcome.file.records)
    ]


def _counts(outcomes: Sequence[QrOutcome], judged: Sequence[JudgedRide]) -> dict[str, int]:
    rejected = sum(isinstance(outcome, Rejected) for outcome in outcomes)
    taken = sum(isinstance(outcome, TakenWhole) for outcome in outcomes)
    counts = {
        "qr_files": len(outcomes),
        "qr_accepted": taken,
        "qr_rejected": rejected,
        "qr_repeated": len(outcomes) - taken - rejected,
        "qr_rides": len(judged),
        "qr_paid_fen": sum(one.paid_fen for one in judged),
    }
    verdicts = Counter(one.verdict.value for one in judged)
    return counts | {f"qr_{verdict}_rides": count for verdict, count in sorted(verdicts.items())}


def _is_written(conn: Connection, business_date: date) -> bool:
    rides = select(qr_ride.c.position).where(qr_ride.c.decided_on == business_date).limit(1)
    files = select(qr_batch_file.c.sequence).where(qr_batch_file.c.cleared_on == business_date).limit(1)
    return conn.execute(rides).first() is not None or conn.execute(files).first() is not None


def _entries(
    conn: Connection, business_date: date, paid: Sequence[JudgedRide], lacking_fen: dict[Place, int]
) -> list[Entry]:
    """An entry for each batch with paid rides; rides out of suspense make one of their own."""
    columns = qr_batch_file.c
    made_at: dict[tuple[str, int], datetime] = {
        (operator, sequence): at
        for operator, sequence, at in conn.execute(
            select(columns.operator, columns.sequence, columns.made_at)
        )
    }
    lines: dict[tuple[str, int, bool], list[Line]] = {}
    for one in paid:
        operator, sequence, _ = one.presented.place
        short_fen = lacking_fen[one.presented.place]
        for debit, amount_fen in (
            (f"wallet:{one.holder}", one.paid_fen - short_fen),
            (SHORTFALL, short_fen),
        ):
            if amount_fen:
                line = Line(debit, f"clearing:{operator}", amount_fen, ":".join(one.code_key))
                lines.setdefault((operator, sequence, one.presented.retried), []).append(line)
    return [
        Entry(
            f"qr-batch:{operator}:{sequence}" + (f":{business_date}" if retried else ""),
            "qr_clearing",
            business_date,
            made_at[operator, sequence],
            tuple(parts),
            f"{operator} QR batch {sequence}" + (", out of suspense" if retried else ""),
        )
        for (operator, sequence, retried), parts in sorted(lines.items())
    ]


def _book(conn: Connection, entries: Sequence[Entry], at: datetime) -> None:
    refused = [one for one in post(conn, entries, at=at, closing=True) if isinstance(one, Refused)]
    if refused:
        raise StepRefused(
            "qr_rides",
            f"the ledger refuses {len(refused)} entries, first {refused[0].reference}: {refused[0].message}",
            "clear its reason, then run the night again",
        )
