"""A proof file is checked with its page, a public key and nothing else; not one bit of it can be changed."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from ledger.db import reading
from ledger.proof_file import ProofFile, ProofFileError, Wrong, check, decode, encode, entry_of, proof_file
from ledger.seal import prove
from tests.ledger.sealed_books import FIRST, PUBLIC_KEY, book, load, open_books, ride, seal_day

PAGE = (Path(__file__).resolve().parents[2] / "docs/formats/proof.md").read_text()
EXAMPLE = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
assert EXAMPLE
DATA = EXAMPLE[1].encode("ascii")


def by_the_page(data: bytes, public_key: bytes) -> bool:
    """The check as the page spells it out, with nothing of the ledger's."""

    def sha(content: bytes) -> bytes:
        return hashlib.sha256(content).digest()

    proof: dict[str, Any] = json.loads(data)
    covered = b"".join(bytes.fromhex(proof[name]) for name in ("chain", "registers_root", "previous_root"))
    node = sha(b"\x00" + bytes.fromhex(proof["content"]))
    place, last, steps = proof["index"], proof["entries"] - 1, [bytes.fromhex(step) for step in proof["path"]]
    if not 0 <= place <= last:
        return False
    while last > 0:
        if place % 2 == 1:
            node = sha(b"\x01" + steps.pop(0) + node)
        elif place < last:
            node = sha(b"\x01" + node + steps.pop(0))
        place, last = place // 2, last // 2
    if steps:
        return False
    root = sha(
        b"onecard/seal/v2"
        + proof["business_date"].encode("ascii")
        + proof["entries"].to_bytes(8, "big")
        + node
        + covered
    )
    Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(proof["signature"]), root)
    return bool(proof["public_key"] == public_key.hex())


def proved(engine: Engine, reference: str) -> ProofFile:
    open_books(engine)
    book(engine, load(FIRST, "1", 5000), load(FIRST, "2", 3000))
    book(engine, ride(FIRST, "batch:METRO-1:7", ("1", 205), ("2", 315)))
    seal_day(engine, FIRST)
    with reading(engine) as conn:
        return proof_file(prove(conn, reference), PUBLIC_KEY)


def test_the_example_on_the_page_is_what_the_books_prove_byte_for_byte(engine: Engine) -> None:
    assert encode(proved(engine, "batch:METRO-1:7")).decode("ascii") == DATA.decode("ascii")
    assert PUBLIC_KEY.hex() in PAGE


def test_the_example_holds_by_the_arithmetic_of_the_page_alone() -> None:
    assert by_the_page(DATA, PUBLIC_KEY)
    assert check(decode(DATA), PUBLIC_KEY) is None


def test_a_proof_says_which_entry_it_is_of(engine: Engine) -> None:
    document = proved(engine, "load:1")
    assert entry_of(decode(encode(document))) == load(FIRST, "1", 5000)


