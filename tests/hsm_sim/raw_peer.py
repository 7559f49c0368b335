"""A client of the HSM by hand, from docs/formats/hsm.md alone: a socket, lengths and bytes."""

import socket
from types import TracebackType


def frame(command: bytes, fields: bytes = b"", header: bytes = b"\0\0\0\1", *, long: bool = False) -> bytes:
    """One request as it stands on the wire."""
    body = header + command + fields
    if long or len(body) >= 0xFFFF:
        return b"\xff\xff" + len(body).to_bytes(4) + body
    return len(body).to_bytes(2) + body


class RawPeer:
    """One connection; every wait ends after ten seconds."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection((host, port), timeout=10)

    def __enter__(self) -> "RawPeer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self, count: int) -> bytes:
        """Exactly so many bytes; fewer only where the HSM ended the connection."""
        found = bytearray()
        while len(found) < count:
            try:
                piece = self.socket.recv(count - len(found))
            except ConnectionResetError:
                break
            if not piece:
                break
            found += piece
        return bytes(found)

    def receive_frame(self) -> bytes | None:
        """The next answer without its length; None where the HSM ended the connection."""
        length = self.receive(2)
        if length == b"\xff\xff":
            length = self.receive(4)
        return self.receive(int.from_bytes(length)) if length else None

    def ask(self, command: bytes, fields: bytes = b"") -> tuple[str, bytes]:
        """The answer's error and fields."""
        self.send(frame(command, fields))
        answer = self.receive_frame()
        assert answer is not None, f"the HSM ended the connection at {command!r}"
        assert answer[:6] == b"\0\0\0\1" + bytes((command[0], command[1] + 1))
        return answer[6:8].decode("ascii"), answer[8:]
