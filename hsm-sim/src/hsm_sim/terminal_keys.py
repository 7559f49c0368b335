"""The keys of online terminals: a master key each, working keys under it, and the MACs of their messages."""

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from hsm_sim.box import Answer, Box, cmac, compared, is_message, is_name
from hsm_sim.epurse import check_value, exclusive_or, triple_des
from hsm_sim.keys import Usage, aes_check_value
from hsm_sim.wire import ErrorCode

WORKING_KEY_BYTES = 16

_BLOCK = 8


def working_key(box: Box, *, version: bytes, terminal: bytes) -> Answer:
    """I0: a new random 3DES key, wrapped for the terminal and for the host, and its check value."""
    if not is_name(terminal):
        return ErrorCode.VALUE_IMPOSSIBLE
    number, master = _master_key(box, version, terminal)
    host = box.keys.find(Usage.WORKING, 0)
    if master is None or host is None:
        return ErrorCode.KEY_UNKNOWN
    key = bytes(map(odd_parity, box.random(WORKING_KEY_BYTES)))
    return bytes((number,)) + aes_key_wrap(master, key) + aes_key_wrap(host, key) + check_value(key)


def terminal_mac(box: Box, *, block: bytes, message: bytes) -> Answer:
    """I2: the retail MAC of a message under the working key of the host's block."""
    if not is_message(message):
        return ErrorCode.LENGTH_WRONG
    key = _opened(box, block)
    return key if isinstance(key, ErrorCode) else retail_mac(key, message)


def verify_terminal_mac(box: Box, *, block: bytes, mac: bytes, message: bytes) -> Answer:
    """I4: whether the holder of that working key made this MAC over this message."""
    made = terminal_mac(box, block=block, message=message)
    return compared(made, mac) if isinstance(made, bytes) else made


def terminal_master_key(box: Box, *, version: bytes, transport_version: bytes, terminal: bytes) -> Answer:
    """I6: a terminal's master key wrapped for its enrolment, and its check value."""
    if not is_name(terminal):
        return ErrorCode.VALUE_IMPOSSIBLE
    number, master = _master_key(box, version, terminal)
    transport = box.keys.find(Usage.TRANSPORT, transport_version[0])
    if master is None or transport is None:
        return ErrorCode.KEY_UNKNOWN
    return bytes((number,)) + aes_key_wrap(transport, master) + aes_check_value(master)


def retail_mac(key: bytes, message: bytes) -> bytes:
    """ISO 9797-1 algorithm 3 (ANSI X9.19) with DES, padding method 1 (zeros), 8 bytes; `key` has 16."""
    padded = message + bytes(-len(message) % _BLOCK)
    # Three times the same key makes 3DES into DES.
    single = Cipher(TripleDES(key[:_BLOCK] * 3), modes.CBC(bytes(_BLOCK))).encryptor()
    chained = single.update(padded[:-_BLOCK])[-_BLOCK:] or bytes(_BLOCK)
    return triple_des(key, exclusive_or(chained, padded[-_BLOCK:]))


def _master_key(box: Box, version: bytes, terminal: bytes) -> tuple[int, bytes | None]:
    number = version[0] or box.keys.newest(Usage.TERMINAL_MASTER)
    root = box.keys.find(Usage.TERMINAL_MASTER, number)
    return number, None if root is None else cmac(root, terminal)


def _opened(box: Box, block: bytes) -> bytes | ErrorCode:
    """The working key of a host's block, whichever version of the host's key it was wrapped under."""
    versions = box.keys.versions(Usage.WORKING)
    for version in reversed(versions):
        try:
            return aes_key_unwrap(box.keys.slots[Usage.WORKING, version], block)
        except InvalidUnwrap:
            continue
    return ErrorCode.VERIFICATION_FAILED if versions else ErrorCode.KEY_UNKNOWN


def odd_parity(byte: int) -> int:
    """DES keys carry odd parity in the last bit of each byte; terminals may insist on it."""
    return byte if byte.bit_count() & 1 else byte ^ 1
