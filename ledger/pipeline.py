"""What is said to PostgreSQL before it has answered what was said before: one round trip, in libpq's own pipeline.

psycopg has pipelines too, but takes 20 µs of Python for each statement where this takes 2.
"""

import select
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import Any, Final

from psycopg import Connection as Driver
from psycopg import OperationalError, pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

from ledger.talk import Rows, Value

_ENCODING: Final = "utf-8"
_names: Final = count(1)


class Talk:
    """Statements that are under way on a psycopg connection, which nobody else may use meanwhile."""

    def __init__(self, connection: "Driver[Any]", plans: dict[str, bytes] | None) -> None:
        self._connection, self._pg, self._plans = connection, connection.pgconn, plans
        self._unheard: deque[bool] = deque()
        """Of each thing that was said, whether it is a statement whose rows somebody waits for."""
        self._settled, self._asked_to_settle = True, False
        self._to_send, self._unsent = False, 0
        self._pg.enter_pipeline_mode()
        if not connection.autocommit and self._pg.transaction_status == pq.TransactionStatus.IDLE:
            self._settled = False
            self._pg.send_query_params(b"BEGIN", None)
            self._unheard.append(False)

    def say(self, words: str, values: Sequence[Value] = ()) -> None:
        """Add a statement to what is under way, with a value for each of $1, $2 and so on."""
        self._settled = False
        octets = [_octets(value) for value in values]
        if self._plans is None:
            self._pg.send_query_params(words.encode(), octets, result_format=pq.Format.BINARY)
        else:
            name = self._plans.get(words)
            if name is None:
                name = self._plans[words] = b"onecard_%d" % next(_names)
                self._pg.send_prepare(name, words.encode())
                self._unheard.append(False)
            self._pg.send_query_prepared(name, octets, result_format=pq.Format.BINARY)
        self._unheard.append(True)
        self._to_send = True

    def send(self) -> None:
        """Let PostgreSQL do what was said so far and tell what comes of it; wait for nothing."""
        if self._to_send:
            self._to_send = False
            self._pg.send_flush_request()
            self._unsent = self._pg.flush()

    def hear(self, statements: int) -> list[Rows]:
        """Wait for the next of the statements that were said: the rows of each, in the order said."""
        self.send()
        heard: list[Rows] = []
        while len(heard) < statements:
            self._hear_one(heard)
        return heard

    def hear_all(self) -> list[Rows]:
        """Wait until all that was said is done: the rows of each statement that was not heard yet."""
        heard: list[Rows] = []
        if not self._settled:
            self._ask_to_settle()
            while self._unheard:
                self._hear_one(heard)
            self._until_settled()
        return heard

    def end(self) -> None:
        """Let others use the connection again; what was not heard is waited for and forgotten."""
        if self._pg.status == pq.ConnStatus.OK:
            if not self._settled:
                self._ask_to_settle()
                self._until_settled()
            self._pg.exit_pipeline_mode()

    def _hear_one(self, heard: list[Rows]) -> None:
        result = self._next_result()
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise error_from_result(result, _ENCODING)
        if self._unheard.popleft():
            heard.append(self._rows(result))

    def _ask_to_settle(self) -> None:
        if not self._asked_to_settle:
            self._asked_to_settle = True
            self._pg.pipeline_sync()
            self._unsent = self._pg.flush()

    def _until_settled(self) -> None:
        while self._next_result().status != pq.ExecStatus.PIPELINE_SYNC:
            pass
        self._settled, self._asked_to_settle = True, False

    def _next_result(self) -> "pq.abc.PGresult":
        """What became of the next thing that was said. Raises OperationalError where nobody will ever tell."""
        while True:
            while self._pg.is_busy():
                self._wait()
            result = self._pg.get_result()
            if result is not None:
                return result
            if self._pg.status != pq.ConnStatus.OK:
                raise OperationalError("the connection was lost; whether it was written is not known")

    def _wait(self) -> None:
        """Wait until there is something to read, or room for the rest of what was said."""
        waiting = select.poll()
        waiting.register(self._pg.socket, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        waiting.poll()
        if self._unsent:
            self._unsent = self._pg.flush()
        self._pg.consume_input()

    def _rows(self, result: "pq.abc.PGresult") -> Rows:
        if not result.ntuples:
            return []
        reading = Transformer(self._connection)
        reading.set_pgresult(result)
        return reading.load_rows(0, result.ntuples, tuple)


def _octets(value: Value) -> bytes | None:
    """A value in PostgreSQL's text format. Raises ValueError for an instant without a time zone."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"instant {value!r} has no time zone; give a UTC-aware datetime")
    return None if value is None else value.isoformat().encode()
