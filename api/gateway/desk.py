"""Group commit: requests that wait while one transaction is written are booked together in the next."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from api.gateway.booking import Booking
from clearing.wire.iso8583 import Message

Book = Callable[[Sequence[Booking]], Sequence[Message]]
"""Books requests in one transaction and answers them in order; runs on the desk's own thread."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    booking: Booking
    answered: asyncio.Future[Message]


class Desk:
    """One writer for all terminals. Must be used from one event loop."""

    def __init__(self, book: Book, *, together: int = 64) -> None:
        self._book = book
        self._together = together
        self._queue: deque[_Waiting] = deque()
        self._writer = ThreadPoolExecutor(1, "gateway-desk")
        self._working: asyncio.Task[None] | None = None

    async def answer(self, booking: Booking) -> Message:
        """The answer, once it is durable. Raises what the booking raised, such as SQLAlchemyError."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(booking, loop.create_future())
        self._queue.append(waiting)
        if self._working is None:
            self._working = loop.create_task(self._work())
        return await waiting.answered

    async def close(self) -> None:
        """Book what is in hand, then stop."""
        if self._working is not None:
            await self._working
        await asyncio.get_running_loop().run_in_executor(None, self._writer.shutdown)

    async def _work(self) -> None:
        while self._queue:
            batch = self._next_batch()
            if not await self._tried(batch):
                # One of them spoils the transaction; alone, it spoils its own.
                for one in batch:
                    await self._tried([one], last=True)
        self._working = None

    async def _tried(self, batch: list[_Waiting], *, last: bool = False) -> bool:
        """Book a batch; False where it failed and its members are to be tried alone."""
        bookings = [waiting.booking for waiting in batch]
        work = asyncio.get_running_loop().run_in_executor(self._writer, self._book, bookings)
        await asyncio.wait([work])
        error = work.exception()
        if error is not None and len(batch) > 1 and not last:
            return False
        answers: Sequence[Message | None] = [None] * len(batch) if error else work.result()
        for waiting, answer in zip(batch, answers, strict=True):
            # A conversation that has ended meanwhile waits no more; what it asked for is booked all the same.
            if waiting.answered.done():
                continue
            if answer is not None:
                waiting.answered.set_result(answer)
            elif error is not None:
                waiting.answered.set_exception(error)
        return True

    def _next_batch(self) -> list[_Waiting]:
        """What waits, in order, up to a batch, and no two of one terminal: its second may be about its first."""
        batch: list[_Waiting] = []
        terminals: set[str] = set()
        while self._queue and len(batch) < self._together:
            terminal = self._queue[0].booking.request.terminal
            if terminal in terminals:
                break
            terminals.add(terminal)
            batch.append(self._queue.popleft())
        return batch
