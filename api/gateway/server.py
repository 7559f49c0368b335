"""The gateway's sockets: thousands of terminals at once, none of which can hold up another."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from api.gateway.gateway import Gateway
from clearing.wire.iso8583 import LENGTH_BYTES, MAX_MESSAGE_BYTES, frame

log: structlog.stdlib.BoundLogger = structlog.get_logger("onecard.gateway")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one gateway takes upon itself."""

    connections: int = 4096
    idle_s: float = 3600.0
    """A terminal that has said nothing for this long is hung up on; it may send empty frames to stay."""
    stall_s: float = 30.0
    """So is one that stops inside a message, or does not take its answer."""
    grace_s: float = 10.0
    """What is in hand when the gateway stops gets this long."""


class Conversation:
    """One terminal's connection: a message, its answer, the next message."""

    def __init__(
        self, gateway: Gateway, bounds: Bounds, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._gateway = gateway
        self._bounds = bounds
        self._reader = reader
        self._writer = writer
        self._waiting = False
        self._ending = False

    async def run(self) -> None:
        """Answer until the terminal hangs up, stalls, sends what cannot be answered, or is asked to end."""
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):  # the terminal hung up
                await self._converse()
        except TimeoutError:
            log.info("hung up on a terminal", reason="silent, stalled, or takes no answers")
        finally:
            if self._stuck:
                self._writer.transport.abort()
            else:
                self._writer.close()

    def end(self) -> None:
        """Say the answer that is in hand, then hang up; at once where there is none."""
        self._ending = True
        if self._waiting:
            self._writer.close()

    async def _converse(self) -> None:
        while not self._ending and (body := await self._next_message()) is not None:
            if not body:
                continue  # an empty frame only keeps the connection
            answer = await self._gateway.answer(body)
            if answer is None:
                return
            self._writer.write(frame(answer))
            async with asyncio.timeout(self._bounds.stall_s):
                await self._writer.drain()

    @property
    def _stuck(self) -> bool:
        """Whether an answer is still on its way to somebody who does not take it."""
        return self._writer.transport.get_write_buffer_size() > 0

    async def _next_message(self) -> bytes | None:
        """The next message; None where its length is beyond the bound."""
        self._waiting = True
        async with asyncio.timeout(self._bounds.idle_s):
            first = await self._reader.readexactly(1)
        self._waiting = False
        async with asyncio.timeout(self._bounds.stall_s):
            length = int.from_bytes(first + await self._reader.readexactly(LENGTH_BYTES - 1), "big")
            if length > MAX_MESSAGE_BYTES:
                log.warning("a message beyond the bound", length_bytes=length, bound_bytes=MAX_MESSAGE_BYTES)
                return None
            return await self._reader.readexactly(length)


class GatewayServer:
    """Listens, and keeps every conversation until it ends."""

    def __init__(self, gateway: Gateway, bounds: Bounds | None = None) -> None:
        self._gateway = gateway
        self._bounds = bounds or Bounds()
        self._conversations: dict[asyncio.Task[None], Conversation] = {}

    async def serve(
        self, host: str, port: int, *, stop: asyncio.Event, listening: Callable[[int], None]
    ) -> None:
        """Serve until `stop` is set; `listening` is told the port as soon as terminals may come.

        Port 0 takes a free one. Raises OSError where the address cannot be had.
        """
        try:
            server = await asyncio.start_server(
                self._welcome, host, port, limit=2 * MAX_MESSAGE_BYTES, backlog=256
            )
            try:
                listening(server.sockets[0].getsockname()[1])
                await stop.wait()
            finally:
                server.close()
                await self._end_all()
        finally:
            await self._gateway.close()

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._conversations) >= self._bounds.connections:
            log.warning("refused a terminal", reason="too many connections", bound=self._bounds.connections)
            writer.transport.abort()
            return
        # An answer counts as taken when it has left us, so that a peer that takes none is noticed.
        writer.transport.set_write_buffer_limits(high=0)
        conversation = Conversation(self._gateway, self._bounds, reader, writer)
        task = asyncio.get_running_loop().create_task(conversation.run())
        self._conversations[task] = conversation
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._conversations[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a conversation failed", error=repr(error), exc_info=error)

    async def _end_all(self) -> None:
        for conversation in self._conversations.values():
            conversation.end()
        if tasks := list(self._conversations):
            _, late = await asyncio.wait(tasks, timeout=self._bounds.grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)


class _Stop:
    """Asks a server on another thread to stop, from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.event = asyncio.Event()

    def ask(self) -> None:
        self._loop.call_soon_threadsafe(self.event.set)


@contextmanager
def running_gateway(
    make: Callable[[], Gateway], *, host: str = "127.0.0.1", port: int = 0, bounds: Bounds | None = None
) -> Iterator[int]:
    """Serve on a thread of its own while the block runs; yields the port. Raises OSError as `serve` does."""
    started: Future[tuple[int, _Stop]] = Future()

    async def serve() -> None:
        stop = _Stop()
        server = GatewayServer(make(), bounds)
        await server.serve(
            host, port, stop=stop.event, listening=lambda found: started.set_result((found, stop))
        )

    def failed(done: Future[None]) -> None:
        """Where it cannot start, what it raised is told instead of a port."""
        if not started.done():
            started.set_exception(done.exception())

    with ThreadPoolExecutor(1, "gateway-server") as thread:
        served = thread.submit(asyncio.run, serve())
        served.add_done_callback(failed)
        found, stop = started.result()
        try:
            yield found
        finally:
            stop.ask()
            served.result()
