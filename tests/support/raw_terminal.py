"""A terminal made by hand: any message, with any MAC, over a plain socket."""

import socket
from dataclasses import dataclass, replace

from clearing.wire.iso8583 import (
    FrameReader,
    Message,
    Specification,
    decode,
    encode,
    encode_with_mac,
    frame,
    mac_parts,
    specification,
)
from terminals.pos_pinpad import PinPad
from tests.support.counter_city import CounterCity, card_no

PURCHASE = {
    2: card_no(0)[1:], 3: "000000", 4: "000000000500", 11: "000001", 12: "100000", 13: "0302", 41: "POS00001",
    42: "SHOP-1         ", 49: "156",
}  # fmt: skip


class Socket:
    """A connection that frames are sent on and read from."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._reader = FrameReader()
        self._arrived: list[bytes] = []

    def send(self, body: bytes) -> None:
        self.connection.sendall(frame(body))

    def receive(self) -> bytes | None:
        """The next message, None where the gateway has hung up."""
        while not self._arrived:
            try:
                data = self.connection.recv(4096)
            except ConnectionError:
                return None
            if not data:
                return None
            self._arrived += self._reader.feed(data)
        return self._arrived.pop(0)

    def ask(self, body: bytes) -> bytes | None:
        self.send(body)
        return self.receive()

    def close(self) -> None:
        self.connection.close()


@dataclass(frozen=True)
class RawTerminal:
    """An enrolled terminal that has signed on; `fields` may be any."""

    socket: Socket
    pinpad: PinPad
    spec: Specification

    def bytes_of(self, mti: str, fields: dict[int, str]) -> bytes:
        return encode_with_mac(Message(mti, fields), self.spec, self.pinpad.mac)

    def ask(self, mti: str, fields: dict[int, str]) -> Message:
        """The answer, whose MAC must be right where it has one."""
        body = self.socket.ask(self.bytes_of(mti, fields))
        assert body is not None
        answer = decode(body, self.spec)
        parts = mac_parts(body, answer, self.spec)
        assert parts is None or self.pinpad.made(*parts)
        return answer

    def code(self, mti: str = "0200", **changes: str) -> str:
        """Field 39 of the answer to a purchase with some fields changed (`f4="…"`), left out where empty."""
        changed = {int(name.removeprefix("f")): text for name, text in changes.items()}
        fields = {number: text for number, text in (PURCHASE | changed).items() if text}
        return self.ask(mti, fields).get(39)

    def on(self, socket: Socket) -> "RawTerminal":
        return replace(self, socket=socket)


def raw_terminal(
    town: CounterCity, port: int, *, terminal: str = "POS00001", spec: str = "china-pos"
) -> RawTerminal:
    """Enrol a terminal and sign it on."""
    identity = town.enrol(terminal, specification=spec)
    made = RawTerminal(Socket(port), town.pinpad(identity), specification(spec))
    body = made.socket.ask(
        encode(Message("0800", {11: "999999", 41: terminal, 60: "00000001003"}), made.spec)
    )
    assert body is not None
    answer = decode(body, made.spec)
    assert (answer.mti, answer.get(39), answer.get(64)) == ("0810", "00", "")
    made.pinpad.load(bytes.fromhex(answer.get(62)))
    return made
