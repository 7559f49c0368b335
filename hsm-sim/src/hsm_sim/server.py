"""The HSM on a socket: conversations with many clients at once, on one event loop."""

import asyncio
import signal
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import structlog

from hsm_sim.audit import Fact
from hsm_sim.authority import Authority, needs_authority
from hsm_sim.box import Answer, Box
from hsm_sim.bulk_desk import BulkDesk
from hsm_sim.bulk_work import BulkWork
from hsm_sim.commands import answer
from hsm_sim.journal import Journal
from hsm_sim.wire import ErrorCode, FrameDecoder, FrameError, Request, encode_answer

TURN_REQUESTS = 32
"""Requests answered for one client before the others get their turn."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("hsm_sim")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one HSM takes upon itself."""

    connections: int = 256
    stall_s: float = 30.0
    """A client that stops inside a frame, or takes no answers, for this long is cut off."""
    flush_s: float = 5.0
    """How long uses of keys are counted before the audit log is told."""


class Hall:
    """Everybody who talks to one HSM, and the state that it is in."""

    def __init__(self, box: Box, desk: BulkDesk, bounds: Bounds, journal: Journal | None = None) -> None:
        self.box = box
        self.desk = desk
        self.bounds = bounds
        self.journal = journal
        self.authority: Authority | None = None
        self.conversations: set[Conversation] = set()

    def answer(self, request: Request, client: str) -> Answer:
        """Answer a client, and note where it is refused. Raises OSError where that cannot be written down."""
        # Where the machine is tampered with, that is the answer, whoever has authorised what.
        if needs_authority(request) and not self.authorised and not self.box.tampered:
            found: Answer = ErrorCode.NOT_AUTHORISED
        else:
            found = answer(self.box, request)
        refused = isinstance(found, ErrorCode) and found is not ErrorCode.VERIFICATION_FAILED
        if refused and self.journal is not None:
            self.journal.refused(client, request.command, cast(ErrorCode, found))
        return found

    @property
    def authorised(self) -> bool:
        """Whether two operators' word holds now."""
        return self.authority is not None and self.authority.holds(asyncio.get_running_loop().time())

    async def zeroise(self) -> None:
        """Hold no key any more, here or in a worker."""
        self.box, self.authority = self.box.zeroised(), None
        await self.desk.close()

    def note(self, event: str, **facts: Fact) -> None:
        """Write an administrative act down. Raises OSError where it cannot be."""
        if self.journal is not None:
            self.journal.act(event, **facts)

    def flush(self) -> None:
        """Tell the audit log what was counted; what it cannot be told now is told later."""
        if self.journal is not None:
            try:
                self.journal.flush()
            except OSError as error:
                log.error("the audit log cannot be written", reason=str(error))

    async def keep_journal(self) -> None:
        """Flush now and then, for as long as this runs."""
        while True:
            await asyncio.sleep(self.bounds.flush_s)
            self.flush()

    async def watch(self) -> None:
        """Cut off, for as long as this runs, whoever stands still in the middle of something."""
        while True:
            await asyncio.sleep(self.bounds.stall_s / 4)
            deadline_s = asyncio.get_running_loop().time() - self.bounds.stall_s
            for conversation in list(self.conversations):
                conversation.end_if_stalled(deadline_s)

    async def close(self) -> None:
        """Let go of every client and of the workers."""
        for conversation in list(self.conversations):
            conversation.end()
        # The transports tell their conversations of the end in the loop's next rounds.
        while self.conversations:
            await asyncio.sleep(0.001)
        await self.desk.close()
        self.flush()


