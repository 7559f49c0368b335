"""Terminals at the HSM's door: connections that each ask for one MAC after another, without pause or at a pace."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Calls:
    """Seconds from the first request to the last answer, and seconds that each answer took, ascending."""

    all_s: float
    each_s: Sequence[float]

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return len(self.each_s) / self.all_s

    @property
    def p99_ms(self) -> float:
        """Milliseconds within which 99 of 100 answers came."""
        return 1_000 * self.each_s[len(self.each_s) * 99 // 100]


class Caller(asyncio.Protocol):
    """One connection with at most one request on its way; keeps how long each answer took."""

    def __init__(self, requests: int, every_s: float) -> None:
        self.took_s: list[float] = []
        self._loop = asyncio.get_running_loop()
        self.done = self._loop.create_future()
        self._answers = AnswerReader()
        self._requests, self._every_s = requests, every_s
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
            if len(self.took_s) == self._requests:
                self._end(None)
            elif self._due_at_s <= self._loop.time():
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


def call(port: int, *, connections: int, requests: int, per_s: float | None) -> Calls:
    """Have so many connections ask for so many MACs between them.

    Without a rate each asks again as soon as it is answered; with one, they take turns at that rate together. Raises
    RuntimeError where an answer is not the right MAC, OSError where the HSM goes away.
    """
    return asyncio.run(_call(port, connections, max(1, requests // connections), per_s))


async def _call(port: int, connections: int, requests: int, per_s: float | None) -> Calls:
    loop = asyncio.get_running_loop()
    every_s = connections / per_s if per_s else 0.0
    callers: list[Caller] = []
    with ExitStack() as hanging_up:
        for _ in range(connections):
            transport, caller = await loop.create_connection(
                lambda: Caller(requests, every_s), "127.0.0.1", port
            )
            hanging_up.callback(transport.abort)
            callers.append(caller)
        began_at_s = loop.time()
        for place, caller in enumerate(callers):
            caller.begin(began_at_s + every_s * place / connections)
        await asyncio.gather(*(caller.done for caller in callers))
        all_s = loop.time() - began_at_s
    return Calls(all_s, sorted(took_s for caller in callers for took_s in caller.took_s))
