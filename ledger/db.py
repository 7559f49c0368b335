"""Where money is stored: one schema, SQLite or PostgreSQL, and the two ways to open it.

`writing` is the only way to change anything, here or on a connection kept (`ledger.place`). It begins with the
writer's lock, so that at any moment one transaction writes and nothing it has read can change under it;
`reading` sees one consistent snapshot and can change nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    String,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlalchemy.util import LRUCache

from ledger.talk import plan_anew, talking

ALEMBIC_INI = Path(__file__).resolve().parent.parent / "alembic.ini"
WRITER_LOCK = 0x0CA2D
"""Key of PostgreSQL's advisory lock that makes one writer at a time."""
LOCK_WRITERS = f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"
_LOCK_BESIDE = f"SELECT pg_advisory_xact_lock({WRITER_LOCK + 2})"
_AHEAD = WRITER_LOCK + 3
_AT_A_TIME = 2
_MOST_COMPILED = 2_000
_COMPILED: dict[str, tuple[Dialect, Any]] = {}

Answer = TypeVar("Answer")
Other = TypeVar("Other")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every room's tables register here, so that one migration history covers the city."""

Id = BigInteger().with_variant(Integer, "sqlite")
Fen = BigInteger


class Instant(TypeDecorator[datetime]):
    """A timezone-aware UTC instant: `timestamptz` on PostgreSQL, ISO 8601 text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(32))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"instant {value!r} has no time zone; give a UTC-aware datetime")
        utc = value.astimezone(UTC)
        return utc.isoformat(timespec="microseconds") if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


def make_engine(url: str) -> Engine:
    """Connect lazily to `sqlite:///path` or `postgresql+psycopg://…`."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _prepare_postgresql)
        event.listen(engine, "before_cursor_execute", _ask_in_binary)
        event.listen(engine, "rollback_savepoint", lambda conn, *_: plan_anew(conn))
    _share_compiled(engine)
    return engine


def _share_compiled(engine: Engine) -> None:
    """Let a statement be compiled once in this process, and not once for each engine that it is run on.

    What is compiled is kept by dialect, so engines of a kind have that of the first one that has connected.
    """
    own = engine.dialect
    dialect, compiled = _COMPILED.get(own.name, (own, None))
    if compiled is None:
        event.listen(
            engine, "connect", lambda *_: _COMPILED.setdefault(own.name, (own, LRUCache(_MOST_COMPILED)))
        )
        return
    engine.dialect = dialect
    engine.update_execution_options(compiled_cache=compiled)


def nothing_to_write(_conn: Connection) -> None:
    """Leave the database as it is."""


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that may write; commits on leaving, rolls back on any exception."""
    with engine.begin() as conn:
        lock_writers(conn)
        yield conn


@contextmanager
def writing_ahead(
    engine: Engine, *, beside: Callable[[Connection], None] = nothing_to_write, ended: Event | None = None
) -> Iterator[Connection]:
    """The same, but it begins ahead of the writer's lock, while others write, and one may be at it at a time.

    The block asks for the lock (`lock_writers`) before it changes, or numbers, what others may. `beside` writes what
    nobody else does, at the same time in a transaction of its own, which is kept only if the block comes to its end,
    and then a moment before the other. Whoever dies in that moment leaves it behind, so it must look whether it is
    there. `ended` is set when it has ended, however that was. SQLite has one writer: there `beside` is first in the
    same transaction, which has the lock from its beginning.
    """
    ended = ended or Event()
    if engine.dialect.name != "postgresql":
        with writing(engine) as conn:
            beside(conn)
            ended.set()
            yield conn
        return
    with _under_way(engine, beside, ended) as keep, engine.begin() as conn:
        # As for `beside`: what was killed may still be about to end.
        conn.execute(text(f"SELECT pg_advisory_xact_lock({_AHEAD})"))
        yield conn
        keep()


def nobody_writes_ahead(conn: Connection) -> bool:
    """Whether no other transaction writes ahead of the writer's lock, nor will until this one ends."""
    if conn.dialect.name != "postgresql":
        return True
    return bool(conn.execute(text(f"SELECT pg_try_advisory_xact_lock({_AHEAD})")).scalar_one())


