"""Group commit: whoever posts at the same time shares one transaction, and is answered when it is durable.

A commit waits for the disk, and only one transaction writes at a time; so the orders that come in while one is
being written are written together in the next. Who asks one order after the other is answered with all others of a
group, and asks again with them: the next group waits for as many as the last one had, though hardly any time.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Generic, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ledger.place import Place

Order = TypeVar("Order")
Answer = TypeVar("Answer")

MOST: Final = 512
"""Orders in one transaction: more would make the first of them wait for the last."""

CAPACITY: Final = 10_000
"""Orders that may wait: more than that would wait longer than anyone listens."""

PATIENCE_S: Final = 5.0

LINGER_S: Final = 0.001
"""For how long a group waits to become as large as the one before: less than what a transaction takes."""


Seat = Future[Answer] | asyncio.Future[Answer]
"""Where one who asked waits for the answer: a thread, or a coroutine."""

Outcome = tuple[Seat[Answer], Answer | None, BaseException | None]


class Busy(Exception):
    """An order was not begun, and has left no trace: too many were waiting, or for too long. Ask again later."""


class Closed(Exception):
    """No more orders are taken. The order was not begun."""


class GroupCommit(Generic[Order, Answer]):
    """Answers orders from many threads with a handler that takes many at once; orders are begun as they came.

    `handle` is given a connection as of `ledger.db.writing` and orders, and answers them in that order; from its
    first order on the group keeps one connection of the engine's for itself, until it is closed. It waits for other
    writers before it takes the orders of a group, so that these may still be withdrawn or turned away in time. An
    order's future is done only when the transaction is committed. A handler that raises is asked again order by
    order, so that only the culprit's future gets the exception. Orders must be idempotent: where a commit's outcome
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
        self._place = Place(engine)
        self._watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._waiting: deque[tuple[Order, Seat[Answer], float]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._expected = 1
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
        self._seat(order, future)
        return future

    def ask(self, order: Order) -> Answer:
        """Take an order and wait for its answer; raises as `submit` and its future do.

        Busy comes in time also where the writer itself is held up: the order is then withdrawn.
        """
        future = self.submit(order)
        try:
            return future.result(self._patience_s)
        except TimeoutError:
            if future.cancel():
                raise self._too_late() from None
        return future.result()  # its turn has come: it is answered, even if what it raised was a TimeoutError

    async def answer(self, order: Order) -> Answer:
        """`ask` for a coroutine: cheaper than a thread each, as a loop's answers of a group are told at once.

        A coroutine that is cancelled before its order's turn withdraws it.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._seat(order, future)
        if loop not in self._watched:
            # One timer a loop: one an order would cost as much as all else that is done for it here.
            self._watched.add(loop)
            loop.call_later(self._patience_s, self._watch, loop)
        return await future

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Busy for the coroutines of a loop whose turn has not come in time; the others are looked at again."""
        with self._changed:
            now = self._clock()
            own = [
                one
                for one in self._waiting
                if isinstance(one[1], asyncio.Future) and one[1].get_loop() is loop
            ]
            late = [one for one in own if one[2] + self._patience_s <= now]
            if late:
                gone = set(map(id, late))
                self._waiting = deque(one for one in self._waiting if id(one) not in gone)
        for _, seat, _ in late:
            if not seat.cancelled():
                seat.set_exception(self._too_late())
        if len(own) > len(late):
            loop.call_later(own[len(late)][2] + self._patience_s - now, self._watch, loop)
        else:
            self._watched.discard(loop)

    def _too_late(self) -> Busy:
        return Busy(f"waited {self._patience_s:g} s for its turn; ask again later")

    def _seat(self, order: Order, seat: "Seat[Answer]") -> None:
        with self._changed:
            if self._closed:
                raise Closed("no more orders are taken: the program is ending; ask again when it is back")
            if len(self._waiting) >= self._capacity:
                raise Busy(f"{len(self._waiting)} orders are waiting; ask again later")
            self._waiting.append((order, seat, self._clock()))
            if len(self._waiting) in (1, self._expected):
                self._changed.notify()

    def close(self) -> None:
        """Take no more, answer all that wait, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._writer.join()

    def _write(self) -> None:
        with self._place:
            while self._somebody_waits():
                # Until others have written, and while more come in, whoever waits may still withdraw.
                with suppress(SQLAlchemyError):  # tried again for a group, whose orders are told of it
                    self._place.begin()
                begun = [(order, seat) for order, seat in self._next_group() if _begins(seat)]
                if begun:
                    _tell(self._outcomes(begun))
                else:
                    self._place.leave()

    def _somebody_waits(self) -> bool:
        """True as soon as there is an order, False when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return bool(self._waiting)

    def _next_group(self) -> "list[tuple[Order, Seat[Answer]]]":
        """The orders whose turn it is, oldest first."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) >= self._expected or self._closed, LINGER_S)
            taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            self._expected = len(taken)
        latest = self._clock() - self._patience_s
        late = [seat for _, seat, since in taken if since < latest and _begins(seat)]
        _tell([(seat, None, self._too_late()) for seat in late])
        return [(order, seat) for order, seat, since in taken if since >= latest]

    def _outcomes(self, group: "Sequence[tuple[Order, Seat[Answer]]]") -> "list[Outcome[Answer]]":
        try:
            answers = self._book([order for order, _ in group])
        except BaseException as error:  # a future carries any exception to whoever asked
            if len(group) == 1:
                return [(group[0][1], None, error)]
            return [outcome for alone in group for outcome in self._outcomes([alone])]
        return [(seat, answer, None) for (_, seat), answer in zip(group, answers, strict=True)]

    def _book(self, orders: Sequence[Order]) -> Sequence[Answer]:
        try:
            return self._book_once(orders)
        except DBAPIError as error:
            if not _is_broken(error):
                raise
        # The connection broke, perhaps after the commit: what was written is answered as written. Others of the
        # pool may have broken with it.
        self._place.leave()
        self._engine.dispose()
        return self._book_once(orders)

    def _book_once(self, orders: Sequence[Order]) -> Sequence[Answer]:
        with self._place.writing() as conn:
            return self._handle(conn, orders)


def _is_broken(error: DBAPIError) -> bool:
    """Whether it was the connection that failed: SQLSTATE classes 08, and 57P for a server that goes down.

    26000 is for a connection that has lost what was planned on it, as where a handler dropped a table.
    """
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or state.startswith(("08", "57P", "26000"))


def _begins(seat: Seat[Any]) -> bool:
    """Whether somebody still waits; from here on a thread's order cannot be cancelled."""
    return seat.set_running_or_notify_cancel() if isinstance(seat, Future) else not seat.cancelled()


def _tell(outcomes: "Sequence[Outcome[Any]]") -> None:
    """Wake those who wait: threads one by one, the coroutines of a loop together."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome[Any]]] = {}
    for outcome in outcomes:
        seat = outcome[0]
        if isinstance(seat, Future):
            _settle([outcome])
        else:
            by_loop.setdefault(seat.get_loop(), []).append(outcome)
    for loop, own in by_loop.items():
        with suppress(RuntimeError):  # the loop has ended, and with it all who waited there
            loop.call_soon_threadsafe(_settle, own)


def _settle(outcomes: "Sequence[Outcome[Any]]") -> None:
    for seat, answer, error in outcomes:
        if isinstance(seat, asyncio.Future) and seat.cancelled():
            continue
        if error is None:
            seat.set_result(answer)
        else:
            seat.set_exception(error)
