"""A small pool of connections to one HSM, safe to use from many threads."""

import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from threading import BoundedSemaphore, Lock

from card.hsm.addresses import Address
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
HANGS_UP = (ConnectionError, ssl.SSLError)

Requests = Callable[[], Iterable[Fields]]
"""Makes the fields of one request after another; called anew when they have to be sent again."""


class Broken(Exception):
    """An HSM did not answer; `asked` where it may have got what is still unanswered, and may have done it."""

    def __init__(self, detail: str, *, asked: bool, code: str = "unreachable") -> None:
        super().__init__(detail)
        self.asked, self.code = asked, code


class Connection:
    """One connection that speaks the wire format, over TLS where a context is given. Any method may raise OSError."""

    def __init__(self, address: Address, timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        self._socket = socket.create_connection(address, timeout=timeout_s)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname=address.host)
        except OSError:
            self._socket.close()
            raise
        self._reader = AnswerReader()
        self._arrived: deque[Answer] = deque()
        self._awaited: deque[bytes] = deque()
        self._headers = count(1)
        self._news = select.poll()
        self._news.register(self._socket, select.POLLIN)

    @property
    def clean(self) -> bool:
        """Whether no answer is still to come, so that others may use the connection."""
        return not self._awaited and not self._arrived

    @property
    def stale(self) -> bool:
        """Whether an idle connection has ended, or says what nobody has asked: it is not to be used again."""
        return bool(self._news.poll(0))

    @property
    def asked(self) -> bool:
        """Whether the HSM may have a request that it has not answered."""
        return bool(self._awaited)

    def exchange(
        self, command: str, requests: Iterable[Fields], answers: list[Answer], timeout_s: float
    ) -> None:
        """Ask requests of one command, and add each answer to `answers`. Raises HsmError for the first one refused."""
        self._socket.settimeout(timeout_s)
        for fields in requests:
            if len(self._awaited) == IN_FLIGHT:
                answers.append(self._next_answer(command))
            header = next(self._headers) & 0xFFFFFFFF
            self._awaited.append(header.to_bytes(HEADER_BYTES, "big"))
            for part in framed(header, command, fields):
                self._socket.sendall(part)
        while self._awaited:
            answers.append(self._next_answer(command))

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

    def __init__(
        self, address: Address, timeout_s: float, connections: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._address, self._timeout_s, self._tls = address, timeout_s, tls
        self._connections = connections
        self._slots = BoundedSemaphore(connections)
        self._lock = Lock()
        self._idle: list[Connection] = []
        self._closed = False

    @contextmanager
    def slot(self, timeout_s: float) -> Iterator[None]:
        """The right to use one connection, for as long as the block. Raises Broken where there is none in time."""
        if not self._slots.acquire(timeout=timeout_s):
            raise Broken(f"all {self._connections} connections were in use for {timeout_s:g} s", asked=False)
        try:
            yield
        finally:
            self._slots.release()

    def exchange(
        self, command: str, requests: Requests, answers: list[Answer], *, timeout_s: float, again: bool
    ) -> None:
        """Ask what `answers` does not answer yet, within a slot, and add the answers in order.

        A connection that breaks though it was good before is replaced once, where nothing was asked on it
        or what was asked may be asked `again`. Raises HsmError with the HSM's code for the first request refused;
        Broken where no connection is to be had, the HSM is silent for the time-out, it hangs up, or is no HSM.
        """
        pooled = self._take_idle()
        try:
            if pooled is not None:
                try:
                    self._through(pooled, command, requests, answers, timeout_s)
                    return
                except Broken as broken:
                    if not isinstance(broken.__cause__, HANGS_UP) or (broken.asked and not again):
                        raise
                    # When an HSM is restarted all its connections die.
                    self._hang_up()
            fresh = Connection(self._address, min(self._timeout_s, timeout_s), self._tls)
        except OSError as error:
            raise Broken(_said(error, timeout_s), asked=False) from error
        self._through(fresh, command, requests, answers, timeout_s)

    def close(self) -> None:
        """Hang up all connections: idle ones now, those in use when they are done."""
        with self._lock:
            self._closed = True
        self._hang_up()

    def _take_idle(self) -> Connection | None:
        stale: list[Connection] = []
        with self._lock:
            while self._idle:
                if not (found := self._idle.pop()).stale:
                    break
                stale.append(found)
            else:
                found = None
        for connection in stale:
            connection.close()
        return found

    def _through(
        self,
        connection: Connection,
        command: str,
        requests: Requests,
        answers: list[Answer],
        timeout_s: float,
    ) -> None:
        try:
            connection.exchange(command, islice(requests(), len(answers), None), answers, timeout_s)
        except OSError as error:
            raise Broken(_said(error, timeout_s), asked=connection.asked) from error
        except HsmError as error:
            if error.code != "garbled":
                raise
            raise Broken(error.detail, asked=True, code="garbled") from error
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


def _said(error: OSError, timeout_s: float) -> str:
    return f"no answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else str(error)
