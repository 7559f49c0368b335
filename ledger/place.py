"""A writer's place: a connection of its own that it comes back to, on which PostgreSQL keeps what it has planned."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from sqlalchemy import Connection, Engine

from ledger.db import lock_writers
from ledger.talk import forget_plans, keep_plans


class Place:
    """Transactions that may write, one after the other on one connection; used by one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._conn: Connection | None = None

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """`ledger.db.writing` on this connection, which is made where there is none."""
        if self._conn is None:
            self._conn = self._engine.connect()
            keep_plans(self._conn)
        conn = self._conn
        try:
            with conn.begin():
                lock_writers(conn)
                yield conn
        except BaseException:
            # Rolled back, and with that psycopg has freed what was planned.
            self.leave()
            raise

    def leave(self) -> None:
        """Give the connection back."""
        conn, self._conn = self._conn, None
        if conn is not None:
            forget_plans(conn)
            conn.close()
