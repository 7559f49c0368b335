"""The terminal's SAM, played by the network HSM: it speaks a SAM's APDUs, the keys stay in the HSM."""

from card.chip.apdu import Answer, Apdu, ApduError, Instruction
from card.chip.keys import MAC_BYTES
from card.chip.sam import PURCHASE_BYTES, SamPurchase
from card.chip.sam_chip import read_sam
from card.chip.status import StatusWord
from card.hsm.client import Hsm
from card.hsm.codec import CardKeyRef
from card.hsm.errors import HsmError
from terminals.outbox import Outbox
from terminals.reader import SamGone

_HSM_WORDS = {
    "12": StatusWord.KEY_NOT_FOUND,
    "15": StatusWord.WRONG_DATA,
    "26": StatusWord.FUNCTION_NOT_SUPPORTED,
}
"""What the HSM says about a card's keys, in the SAM's words; anything else means that there is no SAM."""


class HsmSam:
    """One terminal's SAM: its number, its strictly rising transaction numbers, MAC1 and the check of MAC2.

    The transaction number is durable in the outbox before MAC1 is made, so that it is never used twice.
    """

    def __init__(self, terminal: str, hsm: Hsm, outbox: Outbox) -> None:
        self._terminal = bytes.fromhex(terminal)
        if len(self._terminal) != 6:
            raise ValueError(f"terminal is {terminal!r}: give 12 hex characters")
        self._name = self._terminal.hex().upper()
        self._hsm = hsm
        self._outbox = outbox
        self._awaiting: tuple[SamPurchase, int] | None = None

    def transmit(self, apdu: bytes) -> bytes:
        """Answer one command. Raises SamGone where the HSM cannot be asked."""
        try:
            command = Apdu.unpack(apdu)
        except ApduError:
            return _word(StatusWord.WRONG_LENGTH)
        if command.code == Instruction.READ_BINARY:
            return read_sam(command, self._terminal).pack()
        if command.cla != 0x80:
            return _word(StatusWord.CLASS_UNKNOWN)
        if command.code not in (Instruction.INIT_SAM_FOR_PURCHASE, Instruction.CREDIT_SAM_FOR_PURCHASE):
            return _word(StatusWord.INSTRUCTION_UNKNOWN)
        if command.p1 or command.p2:
            return _word(StatusWord.WRONG_P1_P2)
        try:
            if command.code == Instruction.INIT_SAM_FOR_PURCHASE:
                return self._init_purchase(command.data)
            return self._credit_purchase(command.data)
        except HsmError as error:
            if (word := _HSM_WORDS.get(error.code)) is None:
                raise SamGone(str(error)) from error
            return _word(word)

    def resume(self, purchase: SamPurchase, terminal_sequence: int) -> bool:
        """Await the MAC2 of an earlier purchase: the HSM can check any, where a chip only knows its last."""
        self._awaiting = purchase, terminal_sequence
        return True

    def _init_purchase(self, data: bytes) -> bytes:
        """INIT_SAM_FOR_PURCHASE: the next transaction number and MAC1."""
        if len(data) != PURCHASE_BYTES:
            return _word(StatusWord.WRONG_LENGTH)
        purchase = SamPurchase.unpack(data)
        self._awaiting = None
        if (sequence := self._outbox.take_sequence(self._name)) is None:
            return _word(StatusWord.COUNTER_EXHAUSTED)
        mac1 = self._hsm.purchase_mac1(
            _keys(purchase), rnd=purchase.rnd, counter=purchase.sequence, amount_fen=purchase.amount_fen,
            kind=purchase.kind, terminal=self._terminal, moment=purchase.moment, terminal_sequence=sequence,
        )  # fmt: skip
        self._awaiting = purchase, sequence
        return Answer(sequence.to_bytes(4, "big") + mac1, StatusWord.DONE).pack()

    def _credit_purchase(self, data: bytes) -> bytes:
        """CREDIT_SAM_FOR_PURCHASE: is MAC2 that of the purchase begun? Whatever the answer, that is over."""
        if self._awaiting is None:
            return _word(StatusWord.NOT_IN_THIS_STATE)
        if len(data) != MAC_BYTES:
            return _word(StatusWord.WRONG_LENGTH)
        purchase, sequence = self._awaiting
        right = self._hsm.verify_purchase_mac2(
            _keys(purchase), rnd=purchase.rnd, counter=purchase.sequence, terminal_sequence=sequence,
            amount_fen=purchase.amount_fen, mac2=data,
        )  # fmt: skip
        self._awaiting = None
        return _word(StatusWord.DONE if right else StatusWord.MAC_WRONG)


def _keys(purchase: SamPurchase) -> CardKeyRef:
    return CardKeyRef(purchase.key_version, purchase.algorithm, purchase.issuer_factor, purchase.card_factor)


def _word(word: int) -> bytes:
    return word.to_bytes(2, "big")
