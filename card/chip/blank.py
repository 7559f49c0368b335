"""A blank chip, before it is anybody's: it takes STORE DATA and becomes a card.

Every block is one data group, `identifier 2 | length 1 | value`, in the manner of EMV's common personalisation;
the identifiers are this project's own. Keys come as the HSM wrapped them, under the transport key that the
chip left its factory with. The last block makes a card of it, or is refused and changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from card.chip.apdu import Answer, Apdu, ApduError, Instruction
from card.chip.files import MASTER_FILE, FileError, PublicData, Region
from card.chip.keys import SUITES, CardKeys, KeysUnreadable, unwrap_card_keys
from card.chip.phases import Phase, admitted, unknown
from card.chip.state import CardState, new_state
from card.chip.status import StatusWord

LAST_BLOCK = 0x80


class Group(IntEnum):
    """What a data group holds."""

    PUBLIC = 0x0101
    REGION = 0x0102
    PURSE = 0x0103
    KEYS = 0x8201
    AUTHENTICATION_KEY = 0x8202


WIDTHS: Mapping[int, int] = {Group.PUBLIC: 30, Group.REGION: 11, Group.PURSE: 5, Group.KEYS: 56,
                             Group.AUTHENTICATION_KEY: 24}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Issue:
    """All that makes a chip somebody's card: what stands on it, and its keys as the HSM wrapped them."""

    state: CardState
    wrapped_keys: bytes = field(repr=False)
    wrapped_authentication: bytes = field(repr=False)

    def keys(self, transport_key: bytes) -> CardKeys:
        """The keys themselves. Raises KeysUnreadable."""
        return unwrap_card_keys(self.wrapped_keys, transport_key, self.wrapped_authentication)


class BlankChip:
    """A chip that waits for its data. `become` is given the card that it turns into, once it has them all."""

    def __init__(self, transport_key: bytes, become: Callable[[Issue], None]) -> None:
        self._transport_key = transport_key
        self._become = become
        self._groups: dict[int, bytes] = {}

    def reset(self) -> None:
        """Power off and on again: what was stored so far is gone."""
        self._groups = {}

    def transmit(self, apdu: bytes) -> bytes:
        """Do one command, or refuse it by a status word. Raises only what `become` raises."""
        try:
            command = Apdu.unpack(apdu)
        except ApduError:
            return Answer(b"", StatusWord.WRONG_LENGTH).pack()
        return Answer(b"", self._judged(command)).pack()

    def _judged(self, command: Apdu) -> int:
        if command.code not in list(Instruction):
            return unknown(command)
        word = admitted(Phase.BLANK, Instruction(command.code))
        if word != StatusWord.DONE:
            return word
        if command.code == Instruction.SELECT:
            at_master_file = command.p1 == 0 and command.data == MASTER_FILE
            return StatusWord.DONE if at_master_file else StatusWord.FILE_NOT_FOUND
        if command.p1 not in (0x00, LAST_BLOCK) or command.p2:
            return StatusWord.WRONG_P1_P2
        return self._store(command.data, last=command.p1 == LAST_BLOCK)

    def _store(self, block: bytes, *, last: bool) -> int:
        identifier, value = int.from_bytes(block[:2], "big"), block[3:]
        if len(block) < 3 or block[2] != len(value):
            return StatusWord.WRONG_LENGTH
        if WIDTHS.get(identifier) != len(value):
            return StatusWord.WRONG_DATA
        groups = self._groups | {identifier: value}
        if last:
            if set(groups) != set(WIDTHS):
                return StatusWord.CONDITIONS_NOT_SATISFIED
            issue = _issue(groups)
            if issue is None:
                return StatusWord.WRONG_DATA
            try:
                issue.keys(self._transport_key)
            except KeysUnreadable:
                return StatusWord.MAC_WRONG
            self._become(issue)
        self._groups = groups
        return StatusWord.DONE


def _issue(groups: Mapping[int, bytes]) -> Issue | None:
    purse = groups[Group.PURSE]
    limit_fen, key_version, algorithm = int.from_bytes(purse[:3], "big"), purse[3], purse[4]
    try:
        public, region = PublicData.unpack(groups[Group.PUBLIC]), Region.unpack(groups[Group.REGION])
    except FileError:
        return None
    if algorithm not in SUITES or key_version == 0:
        return None
    # A purse that may be overdrawn can spend its limit from the first day.
    state = new_state(
        public, region=region, balance_fen=limit_fen, overdraft_limit_fen=limit_fen, key_version=key_version,
        algorithm=algorithm,
    )  # fmt: skip
    return Issue(state, groups[Group.KEYS], groups[Group.AUTHENTICATION_KEY])


def store_data(identifier: Group, value: bytes, *, last: bool = False) -> bytes:
    """STORE DATA of one group."""
    block = identifier.to_bytes(2, "big") + bytes((len(value),)) + value
    return Apdu(0x80, 0xE2, LAST_BLOCK if last else 0x00, 0x00, block).pack()
