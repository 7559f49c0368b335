"""What a terminal speaks through: a card in its field, the SAM in its slot."""

from typing import Protocol

from card.chip.sam import SamPurchase


class CardGone(Exception):
    """The card left the field before it answered: what it last did is not known."""


class SamGone(Exception):
    """The SAM does not answer; the message says why and what to do."""


class Transmits(Protocol):
    """Anything that takes a command APDU and gives the answer, data and status word."""

    def transmit(self, apdu: bytes) -> bytes:
        """Raises CardGone where no answer came."""
        ...


class Sam(Protocol):
    """A SAM as the validator uses it."""

    def transmit(self, apdu: bytes) -> bytes:
        """Raises SamGone where no answer came."""
        ...

    def resume(self, purchase: SamPurchase, terminal_sequence: int) -> bool:
        """Await the MAC2 of an earlier purchase of this terminal; False: this SAM only knows its last one."""
        ...
