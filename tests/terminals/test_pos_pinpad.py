"""The terminal's keys: opened only by the right key, and the same MACs as the HSM makes."""

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from card.hsm.client import Hsm
from city.processes import RunningHsm
from terminals.pos_pinpad import KeyRefused, PinPad

TRANSPORT, MASTER = bytes(range(16)), bytes(range(16, 32))
WORKING = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
CHECK_VALUE = bytes.fromhex("08D7B4")
"""Published check value of that double-length key: 3DES of zeros begins 08D7B4FB629D0885."""


def pinpad() -> PinPad:
    return PinPad(aes_key_wrap(TRANSPORT, MASTER), TRANSPORT)


def test_a_retail_mac_is_that_of_the_standard() -> None:
    pad = pinpad()
    pad.load(aes_key_wrap(MASTER, WORKING) + CHECK_VALUE)
    # ISO 9797-1 annex, MAC algorithm 3 with DES and padding method 1: "Now is the time for all ".
    assert pad.mac(b"Now is the time for all ").hex().upper() == "A1C72E74EA3FA9B6"
    assert pad.mac(b"Now is the time for it").hex().upper() == "2E2B1428CC78254F"


def test_hsm_and_terminal_make_the_same_mac(city_hsm: Hsm, hsm_process: RunningHsm) -> None:
    key = city_hsm.terminal_working_key("POS00001")
    transport_key = bytes.fromhex(hsm_process.transport_key_file.read_text())
    pad = PinPad(city_hsm.terminal_master_key("POS00001").wrapped, transport_key)
    pad.load(key.for_terminal + key.check_value)
    for length in (1, 7, 8, 9, 15, 16, 17, 300):
        message = bytes(number % 251 for number in range(length))
        mac = pad.mac(message)
        assert city_hsm.terminal_mac(key.block, message) == mac
        assert city_hsm.verify_terminal_mac(key.block, message, mac)
        assert not city_hsm.verify_terminal_mac(key.block, message + b"\1", mac)
        assert pad.made(message, mac)
        assert not pad.made(message, bytes(8))


def test_what_is_not_the_key_is_refused() -> None:
    with pytest.raises(KeyRefused, match="terminal master key"):
        PinPad(aes_key_wrap(TRANSPORT, MASTER), MASTER)
    pad = pinpad()
    assert not pad.ready
    with pytest.raises(KeyRefused, match="sign on first"):
        pad.mac(b"1")
    for key in (aes_key_wrap(TRANSPORT, WORKING) + CHECK_VALUE, b"", bytes(27)):
        with pytest.raises(KeyRefused, match="does not open"):
            pad.load(key)
    with pytest.raises(KeyRefused, match="check value"):
        pad.load(aes_key_wrap(MASTER, WORKING) + bytes(3))
    assert not pad.ready
