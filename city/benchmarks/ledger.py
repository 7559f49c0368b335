"""How fast the ledger books and answers, beside raw COPY, pgbench, an ORM and a bare insert on the same database."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Engine, make_url, text

from city.benchmarks.figures import Figure, at_least, at_most
from city.benchmarks.ledger_books import (
    AT,
    BUSY,
    DAY,
    ONE_IN,
    OPERATORS,
    Cast,
    batches,
    open_books,
    post_all,
    post_run,
)
from city.benchmarks.orm_ledger import entries_a_second
from city.processes import keep_loaded, postgres_binaries, private_postgres
from ledger import tables
from ledger.ahead import ahead
from ledger.balances import balance_on
from ledger.binary_rows import Kind, binary_rows, stream
from ledger.bulk import copy_into, insert_rows
from ledger.day import begin_close, finish_close
from ledger.db import make_engine, migrate, reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.group import GroupCommit
from ledger.ids import before_first
from ledger.post import post
from ledger.prepared import Lines

ACCOUNTS = 1_000_000
A_BATCH = 200_000
A_RUN = 10
"""Batches in one transaction, at most, as of a night of two million taps; COPY gets theirs in one as well."""
TURNS = 3
ONLINE_S = 8
ORM_ENTRIES = 300
SQLITE_ACCOUNTS = 10_000
DATABASE = {"shared_buffers": "1GB", "max_wal_size": "8GB", "max_connections": "60"}


def bench_ledger(size: int | None) -> list[Figure]:
    """Post `size` lines (20 million) on a private PostgreSQL with fsync on, and a tenth of a million on SQLite."""
    lines = size or 20_000_000
    accounts = min(ACCOUNTS, max(1_000, lines // 10))
    figures: list[Figure] = []
    with private_postgres(DATABASE) as url:
        engine = make_engine(url)
        migrate(engine)
        cast = open_books(engine, accounts)
        _settle(engine)
        figures += _online(engine, url)
        figures += _bulk(engine, cast, accounts, lines)
        figures += _grown(engine, url, lines)
        figures += _past_balance(engine, lines)
        engine.dispose()
    return [*figures, *_sqlite()]


def _bulk(engine: Engine, cast: Cast, accounts: int, lines: int) -> list[Figure]:
    """Batches posted in a run, and the same rows given to COPY in between, so that both meet the same machine."""
    directory = cast.learnt(engine)
    with writing(engine) as conn:
        for name, index in (
            ("bare_key", ""),
            ("bare_account", "CREATE INDEX ON bare_account (debit_id, id)"),
        ):
            conn.execute(text(f"CREATE TABLE {name} (LIKE ledger_line)"))
            conn.execute(text(index or f"ALTER TABLE {name} ADD PRIMARY KEY (id)"))
    figures = []
    numbers = count(1)
    in_run = max(1, min(A_RUN, lines // 10 // A_BATCH))
    run = in_run * A_BATCH
    for what, among_payers in (("random payer to one of 100 operators", False), ("random to random", True)):
        ours, key, by_account = [], [], []
        for turn in range(TURNS):
            drawn = batches(cast, lines=run, a_batch=A_BATCH, seed=11 + turn, among_payers=among_payers)
            several = list(drawn)
            ours.append(_took_s(post_run, engine, several, directory, f"{what}:{turn}"))
            rows = [_rows(batch, next(numbers) * A_BATCH) for batch in several]
            key.append(_took_s(_copy_all, engine, "bare_key", rows))
            by_account.append(_took_s(_copy_all, engine, "bare_account", rows))
        rate = run / median(ours[1:])
        figure = f"bulk posting, {what}, {accounts:,} accounts, {in_run} batches of {A_BATCH:,} in a run"
        for index, took in (("its key", key), ("by account", by_account)):
            against = f"raw COPY, one index, {index}"
            peer = run / median(took[1:])
            figures.append(at_least(figure, rate, "lines/s", against=against, peer=peer, ratio=0.5))
    figures.append(
        at_least(
            figures[0].figure,
            figures[0].value,
            "lines/s",
            against="ORM, row by row",
            peer=entries_a_second(engine, ORM_ENTRIES),
            ratio=100,
        )
    )
    return figures


def _grown(engine: Engine, url: str, lines: int) -> list[Figure]:
    """Post until there are `lines`, in processes of their own: the first part's pace, the last's, and its memory."""
    part = max(A_BATCH, lines // 20)
    first = _in_process(url, part, seed=21)
    middle = _in_process(url, max(A_BATCH, lines // 2), seed=22)
    for seed in range(23, 23 + max(0, (lines - lines // 2 - 2 * part) // part)):
        _in_process(url, part, seed=seed)
    last = _in_process(url, part, seed=20)
    return [
        at_least(
            f"bulk posting at {lines:,} stored lines", part / last["took_s"], "lines/s",
            against=f"at {part:,}", peer=part / first["took_s"], ratio=0.8,
        ),
        at_most(
            f"peak memory of posting {max(A_BATCH, lines // 2):,} lines", middle["peak_mib"], "MiB",
            against="the bound that was set", peer=600, ratio=1,
        ),
    ]  # fmt: skip


def _online(engine: Engine, url: str) -> list[Figure]:
    """Writers that each wait for their answer before the next, one line an entry, against pgbench's own."""
    pgbench = _pgbench(url)
    keep_loaded()  # as servers do
    # Plans made on empty tables read all of a table; a database that has run for a minute has better ones.
    _group_rate(engine, 16, hot=False)
    _settle(engine)
    apart = {writers: _group_rate(engine, writers, hot=False) for writers in (32, 256)}
    onto_one = _group_rate(engine, 32, hot=True)
    return [
        at_least("online posting, 32 writers, durable", apart[32], "entries/s",
                 against="pgbench simple update, 32 clients", peer=pgbench, ratio=1.2),
        at_least("online posting, 256 writers, durable", apart[256], "entries/s",
                 against="pgbench simple update, 32 clients", peer=pgbench, ratio=3),
        at_least("online posting onto one hot account, 32 writers", onto_one, "entries/s",
                 against="the same onto 32 accounts", peer=apart[32], ratio=0.7),
    ]  # fmt: skip


