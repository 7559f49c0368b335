"""Signed files for terminals: whole lists and changes, nothing but what was signed, a million cards where they lie."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SM3, Hash
from hsm_sim.home import create_home
from hsm_sim.keys import KeyStore, random_keys
from hypothesis import given
from hypothesis import strategies as st

from card.algorithms import Algorithm
from card.hsm.client import Hsm
from card.signatures import verify
from city.processes import running_program
from clearing.publication import keys_of, newest_hotlist, publish_hotlist, signer_of
from clearing.wire.bcd import pack_moment
from clearing.wire.hotlist import (
    NUMBERS,
    CardNumbers,
    applied,
    numbers_of,
    parse_hotlist,
    read_hotlist,
    write_change,
    write_hotlist,
)
from clearing.wire.signed import (
    SIGNATURE_BYTES,
    Document,
    ForgedError,
    Kind,
    SignedError,
    read_document,
    write_document,
)
from tests.terminals.signed_files import signer_by

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS = {(Algorithm.ED25519, 3): KEY.public_key().public_bytes_raw()}
AT = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
MADE = pack_moment(AT)
MILLION = 1_000_000

cards = st.sets(st.integers(0, (1 << 64) - 1).map("{:020d}".format), max_size=30)


sign = signer_by(KEY, 3)


@given(cards, cards, st.lists(st.integers(0, 10**20 - 1).map("{:020d}".format), max_size=20))
def test_a_list_names_exactly_its_cards_and_a_change_leads_to_the_next_one(
    first: set[str], second: set[str], others: list[str]
) -> None:
    whole = write_hotlist(7, MADE, numbers_of(first), sign)
    file = read_hotlist(whole, KEYS)
    listed = CardNumbers(file.added)
    assert [card in listed for card in [*first, *others]] == [card in first for card in [*first, *others]]
    assert len(listed) == len(first)

    change = write_change(whole, 9, MADE, numbers_of(second), sign)
    step = read_hotlist(change, KEYS)
    assert (step.follows, step.statement.version) == (7, 9)
    assert applied(step, file.added) == write_hotlist(9, MADE, numbers_of(second), sign)
    assert len(change) == 128 + 8 * len(first ^ second)


@given(cards, cards, st.data())
def test_one_bit_turned_gives_the_list_that_was_signed_or_none(
    first: set[str], second: set[str], data: st.DataObject
) -> None:
    whole = write_hotlist(7, MADE, numbers_of(first), sign)
    good = write_hotlist(8, MADE, numbers_of(second), sign)
    sent = data.draw(st.sampled_from([good, write_change(whole, 8, MADE, numbers_of(second), sign)]))
    turned = bytearray(sent)
    turned[data.draw(st.integers(0, len(sent) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        file = read_hotlist(bytes(turned), KEYS)
        result = applied(file, parse_hotlist(whole).added) if file.follows is not None else bytes(turned)
    except SignedError:
        return
    assert parse_hotlist(result).added.tolist() == parse_hotlist(good).added.tolist()
    assert parse_hotlist(result).statement == parse_hotlist(good).statement


@given(st.binary(max_size=300), st.booleans())
def test_bytes_that_are_no_signed_file_are_refused_as_such(noise: bytes, headed: bool) -> None:
    for magic, read in ((b"OHL2", read_hotlist), (b"OCD2", read_document)):
        with pytest.raises(SignedError):
            read(magic + noise if headed else noise, KEYS)


def test_a_change_put_onto_another_list_is_refused() -> None:
    first, other = numbers_of(["03104870000000000001"]), numbers_of(["03104870000000000009"])
    change = write_change(write_hotlist(1, MADE, first, sign), 2, MADE, numbers_of([]), sign)
    with pytest.raises(SignedError, match="ask for the whole list"):
        applied(read_hotlist(change, KEYS), other)


@pytest.mark.parametrize("card_no", ["1", "0310487000000000000x", "99999999999999999999", "٠" * 20])
def test_a_number_without_a_place_in_the_list_is_named_and_on_no_list(card_no: str) -> None:
    with pytest.raises(SignedError) as refused:
        numbers_of([card_no])
    assert refused.value.field == "card_no"
    assert card_no not in CardNumbers(np.arange(10, dtype=NUMBERS))


def test_a_million_cards_take_less_than_8_mib_and_are_found_without_a_copy() -> None:
    numbers = np.unique(np.random.default_rng(7).integers(0, 1 << 63, MILLION + 999, np.uint64))[:MILLION]
    whole = write_hotlist(1, MADE, numbers.astype(NUMBERS), sign)
    assert len(whole) < 8 << 20
    held = read_hotlist(whole, KEYS).added
    assert not held.flags.owndata
    assert held.nbytes == 8 * MILLION
    listed = CardNumbers(held)
    for number in (*numbers[::50_000].tolist(), int(numbers[-1])):
        assert f"{number:020d}" in listed
    members = set(numbers.tolist())
    near = [int(number) + 1 for number in numbers[::5_000] if int(number) + 1 not in members]
    assert len(near) > 150
    assert not any(f"{number:020d}" in listed for number in near)


@given(st.sampled_from(Kind), st.integers(1, 0xFFFF), st.binary(max_size=200))
def test_a_document_comes_back_as_it_was_signed_and_no_bit_may_turn(
    kind: Kind, version: int, payload: bytes
) -> None:
    document = Document(kind, version, MADE, payload)
    data = write_document(document, sign)
    assert read_document(data, KEYS) == document
    for place in range(0, len(data), 7):
        turned = bytearray(data)
        turned[place] ^= 1 << place % 8
        with pytest.raises(SignedError):
            read_document(bytes(turned), KEYS)


def test_a_signature_by_a_key_that_is_not_trusted_is_forged() -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    document = Document(Kind.TARIFF, 1, MADE, b"{}")
    for key_version, said in ((3, "does not hold"), (4, "renew its keys")):
        data = write_document(document, signer_by(stranger, key_version))
        with pytest.raises(ForgedError, match=said):
            read_document(data, KEYS)


@pytest.mark.parametrize("version", [0, 0x10000])
def test_a_version_that_no_record_could_name_is_refused(version: int) -> None:
    with pytest.raises(SignedError, match="1 to 65535"):
        write_hotlist(version, MADE, numbers_of([]), sign)
    with pytest.raises(SignedError, match="1 to 65535"):
        write_document(Document(Kind.SETTINGS, version, MADE, b""), sign)


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.SM2])
def test_the_hsm_signs_what_is_published_and_every_change_leads_on(
    tmp_path: Path, city_hsm: Hsm, algorithm: Algorithm
) -> None:
    keys, signer = keys_of(city_hsm, algorithm), signer_of(city_hsm, algorithm)
    lists = [{f"0310487{card:013d}" for card in range(low, low + 20)} for low in (0, 0, 5, 50)]
    published = [
        publish_hotlist(tmp_path, numbers_of(cards), signer, at=AT + timedelta(hours=hour))
        for hour, cards in enumerate(lists)
    ]
    assert [[path.name for path in paths] for paths in published] == [
        ["hotlist-00001.ohl"],
        [],
        ["hotlist-00002-change.ohl", "hotlist-00002.ohl"],
        ["hotlist-00003-change.ohl", "hotlist-00003.ohl"],
    ]
    held = read_hotlist(published[0][0].read_bytes(), keys).added
    for change, whole in (published[2], published[3]):
        made = read_hotlist(applied(read_hotlist(change.read_bytes(), keys), held), keys)
        published_whole = read_hotlist(whole.read_bytes(), keys)
        # Signatures by SM2 differ each time; what they are of does not.
        assert made.statement == published_whole.statement
        assert made.added.tolist() == published_whole.added.tolist()
        held = published_whole.added
    newest = newest_hotlist(tmp_path)
    assert newest == published[3][1]
    assert {f"{number:020d}" for number in held.tolist()} == lists[-1]


def test_a_file_of_the_national_suite_is_signed_over_sm3_and_holds_under_its_own_key_alone(
    city_hsm: Hsm,
) -> None:
    document = Document(Kind.TARIFF, 1, MADE, b"{}")
    data = write_document(document, signer_of(city_hsm, Algorithm.SM2))
    keys = keys_of(city_hsm, Algorithm.SM2)
    assert read_document(data, keys) == document
    digest = Hash(SM3())
    digest.update(data[:-SIGNATURE_BYTES])
    key = keys[Algorithm.SM2, data[-SIGNATURE_BYTES + 1]]
    assert verify(Algorithm.SM2, key, digest.finalize(), data[-64:])
    for trusted in (keys_of(city_hsm, Algorithm.ED25519), {(Algorithm.P256, 1): key}):
        with pytest.raises(ForgedError, match="renew its keys"):
            read_document(data, trusted)
    said_otherwise = bytearray(data)
    said_otherwise[-SIGNATURE_BYTES] = Algorithm.ED25519
    with pytest.raises(ForgedError, match="does not hold"):
        read_document(bytes(said_otherwise), {**keys_of(city_hsm, Algorithm.ED25519), **keys})


def test_an_hsm_that_has_no_key_of_an_algorithm_gives_terminals_the_others(tmp_path: Path) -> None:
    slots = {slot: key for slot, key in random_keys(os.urandom).slots.items() if slot[0] != "S2"}
    create_home(tmp_path, KeyStore(slots), given_lmk=None, random=os.urandom)
    with (
        running_program("hsm_sim", tmp_path, "serve", "--port", "0") as (port, _),
        Hsm("127.0.0.1", port) as hsm,
    ):
        assert list(keys_of(hsm, Algorithm.ED25519, Algorithm.SM2)) == [(Algorithm.ED25519, 1)]
