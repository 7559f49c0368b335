"""Command and answer APDUs of ISO 7816-4 in their short form: bytes in, values out, and back."""

from dataclasses import dataclass
from enum import IntEnum

MAX_DATA = 255


class Instruction(IntEnum):
    """What can be asked of a card or SAM: class byte, then instruction byte."""

    VERIFY = 0x0020
    EXTERNAL_AUTHENTICATE = 0x0082
    GET_CHALLENGE = 0x0084
    SELECT = 0x00A4
    READ_BINARY = 0x00B0
    READ_RECORD = 0x00B2
    GET_RESPONSE = 0x00C0
    APPLICATION_UNBLOCK = 0x8018
    APPLICATION_BLOCK = 0x801E
    INITIALIZE = 0x8050
    CREDIT_FOR_LOAD = 0x8052
    DEBIT_FOR_PURCHASE = 0x8054
    GET_TRANSACTION_PROVE = 0x805A
    GET_BALANCE = 0x805C
    UPDATE_CAPP_DATA_CACHE = 0x80DC
    STORE_DATA = 0x80E2
    INIT_SAM_FOR_PURCHASE = 0x8070
    CREDIT_SAM_FOR_PURCHASE = 0x8072
    LOAD_COMPONENT = 0x80F4
    ACTIVATE_SAM = 0x80F6


class ApduError(ValueError):
    """Bytes that are no short APDU; the message says what is wrong with which field, and the remedy."""

    def __init__(self, field: str, value: str, remedy: str) -> None:
        super().__init__(f"{field} is {value}: {remedy}")
        self.field, self.value, self.remedy = field, value, remedy


@dataclass(frozen=True, slots=True)
class Apdu:
    """A command. `le` is the number of bytes expected, 1 to 256 (written 00), or None for no Le byte."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None

    @property
    def code(self) -> int:
        """Class and instruction in one number, to compare with an `Instruction`."""
        return self.cla << 8 | self.ins

    def pack(self) -> bytes:
        """Write the command (ISO 7816-4 clause 5.2, cases 1 to 4). Raises ApduError for too much data."""
        if len(self.data) > MAX_DATA:
            raise ApduError("data", f"{len(self.data)} bytes", f"send at most {MAX_DATA} in a short APDU")
        packed = bytes((self.cla, self.ins, self.p1, self.p2))
        if self.data:
            packed += bytes((len(self.data),)) + self.data
        return packed if self.le is None else packed + bytes((self.le & 0xFF,))

    @classmethod
    def unpack(cls, raw: bytes) -> "Apdu":
        """Read a command. Raises ApduError where the length does not fit; extended lengths are refused."""
        if len(raw) < 4:
            raise ApduError("header", raw.hex(" ") or "empty", "send class, instruction, P1 and P2")
        head = raw[0], raw[1], raw[2], raw[3]
        if len(raw) == 4:
            return cls(*head)
        third = raw[4]
        if len(raw) == 5:
            return cls(*head, le=third or 256)
        if third and len(raw) == 5 + third:
            return cls(*head, raw[5:])
        if third and len(raw) == 6 + third:
            return cls(*head, raw[5:-1], raw[-1] or 256)
        raise ApduError("Lc", f"{third} with {len(raw) - 5} bytes after it", "make Lc the length of the data")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a card answered: data, then the two bytes of the status word."""

    data: bytes
    word: int

    def pack(self) -> bytes:
        """Write the answer."""
        return self.data + self.word.to_bytes(2, "big")

    @classmethod
    def unpack(cls, raw: bytes) -> "Answer":
        """Read an answer. Raises ApduError where there is no room for a status word."""
        if len(raw) < 2:
            raise ApduError("answer", raw.hex() or "empty", "present the card again and hold it still")
        return cls(raw[:-2], int.from_bytes(raw[-2:], "big"))
