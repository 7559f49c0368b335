"""The SAM as a chip: keys in components, numbers that are never used twice, MACs as the network HSM makes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card.chip import sam
from card.chip.apdu import Apdu
from card.chip.keys import SUITES
from card.chip.phases import SAM_LEGAL, SamPhase
from card.chip.sam import SamPurchase
from card.chip.sam_chip import SamState, VirtualSam, sam_from_json, sam_to_json
from card.chip.status import is_legal
from card.hsm.client import Hsm
from card.hsm.codec import CardKeyRef
from tests.support.slots import FIRST_CUSTODIAN, sam_in_service

GATE = "518000000001"
INIT = bytes.fromhex(
    "8070 0000 24 11223344 0036 000000C8 06 20260131164329 01 00 4870000000001234 01011000FFFFFFFF 08"
)
CREDIT = bytes.fromhex("8072000004512929DF")


def worked_sam() -> VirtualSam:
    """In service, the number before that of the worked example used last."""
    state = sam_in_service(GATE).state
    return sam_in_service(GATE, SamState(state.terminal, 0x56, state.keys))


def hexed(chip: VirtualSam, *commands: bytes) -> list[str]:
    return [chip.transmit(command).hex().upper() for command in commands]


def test_the_worked_purchase_gives_its_mac1_and_takes_its_mac2() -> None:
    assert hexed(worked_sam(), INIT, CREDIT, CREDIT) == ["00000057ECE053099000", "9000", "6901"]


def test_a_wrong_mac2_is_refused_and_ends_the_purchase() -> None:
    assert hexed(worked_sam(), INIT, sam.credit_purchase(bytes(4)), CREDIT)[1:] == ["9302", "6901"]


@pytest.mark.parametrize("algorithm", SUITES)
def test_it_makes_the_macs_that_the_hsm_makes_from_the_same_root(city_hsm: Hsm, algorithm: int) -> None:
    keys = CardKeyRef.of("01011000", "03104870000000001234", 1, algorithm=algorithm)
    moment = bytes.fromhex("20260131164329")
    purchase = SamPurchase(b"\1\2\3\4", 7, 250, 9, moment, 1, algorithm, keys.card, keys.issuer)
    answer = sam_in_service(GATE).transmit(sam.init_purchase(purchase))
    sequence, mac1 = int.from_bytes(answer[:4], "big"), answer[4:8]
    assert mac1 == city_hsm.purchase_mac1(
        keys, rnd=purchase.rnd, counter=7, amount_fen=250, kind=9, terminal=bytes.fromhex(GATE), moment=moment,
        terminal_sequence=sequence,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (bytes.fromhex("00B0960006"), GATE + "9000"),
        (bytes.fromhex("00B0970001"), "019000"),
        (bytes.fromhex("00B0960007"), "6C06"),
        (bytes.fromhex("00B0960106"), "6B00"),
        (bytes.fromhex("00B0990006"), "6A82"),
        (bytes.fromhex("00B096000411223344"), "6700"),
        (b"", "6700"),
        (bytes.fromhex("84700000"), "6E00"),
        (bytes.fromhex("80FF0000"), "6D00"),
        (bytes.fromhex("8070010000"), "6A86"),
        (bytes.fromhex("80700000041122334408"), "6700"),
        (CREDIT, "6901"),
        (INIT[:23] + b"\x09" + INIT[24:], "6A88"),
        (INIT[:24] + b"\x02" + INIT[25:], "6A81"),
        (sam.load_component(FIRST_CUSTODIAN, key_version=1, algorithm=0), "6901"),
        (sam.activate(bytes(6)), "6901"),
    ],
)
def test_a_sam_in_service_answers_as_listed(command: bytes, word: str) -> None:
    assert hexed(worked_sam(), command) == [word]


def test_a_key_of_one_component_does_not_go_into_service() -> None:
    chip = VirtualSam(SamState(), lambda _: None)
    alone = sam.load_component(FIRST_CUSTODIAN, key_version=1, algorithm=0)
    activate = sam.activate(bytes.fromhex(GATE))
    assert hexed(chip, activate, alone, activate)[::2] == ["6985", "6985"]
    assert hexed(chip, alone, activate)[1][-4:] == "9000"
    assert chip.phase is SamPhase.READY


def test_a_sam_that_is_not_in_service_does_nothing_else() -> None:
    chip = VirtualSam(SamState(), lambda _: None)
    assert hexed(chip, INIT, CREDIT, sam.terminal_id()) == ["6985"] * 3


def test_numbers_are_kept_before_mac1_is_made_and_outlive_the_power() -> None:
    kept: list[SamState] = []
    state = sam_in_service(GATE).state
    for expected in (1, 2, 3):
        chip = VirtualSam(state, kept.append)
        assert int.from_bytes(chip.transmit(INIT)[:4], "big") == expected == kept[-1].sequence
        state = sam_from_json(sam_to_json(kept[-1]))
    last = SamState(state.terminal, 0xFFFFFFFF, state.keys)
    assert hexed(VirtualSam(last, kept.append), INIT) == ["9402"]


def test_no_mac1_leaves_a_sam_that_cannot_keep_its_number() -> None:
    def broken(state: SamState) -> None:
        raise OSError("no space left")

    chip = VirtualSam(sam_in_service(GATE).state, broken)
    with pytest.raises(OSError, match="no space"):
        chip.transmit(INIT)
    assert chip.phase is SamPhase.READY and chip.state.sequence == 0


def test_power_off_forgets_the_purchase_begun() -> None:
    chip = worked_sam()
    chip.transmit(INIT)
    chip.reset()
    assert hexed(chip, CREDIT) == ["6901"]


def test_power_off_ends_a_ceremony_and_nothing_of_it_is_left() -> None:
    """Else the first custodian, who begins again, would take the component out of the key."""
    kept: list[SamState] = []
    chip = VirtualSam(SamState(), kept.append)
    alone = sam.load_component(FIRST_CUSTODIAN, key_version=1, algorithm=0)
    chip.transmit(alone)
    chip.reset()
    assert kept[-1] == chip.state == SamState()
    assert hexed(chip, alone, sam.activate(bytes.fromhex(GATE)))[1] == "6985"


def test_a_purchase_begun_outlives_a_command_of_a_wrong_form() -> None:
    wrong = (bytes.fromhex("8070010000"), bytes.fromhex("80700000041122334408"))
    assert hexed(worked_sam(), INIT, *wrong, CREDIT)[1:] == ["6A86", "6700", "9000"]


NEAR = st.builds(
    lambda head, data, le: Apdu(head[0], head[1], head[2], head[3], data, le).pack(),
    st.sampled_from([(0x80, 0x70, 0, 0), (0x80, 0x72, 0, 0), (0x80, 0xF4, 1, 0), (0x80, 0xF6, 0, 0),
                     (0x00, 0xB0, 0x96, 0), (0x80, 0xF4, 0, 3)]),
    st.sampled_from([0, 4, 6, 16, 36]).flatmap(lambda width: st.binary(min_size=width, max_size=width)),
    st.none() | st.integers(1, 256),
)  # fmt: skip


@given(st.lists(NEAR | st.just(INIT) | st.binary(max_size=44), max_size=20), st.booleans())
def test_only_legal_words_come_out_and_a_sam_in_service_keeps_its_keys(
    commands: list[bytes], in_service: bool
) -> None:
    chip = worked_sam() if in_service else VirtualSam(SamState(), lambda _: None)
    for command in commands:
        before, phase = chip.state, chip.phase
        answer = chip.transmit(command)
        assert is_legal(int.from_bytes(answer[-2:], "big"))
        assert chip.state.sequence - before.sequence in (0, 1)
        if phase is not SamPhase.EMPTY:
            assert chip.state.keys == before.keys and chip.state.terminal == before.terminal


def test_every_phase_of_the_sam_is_in_the_state_table() -> None:
    assert set(SAM_LEGAL) == set(SamPhase)