class Conversation(asyncio.BufferedProtocol):
    """One client: its requests are answered in their order, whatever pieces they come in."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._loop = asyncio.get_running_loop()
        self._frames = FrameDecoder(lends=True)  # nothing is read while an answer is made
        self._transport: asyncio.Transport
        self._bulk: asyncio.Task[None] | None = None
        self._next_turn: asyncio.Handle | None = None
        self._answers_blocked = False
        self._moved_at_s = self._loop.time()
        self._client = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._client = _client_of(self._transport)
        if len(self._hall.conversations) >= self._hall.bounds.connections:
            log.warning(
                "refused a client", reason="too many connections", bound=self._hall.bounds.connections
            )
            self._transport.abort()
            return
        self._hall.conversations.add(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._frames.room()

    def buffer_updated(self, nbytes: int) -> None:
        self._moved_at_s = self._loop.time()
        self._frames.took(nbytes)
        if not self._busy:
            self._take_turn()

    def pause_writing(self) -> None:
        self._answers_blocked = True
        self._moved_at_s = self._loop.time()

    def resume_writing(self) -> None:
        self._answers_blocked = False
        if not self._busy:
            self._take_turn()

    def connection_lost(self, exc: Exception | None) -> None:
        self._hall.conversations.discard(self)
        if self._bulk is not None:
            self._bulk.cancel()
        if self._next_turn is not None:
            self._next_turn.cancel()

    def end(self) -> None:
        """Break off at once."""
        self._transport.abort()

    def end_if_stalled(self, deadline_s: float) -> None:
        """Break off where the client has been the one to move since before `deadline_s`."""
        in_frame = self._frames.unread_bytes > 0 and not self._busy
        takes_no_answers = self._transport.get_write_buffer_size() > 0
        if (in_frame or takes_no_answers) and self._moved_at_s < deadline_s:
            log.warning(
                "cut a client off", reason="stalled inside a frame" if in_frame else "takes no answers"
            )
            self.end()

    @property
    def _busy(self) -> bool:
        waiting = self._bulk is not None or self._next_turn is not None
        return waiting or self._answers_blocked or self._transport.is_closing()

    def _take_turn(self) -> None:
        """Answer what has arrived, up to a turn's worth; go on later where there is more."""
        self._moved_at_s = self._loop.time()
        self._next_turn = None
        answers: list[bytes] = []
        try:
            while len(answers) < TURN_REQUESTS and (request := self._frames.next_request()) is not None:
                found = self._hall.answer(request, self._client)
                if isinstance(found, BulkWork):
                    # Started here, it runs after this turn, so its answer cannot overtake those before it.
                    self._bulk = self._loop.create_task(self._answer_bulk(request, found))
                    break
                error, fields = (found, b"") if isinstance(found, ErrorCode) else (ErrorCode.DONE, found)
                answers.append(encode_answer(request, error, fields))
        except FrameError as flaw:
            log.warning("ended a conversation", reason=str(flaw))
            self._transport.write(b"".join(answers))
            self._transport.close()
            return
        except OSError as error:
            # What cannot be written down must not happen, and a refusal without a line is as bad.
            log.error("the audit log cannot be written", reason=str(error))
            self.end()
            return
        self._transport.write(b"".join(answers))
        if len(answers) == TURN_REQUESTS and not self._busy:
            self._next_turn = self._loop.call_soon(self._take_turn)
        self._wait_for_more()

    def _wait_for_more(self) -> None:
        """Read on only when all that was read has been answered.

        So no client can fill the memory, and the end of one's input is met only when it has all its answers.
        """
        if self._busy:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    async def _answer_bulk(self, request: Request, work: BulkWork) -> None:
        try:
            verdicts = await self._hall.desk.verify(work)
        except OSError as error:
            log.error("bulk verification failed", reason=str(error))
            self.end()
            return
        self._bulk = None
        self._transport.write(encode_answer(request, ErrorCode.DONE, work.rows.to_bytes(4) + verdicts))
        if not self._busy:
            self._take_turn()


def _client_of(transport: asyncio.Transport) -> str:
    """Who talks: the address, and where there is a client certificate the name in it."""
    peer = transport.get_extra_info("peername")
    address = str(peer[0]) if isinstance(peer, tuple) else "?"
    certificate = transport.get_extra_info("peercert") or {}
    names = [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]
    return f"{names[0]} at {address}" if names else address


async def serve(
    hall: Hall,
    *,
    host: str,
    port: int,
    listening: Callable[[int], None],
    console: Callable[[], Awaitable[asyncio.Server]] | None = None,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; `listening` is told the port as soon as clients may come.

    Port 0 takes a free one. `console` opens the operators' door. Raises OSError where the address cannot be had.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    patience_s = None if tls is None else hall.bounds.stall_s
    server = await loop.create_server(
        lambda: Conversation(hall), host, port, backlog=256, ssl=tls, ssl_handshake_timeout=patience_s
    )
    doors: list[asyncio.AbstractServer] = [server]
    tasks = [loop.create_task(hall.watch()), loop.create_task(hall.keep_journal())]
    try:
        if console is not None:
            doors.append(await console())
        listening(server.sockets[0].getsockname()[1])
        await stop.wait()
    finally:
        for door in doors:
            door.close()
        for task in tasks:
            task.cancel()
        await hall.close()
