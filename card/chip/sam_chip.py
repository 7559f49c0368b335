"""A SAM as a chip of its own: bytes in, bytes out. Its keys come in as components and never come out again.

Every custodian brings one component and sees its check value; the key is their exclusive or, so that none of
them knows it. A key of fewer than two components does not go into service. What a purchase uses up, the
terminal's transaction number, is kept before MAC1 is made, so that it is never used twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from card.chip import keys as crypto
from card.chip.apdu import Answer, Apdu, ApduError, Instruction
from card.chip.keys import KEY_BYTES, MAC_BYTES, SUITES, Order
from card.chip.phases import SamPhase, admitted, unknown
from card.chip.sam import PURCHASE_BYTES, TERMINAL_BYTES, SamPurchase
from card.chip.status import StatusWord, right_length_is

KEY_INDEX = 1
FEWEST_COMPONENTS = 2
MAX_TERMINAL_SEQUENCE = 0xFFFFFFFF
_TERMINAL_ID, _KEY_INDEX = 0x96, 0x97


@dataclass(frozen=True, slots=True)
class SamKey:
    """A root of purchase keys, as far as it has come in: the exclusive or of so many components."""

    version: int
    algorithm: int
    components: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SamState:
    """A SAM's memory. `terminal` is empty until it goes into service; `sequence` is the number used last."""

    terminal: bytes = b""
    sequence: int = 0
    keys: tuple[SamKey, ...] = ()

    def key(self, version: int, algorithm: int) -> SamKey | None:
        """The key of that version and algorithm; version 0 means the newest."""
        fits = [key for key in self.keys if key.algorithm == algorithm and version in (0, key.version)]
        return max(fits, key=lambda key: key.version, default=None)


def sam_to_json(state: SamState) -> dict[str, Any]:
    """The SAM's memory as a document of JSON values. It holds keys: the chip's own memory is the place for it."""
    keys = [[key.version, key.algorithm, key.components, key.key.hex()] for key in state.keys]
    return {"terminal": state.terminal.hex(), "sequence": state.sequence, "keys": keys}


