"""A small pool of connections to the HSM, safe to use from many threads."""

import socket
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from threading import BoundedSemaphore, Lock

from card.hsm.codec import (
    DONE,
    HEADER_BYTES,
    NOT_VERIFIED,
    Answer,
    AnswerReader,
    Fields,
    answer_command,
    framed,
)
from card.hsm.errors import HsmError

RECEIVE_BYTES = 65_536
IN_FLIGHT = 2
"""Requests on their way on one connection: the HSM works on one while the next travels."""

Requests = Callable[[], Iterable[Fields]]
"""Makes the fields of one request after another; called anew when they have to be sent again."""


class Connection:
    """One TCP connection that speaks the wire format. Every method may raise OSError."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = AnswerReader()
        self._arrived: deque[Answer] = deque()
        self._awaited: deque[bytes] = deque()
        self._headers = count(1)

    @property
    def clean(self) -> bool:
        """Whether no answer is still to come, so that others may use the connection."""
        return not self._awaited and not self._arrived

    def exchange(self, command: str, requests: Requests, timeout_s: float) -> list[Answer]:
        """Answers to requests of one command, in order. Raises HsmError for the first one refused."""
        self._socket.settimeout(timeout_s)
        answers = []
        for fields in requests():
            if len(self._awaited) == IN_FLIGHT:
                answers.append(self._next_answer(command))
            header = next(self._headers) & 0xFFFFFFFF
            self._awaited.append(header.to_bytes(HEADER_BYTES, "big"))
            for part in framed(header, command, fields):
                self._socket.sendall(part)
        while self._awaited:
            answers.append(self._next_answer(command))
        return answers

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _next_answer(self, command: str) -> Answer:
        while not self._arrived:
            data = self._socket.recv(RECEIVE_BYTES)
            if not data:
                raise ConnectionResetError("the HSM closed the connection")
            self._arrived.extend(self._reader.feed(data))
        answer = self._arrived.popleft()
        if answer.header != self._awaited[0] or answer.command != answer_command(command):
            raise HsmError(command, "garbled", f"the answer is {answer.command} {answer.header.hex()}")
        self._awaited.popleft()
        if answer.error not in (DONE, NOT_VERIFIED):
            raise HsmError(command, answer.error)
        return answer


class Pool:
    """At most `connections` at once; idle ones are kept and used again. Opens the first when first needed."""

    def __init__(self, host: str, port: int, timeout_s: float, connections: int) -> None:
        self._host, self._port, self._timeout_s = host, port, timeout_s
        self._slots = BoundedSemaphore(connections)
        self._lock = Lock()
        self._idle: list[Connection] = []
        self._closed = False

    def exchange(self, command: str, requests: Requests, extra_s: float = 0.0) -> list[Answer]:
        """Answers in order. `extra_s` is what the work itself may take beyond the time-out.

        Raises HsmError with the HSM's code for the first request refused; `unreachable` where no
        connection is to be had, the HSM is silent for the time-out, or it hangs up; `garbled` where
        what answers is no HSM.
        """
        timeout_s = self._timeout_s + extra_s
        with self._slots:
            try:
                pooled = self._take_idle(command)
                if pooled is not None:
                    try:
                        return self._through(pooled, command, requests, timeout_s)
                    except ConnectionError:
                        # An idle connection dies unnoticed when the HSM is restarted, and then all of them
                        # do. Every command of the format may be repeated, so ask once more on a fresh one.
                        self._hang_up()
                fresh = Connection(self._host, self._port, self._timeout_s)
                return self._through(fresh, command, requests, timeout_s)
            except OSError as broken:
                detail = f"{self._host}:{self._port}, {broken}"
                raise HsmError(command, "unreachable", detail) from broken

    def close(self) -> None:
        """Hang up all connections: idle ones now, those in use when they are done."""
        with self._lock:
            self._closed = True
        self._hang_up()

    def _take_idle(self, command: str) -> Connection | None:
        with self._lock:
            if self._closed:
                raise HsmError(command, "unreachable", "this client has been closed")
            return self._idle.pop() if self._idle else None

    def _through(
        self, connection: Connection, command: str, requests: Requests, timeout_s: float
    ) -> list[Answer]:
        try:
            return connection.exchange(command, requests, timeout_s)
        finally:
            self._put_back(connection)

    def _put_back(self, connection: Connection) -> None:
        with self._lock:
            if connection.clean and not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _hang_up(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
