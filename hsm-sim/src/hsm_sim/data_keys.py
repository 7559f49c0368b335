"""Envelope encryption: data keys that the host uses in its memory and keeps only wrapped."""

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from hsm_sim.box import Answer, Box
from hsm_sim.keys import Usage
from hsm_sim.wire import ErrorCode

DATA_KEY_BYTES = 32


def new_data_key(box: Box, *, version: bytes) -> Answer:
    """H0: a new random data key, clear for use and wrapped for keeping (RFC 3394)."""
    number = version[0] or box.keys.newest(Usage.DATA)
    master = box.keys.find(Usage.DATA, number)
    if master is None:
        return ErrorCode.KEY_UNKNOWN
    key = box.random(DATA_KEY_BYTES)
    return bytes((number,)) + key + aes_key_wrap(master, key)


def open_data_key(box: Box, *, version: bytes, wrapped: bytes) -> Answer:
    """H2: the data key that H0 wrapped under this version."""
    master = box.keys.find(Usage.DATA, version[0])
    if master is None:
        return ErrorCode.KEY_UNKNOWN
    try:
        return aes_key_unwrap(master, wrapped)
    except InvalidUnwrap:
        return ErrorCode.VERIFICATION_FAILED
