"""A blank chip becomes a card by all of its data groups, and by nothing less."""

from datetime import date

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from card.chip import commands as cmd
from card.chip.apdu import Answer
from card.chip.blank import BlankChip, Group, Issue, store_data
from card.chip.files import PublicData, Region
from card.chip.phases import LEGAL, Phase

TRANSPORT = b"A TRANSPORT KEY!"
PUBLIC = PublicData("01011000", "03104870000000001234", 1, date(2026, 1, 1), date(2036, 12, 31))
KEYS, MAINTENANCE = bytes(range(48)), bytes(range(48, 64))
GROUPS = {
    Group.PUBLIC: PUBLIC.pack(),
    Group.REGION: Region().pack(),
    Group.PURSE: bytes.fromhex("0003200101"),
    Group.KEYS: aes_key_wrap(TRANSPORT, KEYS),
    Group.AUTHENTICATION_KEY: aes_key_wrap(TRANSPORT, MAINTENANCE),
}


def stored(groups: dict[Group, bytes], transport: bytes = TRANSPORT) -> tuple[list[str], list[Issue]]:
    """The words to each group, the last of them marked so, and what became of the chip."""
    became: list[Issue] = []
    chip = BlankChip(transport, became.append)
    words = []
    for number, (group, value) in enumerate(groups.items(), 1):
        answer = chip.transmit(store_data(group, value, last=number == len(groups)))
        words.append(f"{Answer.unpack(answer).word:04X}")
    return words, became


def test_all_groups_make_a_card_with_the_keys_that_the_hsm_wrapped() -> None:
    words, (issue,) = stored(GROUPS)
    assert words == ["9000"] * 5
    assert (issue.state.public, issue.state.algorithm) == (PUBLIC.pack(), 1)
    assert (issue.state.purse.balance_fen, issue.state.purse.overdraft_limit_fen) == (800, 800)
    keys = issue.keys(TRANSPORT)
    assert keys.purchase + keys.load + keys.tac == KEYS and keys.authentication == MAINTENANCE


@pytest.mark.parametrize("left_out", list(Group))
def test_a_group_left_out_leaves_the_chip_blank(left_out: Group) -> None:
    words, became = stored({group: value for group, value in GROUPS.items() if group != left_out})
    assert (words[-1], became) == ("6985", [])


@pytest.mark.parametrize(
    ("group", "value", "word"),
    [
        (Group.PUBLIC, bytes(30), "6A80"),
        (Group.PURSE, bytes.fromhex("0000000102"), "6A80"),
        (Group.PURSE, bytes.fromhex("0000000001"), "6A80"),
        (Group.KEYS, bytes(56), "9302"),
        (Group.KEYS, bytes(55), "6A80"),
    ],
)
def test_data_that_make_no_card_leave_the_chip_blank(group: Group, value: bytes, word: str) -> None:
    rest = {name: data for name, data in GROUPS.items() if name != group}
    words, became = stored(rest | {group: value})
    assert (words[-1], became) == (word, [])


def test_keys_wrapped_for_another_chip_are_refused() -> None:
    words, became = stored(GROUPS, b"ANOTHER TRANSPRT")
    assert (words[-1], became) == ("9302", [])


def test_power_off_forgets_the_groups_that_came_so_far() -> None:
    became: list[Issue] = []
    chip = BlankChip(TRANSPORT, became.append)
    first, *others = GROUPS.items()
    chip.transmit(store_data(*first))
    chip.reset()
    for number, (group, value) in enumerate(others, 1):
        answer = chip.transmit(store_data(group, value, last=number == len(others)))
    assert (answer.hex(), became) == ("6985", [])


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (cmd.select(), "6A82"),
        (bytes.fromhex("00A40000023F00"), "9000"),
        (cmd.get_balance(), "6985"),
        (cmd.get_challenge(), "6985"),
        (bytes.fromhex("80FF0000"), "6D00"),
        (bytes.fromhex("FF000000"), "6E00"),
        (b"", "6700"),
        (bytes.fromhex("80E2010000"), "6A86"),
        (bytes.fromhex("80E20000020101"), "6700"),
    ],
)
def test_a_blank_chip_refuses_everything_else(command: bytes, word: str) -> None:
    became: list[Issue] = []
    chip = BlankChip(TRANSPORT, became.append)
    assert chip.transmit(command).hex().upper() == word
    assert not became and len(LEGAL[Phase.BLANK]) == 2
