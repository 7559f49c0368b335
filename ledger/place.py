"""A writer's place: a connection of its own that it comes back to, on which PostgreSQL keeps what it has planned."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from sqlalchemy import Connection, Engine, Transaction

from ledger.db import lock_writers
from ledger.talk import forget_plans, keep_plans


class Place:
    """Transactions that may write, one after the other on one connection; used by one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._conn: Connection | None = None
        self._begun: Transaction | None = None

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """`ledger.db.writing` on this connection, which is made where there is none."""
        conn, transaction = self.begin()
        self._begun = None
        try:
            with transaction:
                yield conn
        except BaseException:
            # Rolled back, and with that psycopg has freed what was planned.
            self.leave()
            raise

    def begin(self) -> tuple[Connection, Transaction]:
        """Be the one writer already, where that is not so yet: what `writing` is to yield, and its transaction."""
        try:
            if self._conn is None:
                self._conn = self._engine.connect()
                keep_plans(self._conn)
            if self._begun is None:
                self._begun = self._conn.begin()
                lock_writers(self._conn)
            return self._conn, self._begun
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Give the connection back; what was only begun is over."""
        conn, self._conn, self._begun = self._conn, None, None
        if conn is not None:
            forget_plans(conn)
            conn.close()