def sam_from_json(document: Mapping[str, Any]) -> SamState:
    """Read back what `sam_to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    keys = tuple(
        SamKey(version, algorithm, components, bytes.fromhex(key))
        for version, algorithm, components, key in document["keys"]
    )
    return SamState(bytes.fromhex(document["terminal"]), int(document["sequence"]), keys)


class VirtualSam:
    """A SAM in a terminal's slot. `keep` makes a new state durable before anything is answered by it."""

    def __init__(self, state: SamState, keep: Callable[[SamState], None]) -> None:
        self._state = state
        self._keep = keep
        self._awaiting: bytes | None = None
        self._issuer: tuple[SamKey, bytes, bytes] | None = None
        self._handlers: Mapping[int, Callable[[Apdu], Answer]] = {
            Instruction.READ_BINARY: self._read,
            Instruction.INIT_SAM_FOR_PURCHASE: self._init_purchase,
            Instruction.CREDIT_SAM_FOR_PURCHASE: self._credit_purchase,
            Instruction.LOAD_COMPONENT: self._load_component,
            Instruction.ACTIVATE_SAM: self._activate,
        }

    @property
    def state(self) -> SamState:
        """What the SAM remembers."""
        return self._state

    @property
    def phase(self) -> SamPhase:
        """Where in the state table the SAM stands."""
        if not self._state.terminal:
            return SamPhase.EMPTY
        return SamPhase.READY if self._awaiting is None else SamPhase.AWAITING_MAC2

    def reset(self) -> None:
        """Power off and on again: a purchase begun is forgotten, its number stays used.

        So is a ceremony that was broken off: a component entered twice would take itself out of the key.
        Raises what `keep` raises.
        """
        self._awaiting = self._issuer = None
        if self.phase is SamPhase.EMPTY and self._state.keys:
            self._put(replace(self._state, keys=()))

    def transmit(self, apdu: bytes) -> bytes:
        """Do one command, or refuse it by a status word. Raises only what `keep` raises."""
        try:
            command = Apdu.unpack(apdu)
        except ApduError:
            return Answer(b"", StatusWord.WRONG_LENGTH).pack()
        handler = self._handlers.get(command.code)
        if handler is None:
            return Answer(b"", unknown(command)).pack()
        word = admitted(self.phase, Instruction(command.code))
        return (handler(command) if word == StatusWord.DONE else Answer(b"", word)).pack()

    def _read(self, command: Apdu) -> Answer:
        return read_sam(command, self._state.terminal)

    def _init_purchase(self, command: Apdu) -> Answer:
        """INIT_SAM_FOR_PURCHASE: the next transaction number and MAC1."""
        if command.p1 or command.p2:
            return Answer(b"", StatusWord.WRONG_P1_P2)
        if len(command.data) != PURCHASE_BYTES:
            return Answer(b"", StatusWord.WRONG_LENGTH)
        self._awaiting = None
        purchase = SamPurchase.unpack(command.data)
        suite = SUITES.get(purchase.algorithm)
        if suite is None:
            return Answer(b"", StatusWord.FUNCTION_NOT_SUPPORTED)
        root = self._state.key(purchase.key_version, purchase.algorithm)
        if root is None:
            return Answer(b"", StatusWord.KEY_NOT_FOUND)
        if self._state.sequence >= MAX_TERMINAL_SEQUENCE:
            return Answer(b"", StatusWord.COUNTER_EXHAUSTED)
        self._put(replace(self._state, sequence=self._state.sequence + 1))
        card_key = suite.derived(self._issuer_key(root, purchase.issuer_factor), purchase.card_factor)
        session = crypto.purchase_session(
            suite, card_key, rnd=purchase.rnd, sequence=purchase.sequence,
            terminal_sequence=self._state.sequence,
        )  # fmt: skip
        order = Order(purchase.kind, purchase.amount_fen, self._state.terminal)
        self._awaiting = crypto.purchase_mac2(suite, session, purchase.amount_fen)
        mac1 = crypto.purchase_mac1(suite, session, order, purchase.moment)
        return Answer(self._state.sequence.to_bytes(4, "big") + mac1, StatusWord.DONE)

    def _issuer_key(self, root: SamKey, factor: bytes) -> bytes:
        """The root's child for an issuer; most cards are of the issuer that the last one was of."""
        if self._issuer is None or self._issuer[:2] != (root, factor):
            self._issuer = root, factor, SUITES[root.algorithm].derived(root.key, factor)
        return self._issuer[2]

    def _credit_purchase(self, command: Apdu) -> Answer:
        """CREDIT_SAM_FOR_PURCHASE: is MAC2 that of the purchase begun? Whatever the answer, that is over."""
        if command.p1 or command.p2:
            return Answer(b"", StatusWord.WRONG_P1_P2)
        if len(command.data) != MAC_BYTES or self._awaiting is None:
            return Answer(b"", StatusWord.WRONG_LENGTH)
        right = crypto.same_mac(self._awaiting, command.data)
        self._awaiting = None
        return Answer(b"", StatusWord.DONE if right else StatusWord.MAC_WRONG)

    def _load_component(self, command: Apdu) -> Answer:
        """LOAD COMPONENT: P1 version, P2 algorithm, 16 bytes; the component's check value comes back."""
        suite = SUITES.get(command.p2)
        if suite is None or command.p1 == 0:
            return Answer(b"", StatusWord.WRONG_P1_P2)
        if len(command.data) != KEY_BYTES:
            return Answer(b"", StatusWord.WRONG_LENGTH)
        so_far = next((key for key in self._state.keys if (key.version, key.algorithm) ==
                       (command.p1, command.p2)), SamKey(command.p1, command.p2, 0, bytes(KEY_BYTES)))  # fmt: skip
        combined = bytes(ours ^ theirs for ours, theirs in zip(so_far.key, command.data, strict=True))
        others = tuple(key for key in self._state.keys if key is not so_far)
        grown = replace(so_far, components=so_far.components + 1, key=combined)
        self._put(replace(self._state, keys=(*others, grown)))
        return Answer(suite.check_value(command.data), StatusWord.DONE)

    def _activate(self, command: Apdu) -> Answer:
        """ACTIVATE SAM: the terminal's number; the check values of its keys come back, in their order."""
        if command.p1 or command.p2:
            return Answer(b"", StatusWord.WRONG_P1_P2)
        if len(command.data) != TERMINAL_BYTES:
            return Answer(b"", StatusWord.WRONG_LENGTH)
        keys = self._state.keys
        if not keys or any(key.components < FEWEST_COMPONENTS for key in keys):
            return Answer(b"", StatusWord.CONDITIONS_NOT_SATISFIED)
        self._put(replace(self._state, terminal=command.data))
        checks = (SUITES[key.algorithm].check_value(key.key) for key in keys)
        return Answer(b"".join(checks), StatusWord.DONE)

    def _put(self, state: SamState) -> None:
        self._keep(state)
        self._state = state


def read_sam(command: Apdu, terminal: bytes) -> Answer:
    """READ BINARY of a SAM: the terminal's number, and the index of the purchase key to ask cards for."""
    data = {_TERMINAL_ID: terminal, _KEY_INDEX: bytes((KEY_INDEX,))}.get(command.p1)
    if data is None:
        return Answer(b"", StatusWord.FILE_NOT_FOUND)
    if command.p2 or command.data:
        return Answer(b"", StatusWord.OFFSET_OUTSIDE if command.p2 else StatusWord.WRONG_LENGTH)
    if command.le not in (len(data), 256):
        return Answer(b"", right_length_is(len(data)))
    return Answer(data, StatusWord.DONE)