def _group_rate(engine: Engine, writers: int, *, hot: bool) -> float:
    """Entries a second through the group commit; writers are coroutines, as pgbench's clients share its threads."""

    def handle(conn: Connection, orders: Sequence[Entry]) -> Sequence[object]:
        return post(conn, orders, at=AT)

    async def write_all(group: GroupCommit[Entry, object]) -> int:
        ends = time.perf_counter() + ONLINE_S

        async def write(writer: int) -> int:
            to = f"clearing:OPERATOR-{0 if hot else writer % 100}"
            for number in count():
                if time.perf_counter() > ends:
                    return number
                line = Line(f"agent:{(writer * 31 + number) % 1_000:016d}", to, 1 + number % 500)
                reference = f"online:{writers}:{hot}:{writer}:{number}"
                answer = await group.answer(Entry(reference, "purchase", DAY, AT, (line,)))
                if not isinstance(answer, Posted):
                    raise RuntimeError(f"{reference} was not posted: {answer}")
            raise AssertionError("a count has no end")

        return sum(await asyncio.gather(*(write(writer) for writer in range(writers))))

    with GroupCommit[Entry, object](engine, handle) as group:
        began = time.perf_counter()
        return asyncio.run(write_all(group)) / (time.perf_counter() - began)


def _pgbench(url: str) -> float:
    """Transactions a second of pgbench's simple update, 32 clients."""
    host = str(make_url(url).query["host"])
    program = [str(postgres_binaries() / "pgbench"), "-h", host, "-U", "onecard", "onecard"]
    subprocess.run([*program, "-i", "-s", "10", "-q"], check=True, capture_output=True)
    words = ["-N", "-c", "32", "-j", "2", "-T", str(ONLINE_S)]
    done = subprocess.run([*program, *words], check=True, capture_output=True, text=True)
    return float(done.stdout.partition("tps = ")[2].split()[0])


