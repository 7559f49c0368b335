"""Bad lines between processes: what goes over them is lost, late, doubled, cut or torn, as a seed has it."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import partial
from random import Random
from typing import Final

MOST_BYTES: Final = 1 << 22
PATIENCE_S: Final = 30.0
"""How long a line waits for the side that is asked; whoever asks gives up long before."""


class Fate(StrEnum):
    """What a line does with a message."""

    PASS = "pass"
    DROP = "drop"
    TWICE = "twice"
    LATE = "late"
    """Later than some wait for it."""
    STRAY = "stray"
    """Long after everybody has given it up, on a way of its own; an answer that strays finds nobody."""
    CUT = "cut"
    TORN = "torn"


Weights = Mapping[Fate, int]

BAD: Final[Weights] = {
    Fate.PASS: 68,
    Fate.DROP: 4,
    Fate.TWICE: 8,
    Fate.LATE: 4,
    Fate.STRAY: 5,
    Fate.CUT: 6,
    Fate.TORN: 5,
}
WORSE: Final[Weights] = {
    Fate.PASS: 40,
    Fate.DROP: 6,
    Fate.TWICE: 20,
    Fate.LATE: 6,
    Fate.STRAY: 12,
    Fate.CUT: 8,
    Fate.TORN: 8,
}
"""For lines on which little is said, so that much of it meets with something."""
LEAST_ON_WORSE: Final = 12
"""So many messages of such a line meet with something or not before it clears up."""


class Weather:
    """The fates of all lines of one story, drawn from its seed for each line.

    While it is `clearing`, only lines that have had little bad weather have any more; while `calm`, all pass.
    """

    def __init__(self, seed: int, *, late_s: float, stray_s: float, tell: Callable[[str], None]) -> None:
        self.calm = self.clearing = False
        self.late_s = late_s
        self.stray_s = stray_s
        self.done: Counter[Fate] = Counter()
        self._seed = seed
        self._tell = tell
        self._lock = threading.Lock()
        self._randoms: dict[str, Random] = {}
        self._carried: Counter[str] = Counter()
        self._astray = 0

    def fate(self, line: str, message: str, weights: Weights) -> Fate:
        """What becomes of the next message of a line that is as bad as `weights` say."""
        with self._lock:
            random = self._randoms.setdefault(line, Random(f"{self._seed}:{line}"))
            drawn = random.choices(list(weights), list(weights.values()))[0]
            enough = self.clearing and self._carried[line] >= (LEAST_ON_WORSE if weights is WORSE else 0)
            fate = Fate.PASS if self.calm or enough else drawn
            self._carried[line] += 1
            self.done[fate] += 1
        if fate is not Fate.PASS:
            self._tell(f"{line}: {fate} {message}")
        return fate

    def later(self, after_s: float, deliver: Callable[[], object]) -> None:
        """Deliver something after a while, whatever else goes on; whoever is not there any more is not told."""

        def run() -> None:
            time.sleep(after_s)
            with suppress(OSError, EOFError, ValueError):
                deliver()
            with self._lock:
                self._astray -= 1

        with self._lock:
            self._astray += 1
        threading.Thread(target=run, daemon=True).start()

    @property
    def astray(self) -> int:
        """How many messages are still on a way of their own."""
        with self._lock:
            return self._astray

    @property
    def carried(self) -> int:
        """How many messages have met their fate."""
        with self._lock:
            return self.done.total()


class BadLine:
    """Listens for one side; dials the other anew for each connection, at the port it has then, if it has one."""

    def __init__(
        self, name: str, weather: Weather, port_of: Callable[[], int | None], weights: Weights = BAD
    ) -> None:
        self.name = name
        self.weather = weather
        self._weights = weights
        self._port_of = port_of
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._welcome, daemon=True).start()

    def close(self) -> None:
        """Hang up everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                _shut(each)

    def serve(self, near: socket.socket) -> None:
        """Carry what comes on one connection until it ends. May raise OSError."""
        raise OSError("a line of no kind carries nothing")

    def dial(self) -> socket.socket:
        """The other side. Raises OSError where it is not there."""
        port = self._port_of()
        if port is None:
            raise ConnectionRefusedError(f"{self.name}: nobody listens")
        far = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(far)
        return far

    def fate(self, message: str) -> Fate:
        """What becomes of the next message on this line."""
        return self.weather.fate(self.name, message, self._weights)

    def hang_up(self, connection: socket.socket) -> None:
        """Close a connection and forget it."""
        with self._lock:
            self._open.discard(connection)
        _shut(connection)

    def _welcome(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open.add(near)
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        try:
            with suppress(OSError, EOFError, ValueError):
                self.serve(near)
        finally:
            self.hang_up(near)


class FramedLine(BadLine):
    """Carries frames with their length before them, both ways, each with a fate of its own."""

    def serve(self, near: socket.socket) -> None:
        """Dial, and carry both ways until either side hangs up."""
        far = self.dial()
        back = threading.Thread(target=self._one_way, args=(far, near, "answer"), daemon=True)
        back.start()
        self._one_way(near, far, "question")
        back.join()

    def _one_way(self, source: socket.socket, target: socket.socket, what: str) -> None:
        try:
            with suppress(OSError, ValueError):
                for data in frames(source):
                    self._treat(data, target, what)
        finally:
            self.hang_up(source)
            self.hang_up(target)

    def _treat(self, data: bytes, target: socket.socket, what: str) -> None:
        fate = self.fate(f"{what} of {len(data)} bytes")
        if fate is Fate.LATE:
            time.sleep(self.weather.late_s)
        if fate is Fate.TORN:
            target.sendall(data[: len(data) // 2])
        if fate in (Fate.CUT, Fate.TORN):
            raise ConnectionResetError(fate)
        if fate is Fate.STRAY and what == "question":
            self.weather.later(self.weather.stray_s, lambda: self._ask_for_nobody(data))
        if fate not in (Fate.DROP, Fate.STRAY):
            target.sendall(data * 2 if fate is Fate.TWICE else data)

    def _ask_for_nobody(self, data: bytes) -> None:
        far = self.dial()
        try:
            far.sendall(data)
            far.recv(1)  # it has been dealt with when there is an answer
        finally:
            self.hang_up(far)


class HttpLine(BadLine):
    """Carries whole HTTP messages: a request and its answer have a fate each, and a request may come twice."""

    def serve(self, near: socket.socket) -> None:
        """Ask the other side, one request after another."""
        while request := read_message(near):
            what = request.partition(b"\r\n")[0].rpartition(b" ")[0].decode("latin-1")
            fate = self.fate(what)
            if fate is Fate.LATE:
                time.sleep(self.weather.late_s)
            if fate is Fate.TORN:
                self._send_half(request)
            if fate in (Fate.CUT, Fate.TORN):
                return
            if fate is Fate.STRAY:
                self.weather.later(self.weather.stray_s, partial(self._asked, request))
            if fate in (Fate.DROP, Fate.STRAY):
                continue
            if fate is Fate.TWICE:
                self.weather.later(0, partial(self._asked, request))
            if not self._answered(near, self._asked(request), what):
                return

    def _answered(self, near: socket.socket, answer: bytes, what: str) -> bool:
        """Whether the connection goes on after an answer has met its fate."""
        status = answer[9:12].decode("latin-1")
        fate = self.fate(f"{status} to {what}")
        if fate is Fate.LATE:
            time.sleep(self.weather.late_s)
        if fate is Fate.TORN:
            near.sendall(answer[: len(answer) // 2])
        elif fate in (Fate.PASS, Fate.LATE, Fate.TWICE):  # nobody reads an answer twice
            near.sendall(answer)
        return fate not in (Fate.TORN, Fate.CUT)

    def _asked(self, request: bytes) -> bytes:
        far = self.dial()
        try:
            far.sendall(request)
            return read_message(far)
        finally:
            self.hang_up(far)

    def _send_half(self, request: bytes) -> None:
        with suppress(OSError):
            far = self.dial()
            far.sendall(request[: len(request) // 2])
            self.hang_up(far)


def frames(source: socket.socket) -> Iterator[bytes]:
    """Whole frames as they come: two bytes of length, or FFFF and four (docs/formats/hsm.md, ISO 8583)."""
    buffer = bytearray()
    source.settimeout(None)
    while data := source.recv(65_536):
        buffer += data
        while (length := _frame_bytes(buffer)) is not None and len(buffer) >= length:
            yield bytes(buffer[:length])
            del buffer[:length]


def _frame_bytes(buffer: bytearray) -> int | None:
    if len(buffer) < 2:
        return None
    short = int.from_bytes(buffer[:2], "big")
    if short < 0xFFFF:
        return 2 + short
    return None if len(buffer) < 6 else 6 + int.from_bytes(buffer[2:6], "big")


def read_message(source: socket.socket) -> bytes:
    """One whole HTTP message, empty where the peer has hung up before one. Raises EOFError in the middle of one."""
    message = b""
    while (end := message.find(b"\r\n\r\n")) < 0:
        message += (data := source.recv(65_536))
        if not data:
            if message:
                raise EOFError("hung up in the head of a message")
            return b""
    body = end + 4
    head = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in message[:end].split(b"\r\n")[1:])
    }
    if head.get(b"transfer-encoding") == b"chunked":
        raise ValueError("no peer of ours sends in chunks")
    whole = body + int(head.get(b"content-length", b"0"))
    if whole > MOST_BYTES:
        raise ValueError(f"a message of {whole} bytes")
    while len(message) < whole:
        message += (data := source.recv(65_536))
        if not data:
            raise EOFError("hung up in the body of a message")
    return message


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