def test_no_bit_of_a_proof_can_be_changed() -> None:
    held = []
    for place in range(len(DATA) * 8):
        changed = bytearray(DATA)
        changed[place // 8] ^= 1 << place % 8
        try:
            wrong = check(decode(bytes(changed)), PUBLIC_KEY)
        except ProofFileError:
            continue
        if wrong is None:
            held.append((place // 8, bytes(changed[place // 8 - 8 : place // 8 + 8])))
    assert held == []


def test_every_proof_of_a_day_holds_for_its_own_entry_only(engine: Engine) -> None:
    open_books(engine)
    book(engine, *(load(FIRST, "1", 100 + number, f"load:{number}") for number in range(7)))
    seal_day(engine, FIRST)
    with reading(engine) as conn:
        documents = [proof_file(prove(conn, f"load:{number}"), PUBLIC_KEY) for number in range(7)]
    assert [check(document, PUBLIC_KEY) for document in documents] == [None] * 7
    assert all(by_the_page(encode(document), PUBLIC_KEY) for document in documents)
    moved = [replace(document, content=documents[0].content) for document in documents[1:]]
    assert {check(document, PUBLIC_KEY) for document in moved} == {Wrong.NOT_SIGNED}


OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()


@pytest.mark.parametrize(
    ("change", "key", "wrong"),
    [
        ({}, PUBLIC_KEY, None),
        ({}, OTHER_KEY, Wrong.OTHER_KEY),
        ({"index": 3}, OTHER_KEY, Wrong.OTHER_KEY),
        ({"index": 3}, PUBLIC_KEY, Wrong.PLACE_IMPOSSIBLE),
        ({"path": (bytes(32),) * 2}, PUBLIC_KEY, Wrong.PLACE_IMPOSSIBLE),
        ({"chain": bytes(32)}, PUBLIC_KEY, Wrong.NOT_SIGNED),
        ({"public_key": OTHER_KEY}, OTHER_KEY, Wrong.NOT_SIGNED),
        ({"signature": bytes(64)}, PUBLIC_KEY, Wrong.NOT_SIGNED),
    ],
)
def test_the_first_thing_that_is_wrong_is_the_one_told(
    change: dict[str, Any], key: bytes, wrong: Wrong | None
) -> None:
    assert check(replace(decode(DATA), **change), key) is wrong


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("format", "onecard/proof/v9", "format of the proof is 'onecard/proof/v9'; give a proof of format"),
        ("index", -1, "index of the proof is -1; give a whole number from 0"),
        ("index", True, "index of the proof is True"),
        ("entries", 1.0, "entries of the proof is 1.0"),
        ("chain", "00", "chain of the proof is '00'; give 32 bytes in lower-case hex"),
        ("signature", "AB" * 64, "signature of the proof is 'ABAB"),
        ("path", ["zz"], "path[0] of the proof is 'zz'; give 32 bytes in lower-case hex"),
        ("path", ["00" * 32] * 35, "give a list of at most 34 hashes"),
        (
            "business_date",
            "2018-13-01",
            "business_date of the proof is '2018-13-01'; give a day as YYYY-MM-DD",
        ),
        ("business_date", "20180901", "give a day as YYYY-MM-DD"),
        ("content", b"[]".hex(), "content of the proof is b'[]'; give the content of an entry"),
        ("content", "", "give bytes in lower-case hex"),
        ("narrative", "x", "narrative of the proof is 'x'; take it out"),
    ],
)
def test_a_file_that_is_no_proof_is_told_what_is_wrong_with_it(member: str, value: object, said: str) -> None:
    with pytest.raises(ProofFileError, match=re.escape(said)):
        decode(json.dumps({**json.loads(DATA), member: value}).encode())


@pytest.mark.parametrize("member", json.loads(DATA))
def test_every_member_of_a_proof_is_needed(member: str) -> None:
    members = json.loads(DATA)
    del members[member]
    with pytest.raises(ProofFileError) as refused:
        decode(json.dumps(members).encode())
    assert refused.value.field == member


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["00" * 32, "00" * 64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
damaged = st.one_of(
    st.binary(),
    st.tuples(st.integers(0, len(DATA)), st.integers(0, len(DATA)), st.binary(max_size=8)).map(
        lambda cut: DATA[: cut[0]] + cut[2] + DATA[cut[1] :]
    ),
    st.tuples(st.sampled_from(sorted(json.loads(DATA))), json_values).map(
        lambda one: json.dumps({**json.loads(DATA), one[0]: one[1]}).encode()
    ),
    json_values.map(
        lambda content: json.dumps(
            {**json.loads(DATA), "content": json.dumps(content).encode().hex()}
        ).encode()
    ),
    st.lists(json_values, min_size=8, max_size=8).map(
        lambda parts: json.dumps(
            {**json.loads(DATA), "content": json.dumps(["onecard/entry/v2", *parts[1:]]).encode().hex()}
        ).encode()
    ),
    st.integers(1, 3000).map(lambda depth: b"[" * depth * 40),
)


@given(damaged)
def test_only_the_modules_own_error_comes_out_of_a_damaged_file(data: bytes) -> None:
    try:
        document = decode(data)
    except ProofFileError as error:
        assert error.field and str(error).startswith(f"{error.field} of the proof is")
        return
    same = document == decode(DATA)
    assert (check(document, PUBLIC_KEY) is None) == same
    assert decode(encode(document)) == document