def _past_balance(engine: Engine, lines: int) -> list[Figure]:
    """The slowest of some past dates, of an account that a great part of all lines touched."""
    with writing(engine) as conn:
        begin_close(conn, DAY, at=AT)
        finish_close(conn, DAY, at=AT)
        begin_close(conn, DAY + timedelta(days=1), at=AT)
    dates = [DAY + timedelta(days=days) for days in (-1, 0, 1, 2)]
    worst_ms = 0.0
    with reading(engine) as conn:
        for business_date in dates:
            took = [_took_s(balance_on, conn, f"clearing:OPERATOR-{BUSY}", business_date) for _ in range(20)]
            worst_ms = max(worst_ms, 1_000 * sorted(took)[-2])
    what = f"balance at a past date, account of {lines // ONE_IN:,} lines"
    return [at_most(what, worst_ms, "ms", against="the bound that was set", peer=5, ratio=1)]


def _sqlite() -> list[Figure]:
    """Batches on SQLite, and the same rows inserted bare into the same table of books beside them."""
    with _sqlite_books() as (engine, cast), _sqlite_books() as (beside, _):
        directory, ours, bare = cast.learnt(engine), [], []
        for number, batch in enumerate(batches(cast, lines=4 * A_BATCH, a_batch=A_BATCH, seed=31)):
            ours.append(_took_s(post_all, engine, [batch], directory, f"sqlite:{number}"))
            first = before_first(DAY) + 1 + number * A_BATCH
            rows = _rows(batch, first)
            with writing(beside) as conn:
                insert_rows(conn, tables.entry, [_head(first, len(batch))])
            bare.append(_took_s(_insert, beside, rows, first))
        rate, peer = A_BATCH / median(ours[1:]), A_BATCH / median(bare[1:])
    what = f"bulk posting on SQLite, {SQLITE_ACCOUNTS:,} accounts"
    return [at_least(what, rate, "lines/s", against="raw insert into the same table", peer=peer, ratio=0.5)]


def _head(first: int, lines: int) -> tuple[object, ...]:
    """An entry for lines that nobody posted."""
    empty = bytes(32)
    return (first, f"bare:{first}", "bare", DAY, AT, AT, "", None, None, first, lines, empty, empty)


@contextmanager
def _sqlite_books() -> Iterator[tuple[Engine, Cast]]:
    with tempfile.TemporaryDirectory(prefix="onecard-bench-") as folder:
        engine = make_engine(f"sqlite:///{Path(folder) / 'books.db'}")
        migrate(engine)
        yield engine, open_books(engine, SQLITE_ACCOUNTS)
        engine.dispose()


def _rows(batch: Lines, first: int) -> tuple[list[np.ndarray], Lines]:
    """A batch as rows of the lines' table from a number on, between accounts of made-up numbers."""
    payers = np.unique(np.array(batch.debit), return_inverse=True)[1].astype(np.int64) + 1 + OPERATORS
    operators = np.unique(np.array(batch.credit), return_inverse=True)[1].astype(np.int64) + 1
    line_id = np.arange(first, first + len(batch), dtype=np.int64)
    return [line_id, line_id, payers, operators, batch.amount_fen], batch


def _copy_all(engine: Engine, name: str, several: Sequence[tuple[list[np.ndarray], Lines]]) -> None:
    def rows() -> Iterator[memoryview]:
        for columns, batch in several:
            numbers = [(Kind.INT8, pa.array(column)) for column in columns]
            yield binary_rows([*numbers, (Kind.TEXT, batch.item), numbers[0], numbers[0]])

    with writing(engine) as conn, ahead(rows()) as made:
        copy_into(conn, f"{name} FROM STDIN (FORMAT binary)", stream(made))


def _insert(engine: Engine, rows: tuple[list[np.ndarray], Lines], entry_id: int) -> None:
    columns, batch = rows
    line_id, _, *numbers = [column.tolist() for column in columns]
    entry = [entry_id] * len(batch)
    with writing(engine) as conn:
        items = batch.item.to_pylist()
        insert_rows(conn, tables.line, zip(line_id, entry, *numbers, items, line_id, line_id, strict=True))


def _in_process(url: str, lines: int, *, seed: int) -> dict[str, float]:
    run = [sys.executable, "-m", "city.benchmarks.post_lines", url, str(lines), str(A_BATCH), str(seed)]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _settle(engine: Engine) -> None:
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
        conn.execute(text("VACUUM ANALYZE"))
        conn.execute(text("CHECKPOINT"))


def _took_s(work: Callable[..., object], *words: object) -> float:
    began = time.perf_counter()
    work(*words)
    return time.perf_counter() - began
