"""The night's verdicts into the books: entries, taps, where each card stands; all of it or nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, Engine, insert, select, update

from card.hotlist import HotlistEntry, hotlist_card, hotlisted
from clearing.columns import numbers, rows_where, texts, truths
from clearing.context import Night, StepRefused, StepResult
from clearing.postings import OVERCHARGE, SHORTFALL, batch_columns
from clearing.presented import presented_table
from clearing.pricing import PRICED
from clearing.records import keep_positions, keep_taps, renew_taps
from clearing.tables import batch_file, cleared_night
from clearing.verdict import Money, Verdict
from clearing.workfiles import read_table
from ledger.accounts import open_accounts
from ledger.balances import balances_of
from ledger.chart import account
from ledger.columns import in_pieces, post_columns, prepare_columns
from ledger.directory import Directory
from ledger.entry import Refused

HOTLIST_DEADLINE = timedelta(days=1)
"""How long devices have to take up a list."""


def post(engine: Engine, night: Night) -> StepResult:
    """Book one entry an operator batch, keep every tap with its verdict, and hotlist cloned cards.

    Writing refuses with StepRefused where the ledger does; then nothing is written.
    """
    judged = judged_taps(night)
    paid = rows_where(judged, _is(judged, "money", Money.PAID) & (numbers(judged, "amount_fen") > 0))
    clones = sorted(
        set(texts(rows_where(judged, _is(judged, "verdict", Verdict.COUNTER_CONFLICT)), "card_no"))
    )
    paid_fen = int(numbers(paid, "paid_fen").sum())
    counts = {
        "taps": judged.num_rows,
        "entries": len(set(zip(texts(paid, "operator"), numbers(paid, "sequence").tolist(), strict=True))),
        "paid_taps": paid.num_rows,
        "paid_fen": paid_fen,
        "overcharge_fen": int(numbers(paid, "amount_fen").sum()) - paid_fen,
        "alarms": len(clones),
    }

    def write(conn: Connection) -> None:
        done = select(cleared_night.c.taps).where(cleared_night.c.business_date == night.business_date)
        if conn.execute(done).one_or_none() is not None:
            return
        _book(conn, Directory(engine), night, paid)
        retried = truths(judged, "retried")
        keep_taps(conn, rows_where(judged, ~retried), night.business_date)
        renew_taps(conn, rows_where(judged, retried), night.business_date)
        keep_positions(conn, rows_where(judged, truths(judged, "chained")))
        _hotlist(conn, clones, night.at)
        conn.execute(
            update(batch_file).where(batch_file.c.cleared_on.is_(None)).values(cleared_on=night.business_date)
        )
        conn.execute(
            insert(cleared_night).values(
                business_date=night.business_date, booked_at=night.at, taps=judged.num_rows
            )
        )

    return StepResult(counts, (), write)


def judged_taps(night: Night) -> pa.Table:
    """Tonight's taps with their verdicts, prices and payments, by `no`."""
    taps, priced = presented_table(night), read_table(night.work / PRICED)
    if not taps["no"].equals(priced["no"]):
        raise StepRefused(
            "post", "the priced taps are not the collected ones", "run the night again from `collect`"
        )
    for name in priced.column_names[1:]:
        taps = taps.append_column(name, priced[name])
    return taps


def _is(table: pa.Table, name: str, text: str) -> npt.NDArray[np.bool_]:
    return np.array([value == text for value in texts(table, name)], np.bool_)


def _book(conn: Connection, directory: Directory, night: Night, paid: pa.Table) -> None:
    operators = sorted(set(texts(paid, "operator")))
    codes = [OVERCHARGE, SHORTFALL, *(f"clearing:{operator}" for operator in operators)]
    open_accounts(conn, [account(code) for code in codes], at=night.at)
    headings, lines = batch_columns(paid, _purses_fen(conn, paid), _made_at(conn), night.business_date)
    refused = []
    for some, own in in_pieces(headings, lines):
        prepared = prepare_columns(some, own, directory, business_date=night.business_date)
        answers = post_columns(conn, prepared, directory, at=night.at, closing=True)
        refused += [answer for answer in answers if isinstance(answer, Refused)]
    if refused:
        raise StepRefused(
            "post",
            f"the ledger refuses {len(refused)} entries, first {refused[0].reference}: {refused[0].message}",
            "clear its reason, then run the night again",
        )


def _purses_fen(conn: Connection, paid: pa.Table) -> dict[str, int]:
    """What tonight's cards have in their purses; a card without one is left out."""
    codes = [f"purse:{card_no}" for card_no in set(texts(paid, "card_no"))]
    return {found.code.removeprefix("purse:"): found.balance_fen for found in balances_of(conn, codes)}


def _made_at(conn: Connection) -> Mapping[tuple[str, int], datetime]:
    columns = batch_file.c
    rows = conn.execute(select(columns.operator, columns.sequence, columns.made_at))
    return {(operator, sequence): made_at.astimezone(UTC) for operator, sequence, made_at in rows}


def _hotlist(conn: Connection, clones: list[str], at: datetime) -> None:
    listed = {entry.card_no for entry in hotlisted(conn)}
    for card_no in clones:
        if card_no not in listed:
            hotlist_card(
                conn, HotlistEntry(card_no, at, at + HOTLIST_DEADLINE, Verdict.COUNTER_CONFLICT.value)
            )
