"""Real readers: cards and SAMs through PC/SC, whatever the reader and whoever made it.

The daemon is the one that the environment names to the PC/SC library (PCSCLITE_CSOCK_NAME), or the machine's
own. The library looks once in a process's life: two daemons are for two processes.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from smartcard import scard

from card.chip.apdu import Answer, Apdu, ApduError, Instruction
from card.chip.sam import PURCHASE_BYTES, SamPurchase
from card.chip.status import StatusWord
from card.chip.t0 import whole_answer
from terminals.reader import CardGone, SamGone

_PROTOCOLS = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
_REMEDIES = {
    scard.SCARD_E_NO_SERVICE: "no PC/SC daemon answers: start pcscd, or set PCSCLITE_CSOCK_NAME to its socket",
    scard.SCARD_E_NO_READERS_AVAILABLE: "no reader is attached: plug one in, or run `onecard card virtual`",
    scard.SCARD_E_UNKNOWN_READER: "no such reader: `onecard card readers` lists them",
    scard.SCARD_E_SHARING_VIOLATION: "another program holds the card for itself: end that program",
    scard.SCARD_E_NO_SMARTCARD: "no card lies on the reader: put one on it",
    scard.SCARD_W_REMOVED_CARD: "the card was taken away: put it back and hold it still",
    scard.SCARD_E_NOT_TRANSACTED: "the card was taken away before it answered: put it back and hold it still",
    scard.SCARD_W_UNPOWERED_CARD: "the card has no power: take it off and put it on again",
    scard.SCARD_W_UNRESPONSIVE_CARD: "the card does not answer the reader: take it off and put it on again",
    scard.SCARD_E_TIMEOUT: "nothing came or went in that time: move the card and try again",
}


class PcscError(Exception):
    """The reader cannot be used; the message says what it was, with which reader, and what to do."""

    def __init__(self, deed: str, code: int) -> None:
        remedy = _REMEDIES.get(code) or f"{scard.SCardGetErrorMessage(code)}: attach the reader again"
        super().__init__(f"{deed}: PC/SC error {code & 0xFFFFFFFF:08X}: {remedy}")
        self.code = code


def _silence(code: int, reader: str) -> CardGone:
    return CardGone(str(PcscError(reader, code)))


class Pcsc:
    """A conversation with the PC/SC daemon. Raises PcscError where there is none."""

    def __init__(self) -> None:
        code, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        if code != scard.SCARD_S_SUCCESS:
            raise PcscError("PC/SC", code)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        scard.SCardReleaseContext(self._context)

    def readers(self) -> list[str]:
        """The slots of all readers attached, by name; none is an empty list."""
        code, names = scard.SCardListReaders(self._context, [])
        if code == scard.SCARD_E_NO_READERS_AVAILABLE:
            return []
        if code != scard.SCARD_S_SUCCESS:
            raise PcscError("readers", code)
        return sorted(names)

    def wait_for_card(self, readers: Sequence[str], timeout_s: float) -> str:
        """The first of these readers on which a card lies, as soon as there is one. Raises PcscError."""
        return self._wait(readers, scard.SCARD_STATE_PRESENT, scard.SCARD_STATE_MUTE, timeout_s)

    def wait_for_removal(self, reader: str, timeout_s: float) -> None:
        """Wait until the reader is empty, as every terminal must before it takes the next card. Raises PcscError."""
        self._wait([reader], scard.SCARD_STATE_EMPTY, 0, timeout_s)

    def _wait(self, readers: Sequence[str], wanted: int, unwanted: int, timeout_s: float) -> str:
        states = [(name, scard.SCARD_STATE_UNAWARE) for name in readers]
        while True:
            code, found = scard.SCardGetStatusChange(self._context, round(1000 * timeout_s), states)
            if code != scard.SCARD_S_SUCCESS:
                raise PcscError(", ".join(readers) or "any reader", code)
            for name, event, _ in found:
                if event & wanted and not event & unwanted:
                    return str(name)
            states = [(name, event) for name, event, _ in found]

    def connect(self, reader: str) -> "PcscCard":
        """The card on a reader, reset. Raises PcscError where there is none."""
        code, handle, protocol = scard.SCardConnect(
            self._context, reader, scard.SCARD_SHARE_SHARED, _PROTOCOLS
        )
        if code != scard.SCARD_S_SUCCESS:
            raise PcscError(reader, code)
        return PcscCard(reader, handle, protocol)


class PcscCard:
    """A card on a reader, until it is taken away: then a new one must be connected."""

    def __init__(self, reader: str, handle: int, protocol: int) -> None:
        self.reader = reader
        self._handle = handle
        self._lost = False
        self._t0 = protocol == scard.SCARD_PROTOCOL_T0
        self._pci = scard.SCARD_PCI_T0 if self._t0 else scard.SCARD_PCI_T1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def atr(self) -> bytes:
        """The card's answer to reset. Raises CardGone."""
        code, _, _, _, atr = scard.SCardStatus(self._handle)
        if code != scard.SCARD_S_SUCCESS:
            raise _silence(code, self.reader)
        return bytes(atr)

    def transmit(self, apdu: bytes) -> bytes:
        """One command; answers that T=0 gives in pieces are fetched whole. Raises CardGone."""
        return whole_answer(self._send, apdu, strip_le=self._t0)

    def close(self) -> None:
        """Let go of the card, and reset it for whoever comes next, if it is still there."""
        # The daemon would take a reset that fails for the card's removal, and overlook that it comes back.
        scard.SCardDisconnect(self._handle, scard.SCARD_LEAVE_CARD if self._lost else scard.SCARD_RESET_CARD)

    def _send(self, apdu: bytes) -> bytes:
        code, answer = scard.SCardTransmit(self._handle, self._pci, list(apdu))
        self._lost = code != scard.SCARD_S_SUCCESS or len(answer) < 2
        if code != scard.SCARD_S_SUCCESS:
            raise _silence(code, self.reader)
        if self._lost:
            # This is how a virtual reader says that the card was taken away in the middle of a command.
            raise _silence(scard.SCARD_E_NOT_TRANSACTED, self.reader)
        return bytes(answer)


class PcscSam:
    """A SAM in a slot. It can only check the MAC2 of the purchase that it began last."""

    def __init__(self, card: PcscCard) -> None:
        self._card = card
        self._awaiting: tuple[bytes, int] | None = None

    def transmit(self, apdu: bytes) -> bytes:
        """One command. Raises SamGone."""
        try:
            command = Apdu.unpack(apdu)
            raw = self._card.transmit(apdu)
        except ApduError:
            return Answer(b"", StatusWord.WRONG_LENGTH).pack()
        except CardGone as gone:
            self._awaiting = None
            raise SamGone(str(gone)) from gone
        self._follow(command, Answer.unpack(raw))
        return raw

    def resume(self, purchase: SamPurchase, terminal_sequence: int) -> bool:
        """Whether it is still this purchase whose MAC2 the SAM awaits."""
        return self._awaiting == (purchase.pack(), terminal_sequence)

    def _follow(self, command: Apdu, answer: Answer) -> None:
        if command.code == Instruction.INIT_SAM_FOR_PURCHASE:
            begun = answer.word == StatusWord.DONE and len(command.data) == PURCHASE_BYTES
            sequence = int.from_bytes(answer.data[:4], "big")
            self._awaiting = (command.data, sequence) if begun else None
        elif command.code == Instruction.CREDIT_SAM_FOR_PURCHASE:
            self._awaiting = None