def _kept() -> None:
    """There is nothing to keep."""


@contextmanager
def _under_way(
    engine: Engine, write: Callable[[Connection], None], ended: Event
) -> Iterator[Callable[[], None]]:
    """Let a thread write in a transaction of its own; what is given waits for its end, and commits."""
    if write is nothing_to_write:
        ended.set()
        yield _kept
        return
    with engine.connect() as conn, ThreadPoolExecutor(1, "beside") as thread:

        def write_alone() -> None:
            # Another such transaction may belong to a process that was killed, and still be about to end.
            conn.execute(text(_LOCK_BESIDE))
            write(conn)

        written = thread.submit(write_alone)
        written.add_done_callback(lambda _: ended.set())

        def keep() -> None:
            written.result()
            conn.commit()

        yield keep


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent snapshot that can change nothing."""
    with engine.connect().execution_options(onecard_reading=True) as conn:
        if engine.dialect.name == "postgresql":
            conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        yield conn


def asked_together(engine: Engine, questions: Sequence[Callable[[Connection], Answer]]) -> list[Answer]:
    """The answers in the order of the questions; each has a snapshot of its own, and two are asked at a time.

    For long questions that do not depend on one another: one waits for the database while the other computes.
    """

    def ask(question: Callable[[Connection], Answer]) -> Answer:
        with reading(engine) as conn:
            sort_within(conn, megabytes=64)
            return question(conn)

    with ThreadPoolExecutor(_AT_A_TIME, "reading") as pool:
        return list(pool.map(ask, questions))


def sort_within(conn: Connection, *, megabytes: int) -> None:
    """Let PostgreSQL sort and join within so much memory until the transaction ends; else that goes through a file."""
    if conn.dialect.name == "postgresql":
        conn.execute(text(f"SET LOCAL work_mem = '{megabytes}MB'"))


def asked_both(
    engine: Engine, first: Callable[[Connection], Answer], second: Callable[[Connection], Other]
) -> tuple[Answer, Other]:
    """The same of two questions whose answers are of different kinds."""
    answers: list[Any] = asked_together(engine, [first, second])
    return answers[0], answers[1]


def lock_writers(conn: Connection) -> None:
    """Be the one writer until this transaction ends; SQLite's began as such."""
    if conn.dialect.name == "postgresql":
        # Where the transaction begins with it, BEGIN goes in the same round trip.
        with talking(conn) as talk:
            talk.say(LOCK_WRITERS)


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema up, or down to an older `revision`; `base` is before all, `-1` one back.

    A schema that is up already is only read, so that nobody who just looks waits for a long writer.
    """
    if revision == "head" and _is_newest(engine):
        return
    from ledger.migration import bring  # only where there is something to do: Alembic is slow to load

    bring(engine, revision)


def newest_revision() -> str:
    """The last of the migrations, which are one line of history, each named by its number and kept in its room."""
    return max(file.stem for file in ALEMBIC_INI.parent.glob("*/migrations/**/[0-9]*.py"))


def _is_newest(engine: Engine) -> bool:
    with reading(engine) as conn:
        if not inspect(conn).has_table("alembic_version"):
            return False
        current = conn.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return current == [newest_revision()]


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    pragmas = (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=30000",
        "cache_size=-65536",
    )
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    # Compiling the night's statements takes longer than running them: a second and more for one over 10,000 accounts.
    connection.execute("SET jit = off")
    # Reports have instants as the database writes them, whatever its server is set to.
    connection.execute("SET datestyle = 'ISO, YMD'")
    connection.commit()


def _ask_in_binary(_conn: Connection, cursor: Any, statement: str, *_: Any) -> None:
    # Columns of numbers as one value each (`ledger.packed`) would else come in hexadecimal digits.
    if "int8send" in statement:
        from psycopg.pq import Format  # who has only SQLite need not load the driver

        cursor.format = Format.BINARY


def _begin_sqlite(conn: Connection) -> None:
    reader = conn.get_execution_options().get("onecard_reading", False)
    conn.exec_driver_sql(f"PRAGMA query_only={int(reader)}")
    conn.exec_driver_sql("BEGIN" if reader else "BEGIN IMMEDIATE")
