"""Commands of the terminal's SAM (PSAM), for the terminal that sends them and for what plays the SAM."""

from dataclasses import dataclass

from card.chip.apdu import Apdu
from card.chip.commands import Refusal, parse_read

PURCHASE_BYTES = 0x24
"""Data of INIT_SAM_FOR_PURCHASE with two levels of diversification."""
TERMINAL_BYTES = 6


class SamCommandError(ValueError):
    """Data of a SAM command that do not fit; the message says the length found and the one needed."""


@dataclass(frozen=True, slots=True)
class SamPurchase:
    """What INIT_SAM_FOR_PURCHASE is told: the card's offer, the order, two diversification factors."""

    rnd: bytes
    sequence: int
    amount_fen: int
    kind: int
    moment: bytes
    key_version: int
    algorithm: int
    card_factor: bytes
    issuer_factor: bytes

    def pack(self) -> bytes:
        """The command's data, 36 bytes: the card's factor comes first, then the issuer's."""
        return b"".join(
            (
                self.rnd,
                self.sequence.to_bytes(2, "big"),
                self.amount_fen.to_bytes(4, "big"),
                bytes((self.kind,)),
                self.moment,
                bytes((self.key_version, self.algorithm)),
                self.card_factor,
                self.issuer_factor,
            )
        )

    @classmethod
    def unpack(cls, data: bytes) -> "SamPurchase":
        """Read the command's data. Raises SamCommandError for another length."""
        if len(data) != PURCHASE_BYTES:
            raise SamCommandError(f"data of {len(data)} bytes: send {PURCHASE_BYTES}, with two factors of 8")
        sequence, amount_fen = int.from_bytes(data[4:6], "big"), int.from_bytes(data[6:10], "big")
        return cls(
            data[:4],
            sequence,
            amount_fen,
            data[10],
            data[11:18],
            data[18],
            data[19],
            data[20:28],
            data[28:36],
        )


def terminal_id() -> bytes:
    """READ BINARY of the SAM's terminal number, 6 bytes."""
    return Apdu(0x00, 0xB0, 0x96, 0x00, le=6).pack()


def key_index() -> bytes:
    """READ BINARY of the index of the purchase key to ask cards for, 1 byte."""
    return Apdu(0x00, 0xB0, 0x97, 0x00, le=1).pack()


def init_purchase(purchase: SamPurchase) -> bytes:
    """INIT_SAM_FOR_PURCHASE."""
    return Apdu(0x80, 0x70, 0x00, 0x00, purchase.pack(), 8).pack()


def credit_purchase(mac2: bytes) -> bytes:
    """CREDIT_SAM_FOR_PURCHASE: verify the card's MAC2."""
    return Apdu(0x80, 0x72, 0x00, 0x00, mac2).pack()


def load_component(component: bytes, *, key_version: int, algorithm: int) -> bytes:
    """LOAD COMPONENT of a purchase root key, 16 bytes, into a SAM not yet in service (this project's own)."""
    return Apdu(0x80, 0xF4, key_version, algorithm, component, 3).pack()


def activate(terminal: bytes) -> bytes:
    """ACTIVATE SAM for a terminal, 6 bytes, once its keys are whole (this project's own)."""
    return Apdu(0x80, 0xF6, 0x00, 0x00, terminal, 256).pack()


def parse_init_purchase(answer: bytes) -> tuple[int, bytes] | Refusal:
    """Terminal sequence and MAC1. Raises AnswerError where the answer does not fit."""
    data = parse_read(answer, 8, "INIT_SAM_FOR_PURCHASE")
    return data if isinstance(data, Refusal) else (int.from_bytes(data[:4], "big"), data[4:])
