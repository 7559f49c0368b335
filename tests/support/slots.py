"""Cards and SAMs in the slots of a real reader, and what tests take for granted of both."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from card.chip import sam
from card.chip.keys import SUITES
from card.chip.sam_chip import SamState, VirtualSam
from card.chip.t0 import Inserted
from city.pcsc import PcscReader
from city.vpcd import CONTACT_ATR, CONTACTLESS_ATR, Pulled
from terminals.pcsc import Pcsc, PcscCard

SEEN_S = 5.0
"""How long a card may take to be seen; the reader looks every 0.4 s."""
ROOTS = {
    0: bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"),
    1: bytes.fromhex("0123456789ABCDEFFEDCBA9876543211"),
}
"""The demonstration HSM's roots of purchase keys, by algorithm."""
FIRST_CUSTODIAN = bytes(range(0x51, 0x61))


@dataclass(slots=True)
class PulledCard:
    """A card that is pulled out at one APDU (from 0), before it has done it or after; put in again, it is well."""

    card: Inserted
    at: int | None = None
    after: bool = False
    heard: int = 0

    def reset(self) -> None:
        self.card.reset()

    def transmit(self, apdu: bytes) -> bytes:
        torn = self.heard == self.at
        self.heard += 1
        if torn and not self.after:
            raise Pulled
        answer = self.card.transmit(apdu)
        if torn:
            raise Pulled
        return answer


def sam_in_service(terminal: str, state: SamState | None = None) -> VirtualSam:
    """A SAM whose keys two custodians loaded, in service for a terminal; or one with that memory."""
    made = VirtualSam(state or SamState(), lambda _: None)
    if state is None:
        for algorithm, root in ROOTS.items():
            second = bytes(ours ^ theirs for ours, theirs in zip(root, FIRST_CUSTODIAN, strict=True))
            for component in (FIRST_CUSTODIAN, second):
                answer = made.transmit(sam.load_component(component, key_version=1, algorithm=algorithm))
                assert answer == SUITES[algorithm].check_value(component) + b"\x90\x00"
        assert made.transmit(sam.activate(bytes.fromhex(terminal)))[-2:] == b"\x90\x00"
    return made


def names_of(pcsc: Pcsc) -> tuple[str, str]:
    """The slots of card and SAM as PC/SC names them."""
    first, second = pcsc.readers()
    return first, second


@contextmanager
def in_slot(reader: PcscReader, pcsc: Pcsc, card: Inserted, *, sam: bool = False) -> Iterator[PcscCard]:
    """Put a card in its slot and connect to it over PC/SC, until the block ends."""
    slot, atr, name = reader.card, CONTACTLESS_ATR, names_of(pcsc)[0]
    if sam:
        slot, atr, name = reader.sam, CONTACT_ATR, names_of(pcsc)[1]
    slot.put(card, atr)
    try:
        with pcsc.connect(pcsc.wait_for_card([name], SEEN_S)) as connected:
            yield connected
    finally:
        slot.pull()
        pcsc.wait_for_removal(name, SEEN_S)
