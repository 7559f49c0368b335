"""What is said to PostgreSQL before it has answered what was said before: one round trip, in libpq's own pipeline.

psycopg has pipelines too, but takes 20 µs of Python for each statement where this takes 2; and what is said over and
over on a connection that somebody has alone is planned once: planning it costs more than doing it.
"""

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import count
from typing import Any, Final

from psycopg import Connection as Driver
from psycopg import Error, OperationalError, pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Value = str | bytes | int | date | None
Rows = list[tuple[Any, ...]]

_PLANS: Final = "onecard_plans"
_ENCODING: Final = "utf-8"
_names: Final = count(1)


@contextmanager
def driver(conn: Connection) -> Iterator[Any]:
    """The driver's own connection, in the same transaction; its errors come as SQLAlchemy's."""
    connection, dbapi = conn.connection.driver_connection, conn.dialect.loaded_dbapi
    try:
        yield connection
    except dbapi.Error as error:
        broken = conn.dialect.is_disconnect(error, connection, None)
        if broken:
            conn.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, dbapi.Error, connection_invalidated=broken, dialect=conn.dialect
        ) from error


def keep_plans(conn: Connection) -> None:
    """Plan once what is said on a connection from now on. Only for who has it alone, and knows of every rollback.

    After one, also to a savepoint, say it again: psycopg then frees whatever was prepared on a connection.
    """
    conn.info[_PLANS] = {}


def keeps_plans(conn: Connection) -> bool:
    """Whether somebody has said so."""
    return _PLANS in conn.info


@contextmanager
def talking(conn: Connection) -> "Iterator[Talk]":
    """Say things and hear the answers; on leaving all is heard. Errors come as SQLAlchemy's.

    After an error PostgreSQL takes nothing more in until the transaction, or savepoint, is rolled back.
    """
    with driver(conn) as connection:
        talk = Talk(connection, conn.info.get(_PLANS))
        try:
            yield talk
            talk.hear()
        finally:
            talk.end()


class Talk:
    """Statements that are under way on a psycopg connection, which nobody else may use meanwhile."""

    def __init__(self, connection: "Driver[Any]", plans: dict[str, bytes] | None) -> None:
        self._connection, self._pg, self._plans = connection, connection.pgconn, plans
        self._under_way: list[bool] = []
        """Of each thing that was sent whether it is a statement of the caller's, whose rows are to be heard."""
        self._pg.enter_pipeline_mode()
        if not connection.autocommit and self._pg.transaction_status == pq.TransactionStatus.IDLE:
            self._pg.send_query_params(b"BEGIN", None)
            self._under_way.append(False)

    def say(self, words: str, values: Sequence[Value] = ()) -> None:
        """Send a statement, with a value for each of $1, $2 and so on, and wait for nothing."""
        octets = [_octets(value) for value in values]
        if self._plans is None:
            self._pg.send_query_params(words.encode(), octets, result_format=pq.Format.BINARY)
        else:
            name = self._plans.get(words)
            if name is None:
                name = self._plans[words] = b"onecard_%d" % next(_names)
                self._pg.send_prepare(name, words.encode())
                self._under_way.append(False)
            self._pg.send_query_prepared(name, octets, result_format=pq.Format.BINARY)
        self._under_way.append(True)
        self._pg.flush()

    def hear(self) -> list[Rows]:
        """Wait until all that was said is done: the rows of each statement, in the order said."""
        if not self._under_way:
            return []
        asked, self._under_way = self._under_way, []
        self._pg.pipeline_sync()
        results = self._answers()
        for result in results:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise error_from_result(result, _ENCODING)
        return [self._rows(result) for mine, result in zip(asked, results, strict=True) if mine]

    def end(self) -> None:
        """Let the connection be used by others again; what was said and not heard is waited for."""
        try:
            self.hear()
        except Error:
            if self._plans is not None:
                self._plans.clear()
            raise
        finally:
            if self._pg.status == pq.ConnStatus.OK:
                self._pg.exit_pipeline_mode()

    def _answers(self) -> "list[pq.abc.PGresult]":
        """What PostgreSQL has to say up to here."""
        pg, results = self._pg, []
        unsent = pg.flush()
        while True:
            while pg.is_busy():
                unsent = self._wait(unsent)
            result = pg.get_result()
            if result is None:
                if pg.status != pq.ConnStatus.OK:
                    raise OperationalError("the connection was lost")
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                return results
            else:
                results.append(result)

    def _wait(self, unsent: int) -> int:
        """Wait until there is something to read, or to send the rest of what was said; whether some is still left."""
        waiting = select.poll()
        waiting.register(self._pg.socket, select.POLLIN | (select.POLLOUT if unsent else 0))
        waiting.poll()
        self._pg.consume_input()
        return self._pg.flush() if unsent else 0

    def _rows(self, result: "pq.abc.PGresult") -> Rows:
        if not result.ntuples:
            return []
        reading = Transformer(self._connection)
        reading.set_pgresult(result)
        return reading.load_rows(0, result.ntuples, tuple)


def _octets(value: Value) -> bytes | None:
    """A value in PostgreSQL's text format."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return str(value).encode() if isinstance(value, int) else value.isoformat().encode()
