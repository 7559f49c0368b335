"""Results into the books: which lines answer which taps, the taps' new verdicts, and one entry a centre a night."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from sqlalchemy import Column, Connection, Engine, Integer, case, func, insert, select, update

from clearing.context import Night, StepRefused
from clearing.fixed_rows import Field, fixed_rows
from clearing.interop.lines import Bools, Ints, Judged, Lines, Odd, judge_lines
from clearing.interop.results import ResultTaken
from clearing.interop.tables import SAME_TAP, centre_odd_line, centre_tap
from clearing.records import stage_of
from clearing.tables import tap
from clearing.tap_accounts import OVERCHARGE
from clearing.verdict import Money, Verdict
from clearing.wire.result_code import ResultCode
from ledger.accounts import open_accounts
from ledger.bulk import one_of_numbers
from ledger.chart import account
from ledger.columns import post_columns
from ledger.db import Id
from ledger.directory import Directory
from ledger.entry import Refused
from ledger.prepared import Heading, in_pieces, prepare_columns
from ledger.prepared import Lines as BookLines

ENTRY_KIND: Final = "interop"
NIGHT: Final = "night"
"""Who settles a line that only says again what was said."""

PAID_FEN: Final = case((tap.c.price_fen < tap.c.amount_fen, tap.c.price_fen), else_=tap.c.amount_fen)
"""What the operator of a tap is owed once its centre has accepted it: the lower of the tariff's price and its own."""


@dataclass(frozen=True, slots=True)
class Results:
    """A centre's lines that come before a night: those still odd, then those of new files; `result` and `line` are
    where each came from."""

    centre: str
    result: Ints
    line: Ints
    lines: Lines
    judged: Judged
    known: int  # so many of them, the first, are odd lines of earlier nights

    @property
    def accepted(self) -> Bools:
        """Which lines accept their taps."""
        which: Bools = self.judged.answers & (self.lines.code == int(ResultCode.ACCEPTED))
        return which


def judge_results(conn: Connection, centre: str, taken: Sequence[ResultTaken]) -> Results:
    """Hold a centre's new lines, and those that are odd still, against the taps that were handed to it."""
    columns = centre_odd_line.c
    query = (
        select(centre_odd_line)
        .where(columns.centre == centre, columns.settled_on.is_(None))
        .order_by(columns.result, columns.line)
    )
    names = ("result", "line", "number", "place", "amount_fen", "code")
    parts = [fixed_rows(conn, query, *(Field(columns[name]) for name in names))]
    known = len(parts[0][0])
    for one in sorted(taken, key=lambda one: one.file.header.sequence):
        rows, header = one.file.rows, one.file.header
        own = [rows[name].astype(np.int64) for name in names[2:]]
        parts.append([np.full(len(rows), header.sequence), np.arange(len(rows)), *own])
    result, line, *fields = (np.concatenate(values) for values in zip(*parts, strict=True))
    lines = Lines(*fields)
    judged = judge_lines(lines, _handed(conn, centre, np.unique(lines.number)))
    return Results(centre, result, line, lines, judged, known)


def apply_results(conn: Connection, engine: Engine, night: Night, results: Results) -> None:
    """Answer the taps, book what was accepted, and keep what is odd. Raises StepRefused where the ledger refuses."""
    _answer(conn, night, results)
    _keep_odd(conn, night, results)
    if not results.judged.answers.any():
        return
    _decide(conn, night, results.centre)
    _book(conn, engine, night, results.centre)


def _handed(conn: Connection, centre: str, numbers: Ints) -> Lines:
    """The taps of some files that were handed to a centre."""
    columns = centre_tap.c
    query = select(centre_tap).where(
        columns.centre == centre, one_of_numbers(conn, columns.number, numbers.tolist())
    )
    fields = (columns.number, columns.place, columns.amount_fen, func.coalesce(columns.code, -1))
    return Lines(*fixed_rows(conn, query, *(Field(field) for field in fields)))


def _answer(conn: Connection, night: Night, results: Results) -> None:
    which = results.judged.answers
    staged = {
        "number": results.lines.number[which],
        "place": results.lines.place[which],
        "code": results.lines.code[which],
        "result": results.result[which],
    }
    kinds = [Column("number", Id), Column("place", Integer), Column("code", Integer), Column("result", Id)]
    with stage_of(conn, kinds, [pa.table(staged)]) as stage:
        conn.execute(
            update(centre_tap)
            .where(
                centre_tap.c.centre == results.centre,
                centre_tap.c.number == stage.c.number,
                centre_tap.c.place == stage.c.place,
            )
            .values(code=stage.c.code, result=stage.c.result, answered_on=night.business_date)
        )


