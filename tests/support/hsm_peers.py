"""Peers that listen where an HSM should: each plays its part on every connection, well or badly."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

Play = Callable[[socket.socket, int], None]


@contextmanager
def peer(play: Play) -> Iterator[tuple[str, int, list[int]]]:
    """Something that listens where an HSM should, and plays its part on every connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[int] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            seen.append(len(seen))
            Thread(target=guarded, args=(connection, seen[-1]), daemon=True).start()

    def guarded(connection: socket.socket, number: int) -> None:
        with connection:
            try:
                play(connection, number)
            except OSError:
                return

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield "127.0.0.1", listener.getsockname()[1], seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(2)


def received(connection: socket.socket) -> bytes | None:
    """One short request's body, or None at the end of the stream."""
    head = connection.recv(2, socket.MSG_WAITALL)
    return connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL) if len(head) == 2 else None


def echoed(body: bytes) -> bytes:
    """The right answer to B2."""
    answer = body[:4] + b"B300" + body[10:]
    return len(answer).to_bytes(2, "big") + answer


def answers_well(connection: socket.socket, number: int) -> None:
    while (body := received(connection)) is not None:
        connection.sendall(echoed(body))
