"""The HSM-backed SAM: a SAM's APDUs, and numbers that are never used twice."""

from pathlib import Path

import pytest

from card.chip import sam as sam_commands
from card.chip.sam import SamPurchase
from card.hsm.client import Hsm
from terminals.outbox import Outbox
from terminals.reader import SamGone
from terminals.sam import HsmSam
from terminals.shelf import MAX_TERMINAL_SEQUENCE
from tests.terminals.depot import GATE

INIT = bytes.fromhex(
    "8070 0000 24 11223344 0036 000000C8 06 20260131164329 01 00 4870000000001234 01011000FFFFFFFF 08"
)
"""The worked purchase."""


def init_with(offset: int, value: str) -> bytes:
    raw = bytearray(INIT)
    raw[5 + offset : 5 + offset + len(value) // 2] = bytes.fromhex(value)
    return bytes(raw)


@pytest.fixture
def sam(hsm: Hsm, outbox: Outbox) -> HsmSam:
    outbox.advance_sequence(GATE, 0x56)
    return HsmSam(GATE, hsm, outbox)


def test_the_worked_purchase_gives_its_mac1_and_takes_its_mac2(sam: HsmSam) -> None:
    assert sam.transmit(INIT).hex().upper() == "00000057ECE053099000"
    assert sam.transmit(bytes.fromhex("8072000004512929DF")).hex() == "9000"
    assert sam.transmit(bytes.fromhex("8072000004512929DF")).hex() == "6901"


def test_a_wrong_mac2_is_refused_and_ends_the_purchase(sam: HsmSam) -> None:
    sam.transmit(INIT)
    assert sam.transmit(sam_commands.credit_purchase(b"\0\0\0\0")).hex() == "9302"
    assert sam.transmit(bytes.fromhex("8072000004512929DF")).hex() == "6901"


def test_a_purchase_that_could_not_begin_ends_the_one_before(sam: HsmSam) -> None:
    sam.transmit(INIT)
    assert sam.transmit(init_with(18, "09")).hex() == "6a88"
    assert sam.transmit(bytes.fromhex("8072000004512929DF")).hex() == "6901"


def test_it_tells_its_terminal_number_and_key_index(sam: HsmSam) -> None:
    assert sam.transmit(sam_commands.terminal_id()).hex() == GATE + "9000"
    assert sam.transmit(sam_commands.key_index()).hex() == "019000"


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("", "6700"),
        ("80", "6700"),
        ("00B0960007", "6c06"),
        ("00B0960106", "6b00"),
        ("00B0990006", "6a82"),
        ("00B096000411223344", "6700"),
        ("0070000000", "6e00"),
        ("8050000000", "6d00"),
        ("8070010000", "6a86"),
        ("80700000041122334408", "6700"),
        ("8072000004512929DF", "6901"),
        (init_with(18, "09").hex(), "6a88"),
        (init_with(19, "02").hex(), "6a81"),
    ],
)
def test_what_it_cannot_do_is_refused_by_a_status_word(sam: HsmSam, command: str, word: str) -> None:
    assert sam.transmit(bytes.fromhex(command)).hex() == word


def test_a_mac2_of_a_wrong_length_is_refused_and_the_purchase_goes_on(sam: HsmSam) -> None:
    sam.transmit(INIT)
    assert sam.transmit(bytes.fromhex("8072000003512929")).hex() == "6700"
    assert sam.transmit(bytes.fromhex("8072000004512929DF")).hex() == "9000"


def test_numbers_rise_over_restarts_and_are_each_terminals_own(hsm: Hsm, tmp_path: Path) -> None:
    path, given = tmp_path / "outbox.db", []
    for _ in range(3):
        with Outbox(path) as outbox:  # nothing but the file survives
            for terminal in (GATE, GATE, "518000000002"):
                answer = HsmSam(terminal, hsm, outbox).transmit(INIT)
                given.append((terminal[-1], int.from_bytes(answer[:4], "big")))
    assert [number for terminal, number in given if terminal == "1"] == [1, 2, 3, 4, 5, 6]
    assert [number for terminal, number in given if terminal == "2"] == [1, 2, 3]


def test_an_exhausted_counter_ends_the_sam(sam: HsmSam, outbox: Outbox) -> None:
    outbox.advance_sequence(GATE, MAX_TERMINAL_SEQUENCE - 1)
    assert sam.transmit(INIT)[:4] == b"\xff\xff\xff\xff"
    assert sam.transmit(INIT).hex() == "9402"


def test_an_unreachable_hsm_is_a_missing_sam_and_uses_up_a_number(outbox: Outbox) -> None:
    with Hsm("127.0.0.1", 1, timeout_s=0.5) as nobody, pytest.raises(SamGone, match="see that the HSM runs"):
        HsmSam(GATE, nobody, outbox).transmit(INIT)
    assert outbox.take_sequence(GATE) == 2


def test_an_earlier_purchase_can_be_resumed(sam: HsmSam) -> None:
    sam.transmit(INIT)
    sam.transmit(INIT)
    assert sam.resume(SamPurchase.unpack(INIT[5:-1]), 0x57)
    assert sam.transmit(bytes.fromhex("8072000004512929DF")).hex() == "9000"


@pytest.mark.parametrize("terminal", ["", "5180", "zz8000000001"])
def test_a_terminal_number_is_12_hex_characters(terminal: str, hsm: Hsm, outbox: Outbox) -> None:
    with pytest.raises(ValueError, match="hex"):
        HsmSam(terminal, hsm, outbox)