def _decide(conn: Connection, night: Night, centre: str) -> None:
    """Give the taps that were answered tonight their verdicts and their money."""
    columns, told = tap.c, centre_tap.c
    accepted = told.code == int(ResultCode.ACCEPTED)
    alike = columns.price_fen == columns.amount_fen
    verdict = case((alike, Verdict.ACCEPTED.value), else_=Verdict.PRICE_DIFFERS.value)
    words = case(
        *((told.code == int(code), _in_words(centre, code)) for code in ResultCode if code), else_=""
    )
    conn.execute(
        update(tap)
        .where(
            SAME_TAP,
            told.centre == centre,
            told.answered_on == night.business_date,
            columns.money == Money.SUSPENDED.value,
        )
        .values(
            decided_on=night.business_date,
            verdict=case((accepted, verdict), else_=Verdict.ISSUER_REFUSED.value),
            money=case((accepted, Money.PAID.value), else_=Money.REJECTED.value),
            paid_fen=case((accepted, PAID_FEN), else_=0),
            flaw=words,
        )
    )


def _in_words(centre: str, code: ResultCode) -> str:
    return f"{centre} refused it: {code.name.lower()} ({int(code)})"


def _book(conn: Connection, engine: Engine, night: Night, centre: str) -> None:
    """Owe the operators what the centre accepted tonight, and hold the centre to what left its cards."""
    columns, told = tap.c, centre_tap.c
    query = (
        select(columns.operator, columns.card_no, columns.counter, columns.amount_fen, columns.paid_fen)
        .join(centre_tap, SAME_TAP)
        .where(
            told.centre == centre,
            told.answered_on == night.business_date,
            told.code == int(ResultCode.ACCEPTED),
        )
        .order_by(columns.operator, columns.sequence, columns.position)
    )
    rows = conn.execute(query).all()
    lines = [
        (f"clearing:{row.operator}" if own else OVERCHARGE, fen, f"{row.card_no}:{row.counter}")
        for row in rows
        for own, fen in ((True, row.paid_fen), (False, row.amount_fen - row.paid_fen))
        if fen
    ]
    if not lines:
        return
    position = f"city:{centre}"
    credited, amounts, items = zip(*lines, strict=True)
    open_accounts(conn, [account(code) for code in (position, *sorted(set(credited)))], at=night.at)
    heading = Heading(
        f"interop:{centre}:{night.business_date}", ENTRY_KIND, night.at, f"cards of {centre} here, accepted"
    )
    booked = BookLines(
        np.zeros(len(lines), np.int64),
        pa.array([position] * len(lines), pa.string()),
        pa.array(credited, pa.string()),
        np.array(amounts, np.int64),
        pa.array(items, pa.string()),
    )
    directory = Directory(engine)
    for some, own in in_pieces([heading], booked):
        prepared = prepare_columns(some, own, directory, business_date=night.business_date)
        for answer in post_columns(conn, prepared, directory, at=night.at, closing=True):
            if isinstance(answer, Refused):
                reason = f"the ledger refuses {answer.reference}: {answer.message}"
                raise StepRefused("route", reason, "clear its reason, then run the night again")


def _keep_odd(conn: Connection, night: Night, results: Results) -> None:
    """Keep the new odd lines, and renew those that were: an odd line that fits now, or says nothing new, is settled."""
    names = tuple(Odd)
    columns = centre_odd_line.c
    for at in range(results.known):
        key = [columns.centre == results.centre, columns.result == int(results.result[at]),
               columns.line == int(results.line[at])]  # fmt: skip
        conn.execute(update(centre_odd_line).where(*key).values(_standing(night, results, at, names)))
    new = np.flatnonzero(~results.judged.answers[results.known :]) + results.known
    rows = [
        {
            "centre": results.centre,
            "result": int(results.result[at]),
            "line": int(results.line[at]),
            "number": int(results.lines.number[at]),
            "place": int(results.lines.place[at]),
            "amount_fen": int(results.lines.amount_fen[at]),
            "code": int(results.lines.code[at]),
            "found_on": night.business_date,
            **_standing(night, results, at, names),
        }
        for at in new.tolist()
    ]
    if rows:
        conn.execute(insert(centre_odd_line), rows)


def _standing(night: Night, results: Results, at: int, names: Sequence[Odd]) -> dict[str, Any]:
    """How a line stands: why it is odd, or by whom it is settled and why."""
    settled = {"settled_on": night.business_date, "settled_by": NIGHT}
    if results.judged.answers[at]:
        return settled | {"settled_why": "it answers its tap"}
    why = {"why": names[int(results.judged.odd[at])].value}
    if results.judged.again[at]:
        return why | settled | {"settled_why": "the tap was answered so already"}
    return why | {"settled_on": None, "settled_by": None, "settled_why": None}
