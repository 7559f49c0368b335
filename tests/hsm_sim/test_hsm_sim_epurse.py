"""The e-purse's cryptography against the worked example, step by step, and against published vectors."""

from pathlib import Path

import pytest
from hsm_sim import epurse

from tests.hsm_sim import worked_example as example


@pytest.mark.parametrize("root", example.ISSUER_KEYS)
def test_card_keys_are_derived_in_two_levels(root: str) -> None:
    issuer_key = epurse.diversify(bytes.fromhex(root), bytes.fromhex(example.ISSUER_FACTOR))
    assert issuer_key.hex().upper() == example.ISSUER_KEYS[root]
    card_key = epurse.diversify(issuer_key, bytes.fromhex(example.CARD_FACTOR))
    assert card_key.hex().upper() == example.CARD_KEYS[root]
    both = epurse.card_key(
        bytes.fromhex(root), bytes.fromhex(example.ISSUER_FACTOR), bytes.fromhex(example.CARD_FACTOR)
    )
    assert both == card_key


def test_the_tac_key_is_the_exclusive_or_of_the_halves() -> None:
    assert epurse.tac_key(bytes.fromhex(example.CARD_KEYS[example.TAC_ROOT])).hex().upper() == example.TAC_KEY
    # The published value is over this key taken directly as a card's.
    assert epurse.tac_key(bytes.fromhex(example.TAC_ROOT)).hex().upper() == example.PUBLISHED_TAC_KEY


def test_session_keys_are_those_of_the_worked_example() -> None:
    purchase_key = bytes.fromhex(example.CARD_KEYS[example.PURCHASE_ROOT])
    load_key = bytes.fromhex(example.CARD_KEYS[example.LOAD_ROOT])
    rnd = bytes.fromhex(example.RND)
    session = epurse.purchase_session_key(
        purchase_key, rnd, bytes.fromhex(example.PURCHASE_COUNTER), bytes.fromhex(example.TERMINAL_SEQUENCE)
    )
    assert session.hex().upper() == example.PURCHASE_SESSION_KEY
    assert session == epurse.triple_des(purchase_key, bytes.fromhex(example.PURCHASE_SESSION_INPUT))
    session = epurse.load_session_key(load_key, rnd, bytes.fromhex(example.LOAD_COUNTER))
    assert session.hex().upper() == example.LOAD_SESSION_KEY


def test_session_keys_are_the_published_ones() -> None:
    key, rnd, none = bytes.fromhex(example.PUBLISHED_KEY), bytes.fromhex("11223344"), bytes(2)
    assert epurse.load_session_key(key, rnd, none).hex().upper() == example.PUBLISHED_LOAD_SESSION_KEY
    session = epurse.purchase_session_key(key, rnd, none, bytes.fromhex("00000001"))
    assert session.hex().upper() == example.PUBLISHED_PURCHASE_SESSION_KEY


@pytest.mark.parametrize(
    ("key", "data", "expected"), [*example.MACS.values(), *example.PUBLISHED_MACS.values()],
    ids=[*example.MACS, *(f"published {name}" for name in example.PUBLISHED_MACS)],
)  # fmt: skip
def test_macs_and_tacs_are_the_known_ones(key: str, data: str, expected: str) -> None:
    assert epurse.mac(bytes.fromhex(key), bytes.fromhex(data)).hex().upper() == expected


@pytest.mark.parametrize(("padded", "blocks"), example.PURCHASE_MAC1_BLOCKS.items())
def test_a_mac_is_the_left_half_of_the_last_block_of_the_chain(padded: str, blocks: tuple[str, ...]) -> None:
    # Both halves of a 3DES key alike make it single DES, so the chain can be walked block by block.
    key = bytes.fromhex(example.PURCHASE_SESSION_KEY) * 2
    data, chained = bytes.fromhex(padded), bytes(8)
    for start, expected in zip(range(0, len(data), 8), blocks, strict=True):
        chained = epurse.triple_des(key, epurse.exclusive_or(chained, data[start : start + 8]))
        assert chained.hex().upper() == expected
    assert epurse.mac(key[:8], data.rstrip(b"\x00")[:-1]) == chained[:4]


@pytest.mark.parametrize("length", [0, 7, 8, 9, 15, 16])
def test_padding_is_always_there_so_a_message_is_not_its_padded_self(length: int) -> None:
    key, message = bytes.fromhex(example.TAC_KEY), bytes(length)
    padded = message + b"\x80" + bytes(-(length + 1) % 8)
    assert epurse.mac(key, message) != epurse.mac(key, padded)


def test_a_check_value_is_three_bytes_over_zeros() -> None:
    assert epurse.check_value(bytes.fromhex(example.PURCHASE_ROOT)).hex().upper() == "08D7B4"


def test_the_facts_typed_here_are_the_worked_examples_own(shared_data: Path) -> None:
    text = (shared_data / "chip" / "worked_example.txt").read_text(encoding="utf-8")
    facts = {value for value in vars(example).values() if isinstance(value, str) and value.isalnum()}
    for group in (example.ISSUER_KEYS, example.CARD_KEYS):
        facts |= set(group.values())
    for key, data, mac in example.MACS.values():
        facts |= {key, data, mac}
    for padded, blocks in example.PURCHASE_MAC1_BLOCKS.items():
        facts |= {padded, *blocks}
    assert [fact for fact in sorted(facts) if fact not in text] == []
