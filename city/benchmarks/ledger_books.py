"""Books for benchmarks: accounts by the million, and lines onto them by the batch, from a seed."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Engine

from ledger.accounts import open_accounts
from ledger.ahead import ahead
from ledger.chart import account
from ledger.columns import post_columns, post_pieces
from ledger.day import open_day
from ledger.db import writing
from ledger.directory import Directory
from ledger.entry import Posted, Refused
from ledger.prepared import Heading, Lines, Prepared, prepare_columns

DAY = date(2026, 3, 2)
AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
LINES_AN_ENTRY = 1_000
OPERATORS = 100
OPEN_AT_ONCE = 100_000
BUSY = 1
"""The operator, by its place, that an extra twentieth of all lines goes to: a metro among bus companies."""
ONE_IN = 20


@dataclass(frozen=True, slots=True)
class Cast:
    """The codes that lines are drawn from: payers by the million, and a hundred operators."""

    payers: pa.StringArray
    operators: pa.StringArray

    def learnt(self, engine: Engine) -> Directory:
        """A directory that knows them all."""
        directory = Directory(engine)
        for codes in (self.payers, self.operators):
            for start in range(0, len(codes), OPEN_AT_ONCE):
                directory.numbers(list(map(str, codes.slice(start, OPEN_AT_ONCE).to_pylist())))
        return directory


def open_books(engine: Engine, payers: int) -> Cast:
    """Open a day, accounts of agents that may owe, and operators."""
    codes = [f"agent:{number:016d}" for number in range(payers)]
    operators = [f"clearing:OPERATOR-{number}" for number in range(OPERATORS)]
    with writing(engine) as conn:
        open_day(conn, DAY, at=AT)
        open_accounts(conn, [account(code) for code in operators], at=AT)
    for start in range(0, payers, OPEN_AT_ONCE):
        with writing(engine) as conn:
            open_accounts(conn, [account(code) for code in codes[start : start + OPEN_AT_ONCE]], at=AT)
    return Cast(pa.array(codes), pa.array(operators))


def batches(
    cast: Cast, *, lines: int, a_batch: int, seed: int, among_payers: bool = False
) -> Iterator[Lines]:
    """Lines from random payers to random operators, one of them busy, or to other payers; a thousand to an entry."""
    random = np.random.default_rng(seed)
    payers: Any = cast.payers
    creditors: Any = payers if among_payers else cast.operators
    for start in range(0, lines, a_batch):
        count = min(a_batch, lines - start)
        debit = random.integers(0, len(payers), count)
        credit = random.integers(0, len(creditors), count)
        if among_payers:
            credit = np.where(credit == debit, (credit + 1) % len(creditors), credit)
        else:
            credit[random.integers(0, ONE_IN, count) == 0] = BUSY
        debits = payers.take(pa.array(debit))
        counters: Any = pa.array(np.arange(start, start + count)).cast(pa.string())
        yield Lines(
            np.repeat(np.arange(-(-count // LINES_AN_ENTRY)), LINES_AN_ENTRY)[:count],
            debits,
            creditors.take(pa.array(credit)),
            random.integers(1, 1_000, count),
            pc.binary_join_element_wise(debits, counters, ":"),
        )


def post_all(engine: Engine, several: Iterable[Lines], directory: Directory, name: str) -> int:
    """Book batches durably, each by itself, the next prepared while the last is written; gives the number of lines.

    Raises RuntimeError where an entry is refused, as then nothing was measured.
    """
    lines = 0
    with _prepared(several, directory, name) as prepared_ones:
        for prepared in prepared_ones:
            with writing(engine) as conn:
                _require(post_columns(conn, prepared, directory, at=AT))
            lines += len(prepared.numbered.lines)
    return lines


def post_run(engine: Engine, several: Sequence[Lines], directory: Directory, name: str) -> None:
    """Book batches durably, all in one transaction, as a night does. Raises RuntimeError as `post_all`."""
    with writing(engine) as conn:
        _require(post_pieces(conn, lambda: _prepared(several, directory, name), directory, at=AT))


def _prepared(
    several: Iterable[Lines], directory: Directory, name: str
) -> AbstractContextManager[Iterator[Prepared]]:
    return ahead(
        prepare_columns(
            [Heading(f"{name}:{number}:{one}", "clearing", AT) for one in range(batch.entry[-1] + 1)],
            batch,
            directory,
            business_date=DAY,
        )
        for number, batch in enumerate(several)
    )


def _require(answers: Iterable[Posted | Refused]) -> None:
    refused = next((answer for answer in answers if isinstance(answer, Refused)), None)
    if refused is not None:
        raise RuntimeError(refused.message)
