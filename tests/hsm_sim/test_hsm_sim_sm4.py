"""The national suite: SM4 by the standard's own vectors, and the e-purse's values walked block by block."""

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from hsm_sim import epurse, sm4
from hsm_sim.box import Answer, Box
from hsm_sim.commands import answer
from hsm_sim.keys import DEMO_KEYS, KeyStore, Usage, demo_keys, sm4_check_value
from hsm_sim.suites import forget_derived_keys
from hsm_sim.wire import ErrorCode, Request
from hypothesis import given
from hypothesis import strategies as st

KEYS = "01 01 01011000FFFFFFFF 4870000000001234"
RND, COUNTER, SEQUENCE = bytes.fromhex("11223344"), bytes.fromhex("0036"), bytes.fromhex("ABCD0057")
DEAL = bytes.fromhex("000000C8 09 518000000001")
MOMENT = bytes.fromhex("20260131 164329")
BOX = Box(demo_keys(), bytes, "0" * 16, "9.9")
ROOTS = (Usage.SM4_PURCHASE_ROOT, Usage.SM4_LOAD_ROOT, Usage.SM4_TAC_ROOT)


def ask(command: str, fields: bytes, box: Box = BOX) -> Answer:
    return answer(box, Request(b"HEAD", command.encode(), bytes.fromhex(KEYS) + fields))


def spread(key: bytes, eight: bytes) -> bytes:
    """`SM4(key, x ‖ ~x)`."""
    return sm4.sm4(key, eight + bytes(0xFF - byte for byte in eight))


def own_key(usage: Usage) -> bytes:
    """The worked card's key from the demo root."""
    issuer_key = spread(DEMO_KEYS[usage], bytes.fromhex("01011000FFFFFFFF"))
    return spread(issuer_key, bytes.fromhex("4870000000001234"))


def chained(key: bytes, message: bytes) -> bytes:
    """The MAC, block by block."""
    state, padded = bytes(16), message + b"\x80"
    padded += bytes(-len(padded) % 16)
    for start in range(0, len(padded), 16):
        mixed = (int.from_bytes(state) ^ int.from_bytes(padded[start : start + 16])).to_bytes(16)
        state = sm4.sm4(key, mixed)
    return state[:4]


def test_the_standards_vectors_come_out() -> None:
    # GB/T 32907-2016, annex A.
    key = block = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    assert sm4.sm4(key, block).hex().upper() == "681EDF34D206965E86B3E94F536E4246"
    assert sm4.sm4(key, block * 3) == sm4.sm4(key, block) * 3


def test_a_check_value_is_the_left_of_encrypted_zeros() -> None:
    key = DEMO_KEYS[Usage.SM4_TAC_ROOT]
    assert sm4_check_value(key) == sm4.sm4(key, bytes(16))[:3]


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=70))
def test_a_mac_is_the_left_of_the_last_block_of_the_chain(key: bytes, message: bytes) -> None:
    assert sm4.mac(key, message) == chained(key, message)


def test_a_purchase_is_authorised_and_proved_in_the_national_suite() -> None:
    session = spread(own_key(Usage.SM4_PURCHASE_ROOT), RND + COUNTER + SEQUENCE[2:])
    assert ask("E0", RND + COUNTER + DEAL + MOMENT + SEQUENCE) == chained(session, DEAL + MOMENT)
    assert ask("E2", RND + COUNTER + SEQUENCE + DEAL[:4] + chained(session, DEAL[:4])) == b""
    tac = chained(own_key(Usage.SM4_TAC_ROOT), DEAL + SEQUENCE + MOMENT)
    assert ask("E6", DEAL + SEQUENCE + MOMENT + tac) == b""


def test_a_load_is_authorised_and_proved_in_the_national_suite() -> None:
    balance, after, deal = bytes.fromhex("00002710"), bytes.fromhex("000027D8"), b"\0\0\0\xc8\2" + DEAL[5:]
    session = spread(own_key(Usage.SM4_LOAD_ROOT), RND + COUNTER + b"\x80\0")
    asked = RND + COUNTER + balance + deal + MOMENT
    assert ask("E4", asked + chained(session, balance + deal)) == chained(session, deal + MOMENT)
    assert ask("E4", asked + bytes(4)) is ErrorCode.VERIFICATION_FAILED
    tac = chained(own_key(Usage.SM4_TAC_ROOT), after + COUNTER + deal + MOMENT)
    assert ask("E8", after + COUNTER + deal + MOMENT + tac) == b""


def test_personalisation_gives_keys_and_check_values_of_the_national_suite() -> None:
    found = ask("F2", b"\1")
    assert isinstance(found, bytes)
    keys = [own_key(usage) for usage in ROOTS]
    assert aes_key_unwrap(DEMO_KEYS[Usage.TRANSPORT], found[1:57]) == b"".join(keys)
    assert found[57:] == b"".join(map(sm4_check_value, keys))


def test_a_cards_challenge_is_answered_under_the_key_it_was_personalised_with() -> None:
    challenge = bytes.fromhex("0011223344556677")
    wrapped = ask("F4", b"\1")
    assert isinstance(wrapped, bytes) and len(wrapped) == 28
    key = aes_key_unwrap(DEMO_KEYS[Usage.TRANSPORT], wrapped[1:25])
    assert key == own_key(Usage.SM4_AUTHENTICATION_ROOT)
    assert wrapped[25:] == sm4_check_value(key)
    assert ask("EA", challenge) == spread(key, challenge)[:8]
    assert ask("EA", challenge[1:]) is ErrorCode.LENGTH_WRONG


@pytest.mark.parametrize("place", range(18, 18 + len(DEAL + SEQUENCE + MOMENT) + 4))
def test_one_bit_changed_anywhere_makes_a_tac_wrong(place: int) -> None:
    tac = chained(own_key(Usage.SM4_TAC_ROOT), DEAL + SEQUENCE + MOMENT)
    changed = bytearray(bytes.fromhex(KEYS) + DEAL + SEQUENCE + MOMENT + tac)
    changed[place] ^= 1
    assert answer(BOX, Request(b"HEAD", b"E6", bytes(changed))) is ErrorCode.VERIFICATION_FAILED


def test_derived_keys_are_kept_ready_until_they_are_forgotten() -> None:
    forget_derived_keys()
    first = ask("F2", b"\1")
    assert sm4.diversify.cache_info().currsize == 6
    assert ask("F2", b"\1") == first
    assert sm4.diversify.cache_info().misses == 6
    forget_derived_keys()
    assert epurse.diversify.cache_info().currsize == sm4.diversify.cache_info().currsize == 0
    assert ask("F2", b"\1") == first


@pytest.mark.parametrize("missing", ROOTS)
def test_a_root_of_one_suite_never_stands_in_for_the_others(missing: Usage) -> None:
    slots = {slot: key for slot, key in demo_keys().slots.items() if slot[0] is not missing}
    without = Box(KeyStore(slots), bytes, "", "")
    assert ask("F2", b"\1", without) is ErrorCode.KEY_UNKNOWN
    international = bytes.fromhex(KEYS.replace("01 01", "01 00", 1)) + b"\1"
    assert isinstance(answer(without, Request(b"HEAD", b"F2", international)), bytes)
