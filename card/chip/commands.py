"""The terminal's side of the dialogue: builders of every command APDU, parsers of every answer.

A parser gives the answer's value, or a `Refusal` with the card's status word. It raises AnswerError only
for a broken answer: no status word, or 9000 with data that do not fit, which no good card sends.
Moments are 7 bytes BCD `YYYYMMDDHHMMSS` in city time, terminals 6 bytes, amounts in fen.
"""

from dataclasses import dataclass
from enum import IntEnum

from card.chip.apdu import Answer, Apdu, ApduError
from card.chip.files import PPSE, TRANSIT_AID, Fci, FileError
from card.chip.status import StatusWord, meaning

PURSE = 0x02
"""P2 of the purse commands: the electronic purse (01 would be the deposit book)."""


class Share(IntEnum):
    """Which figure GET BALANCE is to give."""

    WITH_OVERDRAFT = 0
    OVERDRAFT_LIMIT = 1
    OVERDRAWN = 2
    WITHOUT_OVERDRAFT = 3


class AnswerError(ValueError):
    """An answer without a status word, or success with data that do not fit the command."""

    def __init__(self, command: str, data: bytes) -> None:
        super().__init__(
            f"{command}: the card answered {data.hex() or 'nothing'}, which does not fit: take no money by it"
        )
        self.command, self.data = command, data


@dataclass(frozen=True, slots=True)
class Refusal:
    """The card did not do it; `word` is its status word, `str()` says it in words."""

    command: str
    word: int

    def __str__(self) -> str:
        return f"{self.command}: {meaning(self.word)} ({self.word:04X})"


@dataclass(frozen=True, slots=True)
class PurchaseOffer:
    """INITIALIZE FOR (CAPP) PURCHASE: what the card needs to be asked for the debit."""

    balance_fen: int
    sequence: int
    overdraft_fen: int
    key_version: int
    algorithm: int
    rnd: bytes


@dataclass(frozen=True, slots=True)
class LoadOffer:
    """INITIALIZE FOR LOAD: what the office needs to authorise the load."""

    balance_fen: int
    sequence: int
    key_version: int
    algorithm: int
    rnd: bytes
    mac1: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """The card's word that a transaction happened: MAC2 for the SAM, TAC for the clearing house."""

    tac: bytes
    mac2: bytes


def select(aid: bytes = TRANSIT_AID) -> bytes:
    """SELECT an application by its name."""
    return Apdu(0x00, 0xA4, 0x04, 0x00, aid, 256).pack()


def select_directory() -> bytes:
    """SELECT the directory of contactless applications (PPSE)."""
    return select(PPSE)


def read_binary(sfi: int, offset: int = 0, length: int = 256) -> bytes:
    """READ BINARY of a transparent file by its short identifier; 256 bytes mean all there are."""
    return Apdu(0x00, 0xB0, 0x80 | sfi, offset, le=length).pack()


def read_record(number: int, sfi: int) -> bytes:
    """READ RECORD, whole; record 1 is the newest of a cyclic file."""
    return Apdu(0x00, 0xB2, number, sfi << 3 | 4, le=256).pack()


def get_balance(share: Share = Share.WITHOUT_OVERDRAFT) -> bytes:
    """GET BALANCE of the purse."""
    return Apdu(0x80, 0x5C, share, PURSE, le=4).pack()


def init_load(amount_fen: int, terminal: bytes, key_index: int = 1) -> bytes:
    """INITIALIZE FOR LOAD."""
    return Apdu(0x80, 0x50, 0x00, PURSE, _order(key_index, amount_fen, terminal), 0x10).pack()


def credit_load(moment: bytes, mac2: bytes) -> bytes:
    """CREDIT FOR LOAD, with the office's MAC2."""
    return Apdu(0x80, 0x52, 0x00, 0x00, moment + mac2, 0x04).pack()


def init_purchase(amount_fen: int, terminal: bytes, key_index: int = 1) -> bytes:
    """INITIALIZE FOR PURCHASE."""
    return Apdu(0x80, 0x50, 0x01, PURSE, _order(key_index, amount_fen, terminal), 0x0F).pack()


def init_capp_purchase(amount_fen: int, terminal: bytes, key_index: int = 1) -> bytes:
    """INITIALIZE FOR CAPP PURCHASE; the amount may be 0."""
    return Apdu(0x80, 0x50, 0x03, PURSE, _order(key_index, amount_fen, terminal), 0x0F).pack()


def update_capp_cache(record_id: int, sfi: int, record: bytes) -> bytes:
    """UPDATE CAPP DATA CACHE: a record to be written with the debit. Trips have id 0, the paid area 1."""
    return Apdu(0x80, 0xDC, record_id, sfi << 3, record).pack()


def debit(terminal_sequence: int, moment: bytes, mac1: bytes) -> bytes:
    """DEBIT FOR PURCHASE, and for CAPP PURCHASE alike, with the SAM's MAC1."""
    return Apdu(0x80, 0x54, 0x01, 0x00, terminal_sequence.to_bytes(4, "big") + moment + mac1, 0x08).pack()


