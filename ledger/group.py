"""Group commit: whoever posts at the same time shares one transaction, and is answered when it is durable.

A commit waits for the disk, and only one transaction writes at a time; so the orders that come in while one is
being written are written together in the next. Nobody waits for a group to fill.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ledger.db import writing

Order = TypeVar("Order")
Answer = TypeVar("Answer")

MOST: Final = 512
"""Orders in one transaction: more would make the first of them wait for the last."""

CAPACITY: Final = 10_000
"""Orders that may wait: more than that would wait longer than anyone listens."""

PATIENCE_S: Final = 5.0


class Busy(Exception):
    """An order was not begun, and has left no trace: too many were waiting, or for too long. Ask again later."""


class Closed(Exception):
    """No more orders are taken. The order was not begun."""


class GroupCommit(Generic[Order, Answer]):
    """Answers orders from many threads with a handler that takes many at once; orders are begun as they came.

    `handle` is given a connection of `ledger.db.writing` and orders, and answers them in that order. An order's
    future is done only when the transaction is committed. A handler that raises is asked again order by order, so
    that only the culprit's future gets the exception. Orders must be idempotent: where a commit's outcome
    stays unknown because the connection broke, the group is written once more. Close it, and all that was taken
    is answered before `close` returns.
    """

    def __init__(
        self,
        engine: Engine,
        handle: Callable[[Connection, Sequence[Order]], Sequence[Answer]],
        *,
        most: int = MOST,
        capacity: int = CAPACITY,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._handle, self._clock = engine, handle, clock
        self._most, self._capacity, self._patience_s = most, capacity, patience_s
        self._waiting: deque[tuple[Order, Future[Answer], float]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._writer = threading.Thread(target=self._write, name="group commit", daemon=True)
        self._writer.start()

    def __enter__(self) -> "GroupCommit[Order, Answer]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, order: Order) -> "Future[Answer]":
        """Take an order and answer later; cancelling the future before its turn leaves no trace.

        Raises Busy where too many wait already, Closed after `close`. The future raises Busy where the order
        waited longer than `patience_s` for its turn, or whatever the handler raised for it.
        """
        future: Future[Answer] = Future()
        with self._changed:
            if self._closed:
                raise Closed("no more orders are taken: the program is ending; ask again when it is back")
            if len(self._waiting) >= self._capacity:
                raise Busy(f"{len(self._waiting)} orders are waiting; ask again later")
            self._waiting.append((order, future, self._clock()))
            self._changed.notify()
        return future

    def ask(self, order: Order) -> Answer:
        """Take an order and wait for its answer; raises as `submit` and its future do."""
        return self.submit(order).result()

    def close(self) -> None:
        """Take no more, answer all that wait, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._writer.join()

    def _write(self) -> None:
        while (group := self._next_group()) is not None:
            begun = [(order, future) for order, future in group if future.set_running_or_notify_cancel()]
            if begun:
                self._answer(begun)

    def _next_group(self) -> list[tuple[Order, "Future[Answer]"]] | None:
        """The orders whose turn it is, oldest first; None when there will be no more."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if not self._waiting:
                return None
            taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        now = self._clock()
        group = []
        for order, future, since in taken:
            if now - since > self._patience_s:
                if future.set_running_or_notify_cancel():
                    future.set_exception(Busy(f"waited {now - since:.1f} s for its turn; ask again later"))
            else:
                group.append((order, future))
        return group

    def _answer(self, group: Sequence[tuple[Order, "Future[Answer]"]]) -> None:
        try:
            answers = self._book([order for order, _ in group])
        except BaseException as error:  # a future carries any exception to whoever asked
            if len(group) == 1:
                group[0][1].set_exception(error)
                return
            for alone in group:
                self._answer([alone])
            return
        for (_, future), answer in zip(group, answers, strict=True):
            future.set_result(answer)

    def _book(self, orders: Sequence[Order]) -> Sequence[Answer]:
        try:
            return self._book_once(orders)
        except DBAPIError as error:
            if not _is_broken(error):
                raise
        # The connection broke, perhaps after the commit: what was written is answered as written. Others of the
        # pool may have broken with it.
        self._engine.dispose()
        return self._book_once(orders)

    def _book_once(self, orders: Sequence[Order]) -> Sequence[Answer]:
        with writing(self._engine) as conn:
            return self._handle(conn, orders)


def _is_broken(error: DBAPIError) -> bool:
    """Whether it was the connection that failed: SQLSTATE classes 08, and 57P for a server that goes down."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or state.startswith(("08", "57P"))
