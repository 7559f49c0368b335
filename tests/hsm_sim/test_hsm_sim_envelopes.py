"""Data keys, terminals' keys and MACs, the QR issuer's signatures: by the standards' own words and vectors."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from hsm_sim.box import Answer, Box
from hsm_sim.commands import answer
from hsm_sim.epurse import check_value, triple_des
from hsm_sim.keys import DEMO_KEYS, KeyStore, Usage, demo_keys
from hsm_sim.terminal_keys import retail_mac
from hsm_sim.wire import ErrorCode, Request
from hypothesis import given, settings
from hypothesis import strategies as st

TERMINAL = b"T0000001"


def counting(count: int) -> bytes:
    return bytes(number & 0xFF for number in range(count))


BOX = Box(demo_keys(), counting, "0123456789ABCDEF", "9.9")


def ask(command: str, fields: bytes, box: Box = BOX) -> bytes:
    found = refusal(command, fields, box)
    assert isinstance(found, bytes)
    return found


def refusal(command: str, fields: bytes, box: Box = BOX) -> Answer:
    return answer(box, Request(b"HEAD", command.encode(), fields))


def rotated(usage: Usage) -> Box:
    return Box(demo_keys().with_next_version(usage, lambda count: bytes(count)), counting, "", "")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"Now is the time for all ", "A1C72E74EA3FA9B6"),
        (b"Now is the time for it", "2E2B1428CC78254F"),
    ],
)
def test_the_retail_mac_is_that_of_the_standards_examples(message: bytes, expected: str) -> None:
    # ISO/IEC 9797-1, annex, MAC algorithm 3 with padding method 1.
    key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    assert retail_mac(key, message).hex().upper() == expected


@given(st.binary(min_size=1, max_size=64))
def test_the_retail_mac_of_two_equal_halves_is_a_single_des_mac(message: bytes) -> None:
    half = bytes.fromhex("0123456789ABCDEF")
    chained = bytes(8)
    padded = message + bytes(-len(message) % 8)
    for start in range(0, len(padded), 8):
        block = bytes(a ^ b for a, b in zip(chained, padded[start : start + 8], strict=True))
        chained = triple_des(half * 2, block)
    assert retail_mac(half * 2, message) == chained


def test_a_data_key_opens_to_itself_and_is_wrapped_under_its_own_usage() -> None:
    made = ask("H0", b"\0")
    version, key, wrapped = made[0], made[1:33], made[33:]
    assert (version, key, len(wrapped)) == (1, counting(32), 40)
    assert aes_key_unwrap(DEMO_KEYS[Usage.DATA], wrapped) == key
    assert ask("H2", b"\1" + wrapped) == key


def test_a_data_key_of_an_old_version_still_opens_and_a_changed_one_never() -> None:
    wrapped = ask("H0", b"\0")[33:]
    box = rotated(Usage.DATA)
    assert ask("H0", b"\0", box)[0] == 2
    assert ask("H2", b"\1" + wrapped, box) == counting(32)
    assert refusal("H2", b"\2" + wrapped, box) is ErrorCode.VERIFICATION_FAILED
    for place in range(40):
        changed = wrapped[:place] + bytes((wrapped[place] ^ 1,)) + wrapped[place + 1 :]
        assert refusal("H2", b"\1" + changed) is ErrorCode.VERIFICATION_FAILED


def test_a_working_key_opens_under_the_terminals_master_key_and_makes_the_hosts_macs() -> None:
    enrolled = ask("I6", b"\0\0" + TERMINAL)
    master = aes_key_unwrap(DEMO_KEYS[Usage.TRANSPORT], enrolled[1:25])
    derived = CMAC(AES(DEMO_KEYS[Usage.TERMINAL_MASTER]))
    derived.update(TERMINAL)
    assert master == derived.finalize()
    zeros = CMAC(AES(master))
    zeros.update(bytes(16))
    assert enrolled[25:] == zeros.finalize()[:3]
    made = ask("I0", b"\0" + TERMINAL)
    working = aes_key_unwrap(master, made[1:25])
    assert (made[0], enrolled[0]) == (1, 1)
    assert made[49:] == check_value(working)
    assert all(byte.bit_count() % 2 == 1 for byte in working)
    block = made[25:49]
    mac = ask("I2", block + b"0200 and so on")
    assert mac == retail_mac(working, b"0200 and so on")
    assert ask("I4", block + mac + b"0200 and so on") == b""
    assert refusal("I4", block + mac + b"0210 and so on") is ErrorCode.VERIFICATION_FAILED


def test_a_terminal_cannot_open_the_working_key_of_another() -> None:
    mine, others = (ask("I6", b"\0\0" + name)[1:25] for name in (TERMINAL, b"T0000002"))
    assert mine != others


def test_a_block_outlives_the_rotation_of_the_hosts_key() -> None:
    block = ask("I0", b"\0" + TERMINAL)[25:49]
    box = rotated(Usage.WORKING)
    assert ask("I2", block + b"message", box) == ask("I2", block + b"message")
    newer = ask("I0", b"\0" + TERMINAL, box)[25:49]
    assert newer != block
    assert refusal("I2", newer + b"message") is ErrorCode.VERIFICATION_FAILED


def test_a_terminal_of_an_old_version_gets_working_keys_only_while_versions_overlap() -> None:
    enrolled = ask("I6", b"\1\0" + TERMINAL)
    master = aes_key_unwrap(DEMO_KEYS[Usage.TRANSPORT], enrolled[1:25])
    keys = demo_keys().with_next_version(Usage.TERMINAL_MASTER, bytes, overlap=True)
    made = ask("I0", b"\1" + TERMINAL, Box(keys, counting, "", ""))
    assert (made[0], check_value(aes_key_unwrap(master, made[1:25]))) == (1, made[49:])
    box = rotated(Usage.TERMINAL_MASTER)
    assert ask("I0", b"\0" + TERMINAL, box)[0] == 2
    assert refusal("I0", b"\1" + TERMINAL, box) is ErrorCode.VERSION_OLD
    assert refusal("I6", b"\1\0" + TERMINAL, box) is ErrorCode.VERSION_OLD


@settings(max_examples=20)
@given(st.binary(min_size=1, max_size=300))
def test_a_message_signed_as_the_qr_issuer_verifies_under_its_key_and_no_other(message: bytes) -> None:
    signed, public = ask("G8", b"\0" + message), ask("GA", b"\0")
    assert (signed[0], public[0], len(signed)) == (1, 1, 65)
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(signed[1:], message)
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(ask("G6", b"\0")[1:]).verify(signed[1:], message)


@pytest.mark.parametrize(
    ("command", "fields", "usage"),
    [
        ("G8", b"\0message", Usage.QR_SIGNATURE),
        ("GA", b"\0", Usage.QR_SIGNATURE),
        ("H0", b"\0", Usage.DATA),
        ("H2", bytes(41), Usage.DATA),
        ("I0", b"\0" + TERMINAL, Usage.TERMINAL_MASTER),
        ("I0", b"\0" + TERMINAL, Usage.WORKING),
        ("I2", bytes(24) + b"message", Usage.WORKING),
        ("I6", b"\0\0" + TERMINAL, Usage.TERMINAL_MASTER),
        ("I6", b"\0\0" + TERMINAL, Usage.TRANSPORT),
    ],
)
def test_without_a_key_of_its_usage_a_command_says_so(command: str, fields: bytes, usage: Usage) -> None:
    others = KeyStore({slot: key for slot, key in demo_keys().slots.items() if slot[0] is not usage})
    assert refusal(command, fields, Box(others, counting, "", "")) is ErrorCode.KEY_UNKNOWN
