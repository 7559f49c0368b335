"""Terminals at the HSM's door: connections that each ask for one MAC after another, without pause or at a pace."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import cast

from card.hsm.codec import DONE, AnswerReader, request

PURCHASE_MAC1 = request(
    1,
    "E0",
    bytes.fromhex(
        "01 00 01011000FFFFFFFF 4870000000001234 11223344 0036 000000C8 06 518000000001 20260131164329 00000057"
    ),
)
"""The example of docs/formats/hsm.md."""
MAC1 = bytes.fromhex("ECE05309")


class Caller(asyncio.Protocol):
    """One connection with at most one request on its way; keeps how long each answer took."""

    def __init__(self, ends_at_s: float, every_s: float) -> None:
        self.took_s: list[float] = []
        self.done = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._answers = AnswerReader()
        self._ends_at_s, self._every_s = ends_at_s, every_s
        self._due_at_s = 0.0
        self._asked_at_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def begin(self, at_s: float) -> None:
        """Ask for the first time at that time of the loop's clock."""
        self._due_at_s = at_s
        self._loop.call_at(at_s, self._ask)

    def data_received(self, data: bytes) -> None:
        for answer in self._answers.feed(data):
            self.took_s.append(time.perf_counter() - self._asked_at_s)
            if answer.error != DONE or answer.fields != MAC1:
                self._end(RuntimeError(f"the HSM answered {answer.error} {answer.fields.hex()}"))
                return
            self._due_at_s += self._every_s
            now_s = self._loop.time()
            if now_s >= self._ends_at_s:
                self._end(None)
            elif self._due_at_s <= now_s:
                self._ask()
            else:
                self._loop.call_at(self._due_at_s, self._ask)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionResetError("the HSM closed the connection"))

    def _ask(self) -> None:
        self._asked_at_s = time.perf_counter()
        self._transport.write(PURCHASE_MAC1)

    def _end(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


def call(port: int, *, connections: int, for_s: float, requests_per_s: float | None) -> Sequence[float]:
    """Seconds that each answer took, ascending, while so many connections asked for so long.

    Without a rate each asks again as soon as it is answered; with one, they take turns at that rate together. Raises
    RuntimeError where an answer is not the right MAC, OSError where the HSM goes away.
    """
    return asyncio.run(_call(port, connections, for_s, requests_per_s))


async def _call(port: int, connections: int, for_s: float, requests_per_s: float | None) -> Sequence[float]:
    loop = asyncio.get_running_loop()
    ends_at_s = loop.time() + for_s
    every_s = connections / requests_per_s if requests_per_s else 0.0
    callers: list[Caller] = []
    with ExitStack() as hanging_up:
        for _ in range(connections):
            transport, caller = await loop.create_connection(
                lambda: Caller(ends_at_s, every_s), "127.0.0.1", port
            )
            hanging_up.callback(transport.abort)
            callers.append(caller)
        starts_at_s = loop.time()
        for place, caller in enumerate(callers):
            caller.begin(starts_at_s + every_s * place / connections)
        await asyncio.gather(*(caller.done for caller in callers))
    return sorted(took_s for caller in callers for took_s in caller.took_s)