def transaction_prove(kind: int, sequence: int) -> bytes:
    """GET TRANSACTION PROVE; `sequence` is the one the INITIALIZE answered, plus 1."""
    return Apdu(0x80, 0x5A, 0x00, kind, sequence.to_bytes(2, "big"), 0x08).pack()


def get_challenge() -> bytes:
    """GET CHALLENGE, 8 random bytes."""
    return Apdu(0x00, 0x84, 0x00, 0x00, le=8).pack()


def external_authenticate(cryptogram: bytes, key: int = 0x02) -> bytes:
    """EXTERNAL AUTHENTICATE with the answer to the challenge, 8 bytes."""
    return Apdu(0x00, 0x82, 0x00, key, cryptogram).pack()


def application_block(*, for_good: bool = False) -> bytes:
    """APPLICATION BLOCK, until it is unblocked or for good."""
    return Apdu(0x80, 0x1E, 0x00, int(for_good)).pack()


def application_unblock() -> bytes:
    """APPLICATION UNBLOCK."""
    return Apdu(0x80, 0x18, 0x00, 0x00).pack()


def verify_pin(pin: str) -> bytes:
    """VERIFY the holder's PIN, digits."""
    return Apdu(0x00, 0x20, 0x00, 0x00, pin.encode("ascii")).pack()


def parse_challenge(answer: bytes) -> bytes | Refusal:
    """The card's random number, 8 bytes."""
    return _data("GET CHALLENGE", answer, 8)


def parse_select(answer: bytes) -> Fci | Refusal:
    """The FCI; its `public` is file 15, for `PublicData.unpack`."""
    data = _data("SELECT", answer)
    if isinstance(data, Refusal):
        return data
    try:
        return Fci.unpack(data)
    except FileError as broken:
        raise AnswerError("SELECT", data) from broken


def parse_read(answer: bytes, length: int | None = None, command: str = "READ") -> bytes | Refusal:
    """The data of READ BINARY or READ RECORD, of the given length where one is given."""
    return _data(command, answer, length)


def parse_balance(answer: bytes) -> int | Refusal:
    """Fen. Some cities' cards set the topmost bit, which does not belong to the amount."""
    data = _data("GET BALANCE", answer, 4)
    return data if isinstance(data, Refusal) else int.from_bytes(data, "big") & 0x7FFFFFFF


def parse_init_purchase(answer: bytes) -> PurchaseOffer | Refusal:
    """The answer of INITIALIZE FOR PURCHASE and FOR CAPP PURCHASE."""
    data = _data("INITIALIZE FOR PURCHASE", answer, 15)
    if isinstance(data, Refusal):
        return data
    balance_fen, sequence, overdraft_fen = (
        int.from_bytes(part, "big") for part in (data[:4], data[4:6], data[6:9])
    )
    return PurchaseOffer(balance_fen, sequence, overdraft_fen, data[9], data[10], data[11:15])


def parse_init_load(answer: bytes) -> LoadOffer | Refusal:
    """The answer of INITIALIZE FOR LOAD."""
    data = _data("INITIALIZE FOR LOAD", answer, 16)
    if isinstance(data, Refusal):
        return data
    balance_fen, sequence = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:6], "big")
    return LoadOffer(balance_fen, sequence, data[6], data[7], data[8:12], data[12:16])


def parse_debit(answer: bytes) -> Proof | Refusal:
    """The answer of DEBIT: TAC first, then MAC2."""
    data = _data("DEBIT FOR PURCHASE", answer, 8)
    return data if isinstance(data, Refusal) else Proof(tac=data[:4], mac2=data[4:])


def parse_credit(answer: bytes) -> bytes | Refusal:
    """The load's TAC."""
    return _data("CREDIT FOR LOAD", answer, 4)


def parse_prove(answer: bytes) -> Proof | Refusal:
    """The answer of GET TRANSACTION PROVE: MAC2 first, then TAC; 9406 where it did not happen."""
    data = _data("GET TRANSACTION PROVE", answer, 8)
    return data if isinstance(data, Refusal) else Proof(tac=data[4:], mac2=data[:4])


def parse_done(command: str, answer: bytes) -> Refusal | None:
    """For commands that answer nothing but a status word."""
    data = _data(command, answer, 0)
    return data if isinstance(data, Refusal) else None


def _order(key_index: int, amount_fen: int, terminal: bytes) -> bytes:
    return bytes((key_index,)) + amount_fen.to_bytes(4, "big") + terminal


def _data(command: str, raw: bytes, length: int | None = None) -> bytes | Refusal:
    try:
        answer = Answer.unpack(raw)
    except ApduError as broken:
        raise AnswerError(command, raw) from broken
    if answer.word != StatusWord.DONE:
        return Refusal(command, answer.word)
    if length is not None and len(answer.data) != length:
        raise AnswerError(command, answer.data)
    return answer.data
