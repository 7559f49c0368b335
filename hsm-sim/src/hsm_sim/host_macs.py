"""M6 and M8: MACs made and verified under hosts' keys, each by the algorithm that its usage names."""

from hsm_sim.box import Answer, Box, cmac, compared, is_message
from hsm_sim.host_blocks import CMAC, RETAIL_MAC, HostKey, opened
from hsm_sim.host_fields import UNDER_LMK, HostFields, chosen
from hsm_sim.terminal_keys import retail_mac
from hsm_sim.wire import ErrorCode

_SIZES = {"0": 4, "1": 8, "2": 16}
_LONGEST = {RETAIL_MAC: "1", CMAC: "2"}


def generate_mac(box: Box, *, fields: bytes) -> Answer:
    """M6: the left 4, 8 or 16 bytes of the MAC of a message, in hex."""
    read = HostFields(fields)
    block, size = read.block(UNDER_LMK), _size(read)
    message = _message(read)
    if not is_message(message):
        return ErrorCode.LENGTH_WRONG
    found = opened(box, block, usages=_LONGEST, modes_of_use="CG")
    return _mac(found, size, message).hex().upper().encode("ascii")


def verify_mac(box: Box, *, fields: bytes) -> Answer:
    """M8: whether that is the MAC of the message."""
    read = HostFields(fields)
    block, size = read.block(UNDER_LMK), _size(read)
    given, message = read.packed(_SIZES[size]), _message(read)
    if not is_message(message):
        return ErrorCode.LENGTH_WRONG
    found = opened(box, block, usages=_LONGEST, modes_of_use="CV")
    return compared(_mac(found, size, message), given)


def _size(read: HostFields) -> str:
    return chosen(read.text(1), _SIZES.__contains__, ErrorCode.VALUE_IMPOSSIBLE)


def _message(read: HostFields) -> bytes:
    message = read.raw(read.hex_number(4))
    read.end()
    return message


def _mac(found: HostKey, size: str, message: bytes) -> bytes:
    chosen(size, lambda asked: asked <= _LONGEST[found.header.usage], ErrorCode.VALUE_IMPOSSIBLE)
    made = cmac if found.header.usage == CMAC else retail_mac
    return made(found.key, message)[: _SIZES[size]]
