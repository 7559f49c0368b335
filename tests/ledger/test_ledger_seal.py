"""Seals cover a day and all before it; a proof holds with the public key and nothing else."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger import chart
from ledger.accounts import Conflict, close_account, open_accounts
from ledger.day import DayOrderError, begin_close, finish_close
from ledger.db import reading, writing
from ledger.entry import Line, chain_start, chained, utc_text
from ledger.merkle import EMPTY_ROOT, audit_path, root_from_path, root_of
from ledger.orders import Hold
from ledger.post import post
from ledger.registers import Registers, registers_at
from ledger.seal import GENESIS, Contents, Seal, day_contents, prove, seal_of, store_seal, verify_proof
from ledger.verify import verify_books
from tests.ledger.some_books import AT, DAY, Books, numbered

NEXT_DAY = DAY + timedelta(days=1)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = KEY.public_key().public_bytes_raw()

# The leaves and roots by which implementations of Certificate Transparency (RFC 6962) compare themselves.
VECTOR_LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
VECTOR_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaf(content: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + content).digest()


def split_root(leaves: Sequence[bytes]) -> bytes:
    """The root by the RFC's own definition: split at the largest power of two below the size."""
    if len(leaves) == 1:
        return leaves[0]
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + split_root(leaves[:middle]) + split_root(leaves[middle:])).digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    leaves = [leaf(bytes.fromhex(content)) for content in VECTOR_LEAVES[:size]]
    assert root_of(leaves).hex() == VECTOR_ROOTS[size - 1]


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


@given(size=st.integers(1, 70), data=st.data())
def test_every_leaf_can_be_proved_and_nothing_else(size: int, data: st.DataObject) -> None:
    leaves = [leaf(bytes([number])) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    root, path = root_of(leaves), audit_path(leaves, index)
    assert root == split_root(leaves)
    assert root_from_path(leaves[index], index, size, path) == root
    other = data.draw(st.integers(0, size).filter(lambda number: number != index))
    assert root_from_path(leaves[index], other, size, path) != root
    assert root_from_path(leaf(b"other"), index, size, path) != root
    assert root_from_path(leaves[index], index, size, [*path, root]) is None
    assert not path or root_from_path(leaves[index], index, size, path[:-1]) is None


def close(books: Books) -> None:
    with writing(books.engine) as conn:
        begin_close(conn, books.day, at=AT)
        finish_close(conn, books.day, at=AT)


def seal(books: Books) -> Seal:
    with writing(books.engine) as conn:
        unsealed = day_contents(conn, books.day)
        return store_seal(conn, unsealed, 3, KEY.sign(unsealed.root), at=AT)


def test_a_seal_covers_the_seal_before_it(books: Books) -> None:
    books.post(books.load("1", 500), books.tap("1", 200, "tap:1"))
    close(books)
    first = seal(books)
    assert (first.contents.entries, first.contents.previous_root, first.key_version) == (2, GENESIS, 3)
    tomorrow = books.on(NEXT_DAY)
    close(tomorrow)
    second = seal(tomorrow)
    covered = second.contents
    assert (covered.entries, covered.merkle_root, covered.previous_root) == (0, EMPTY_ROOT, first.root)
    assert (covered.chain, second.root) == (chain_start(NEXT_DAY), covered.root)
    with reading(books.engine) as conn:
        assert seal_of(conn, DAY) == first
        assert seal_of(conn, NEXT_DAY + timedelta(days=1)) is None


def test_what_a_root_covers_is_laid_down() -> None:
    parts = b"m" * 32, b"c" * 32, b"r" * 32, b"p" * 32
    content = b"onecard/seal/v2" + b"2018-09-01" + (2).to_bytes(8, "big") + b"".join(parts)
    merkle_root, chain, registers_root, previous_root = parts
    contents = Contents(DAY, 2, merkle_root, chain, Registers(8, 0, 3), registers_root, previous_root)
    assert contents.root == hashlib.sha256(content).digest()


def test_a_root_is_what_anyone_can_compute_from_the_contents_alone(books: Books) -> None:
    books.post(books.load("1", 500), books.load("2", 5))
    close(books)
    with reading(books.engine) as conn:
        unsealed = day_contents(conn, DAY)
    content = (
        b'["onecard/entry/v2","load:%d","load","2018-09-01T03:04:05.678901+00:00","",null,null,'
        b'[["agent:A","purse:%d",%d,"%d"]]]'
    )
    leaves = leaf(content % (1, 1, 500, 1)), leaf(content % (2, 2, 5, 2))
    assert unsealed.merkle_root == hashlib.sha256(b"\x01" + leaves[0] + leaves[1]).digest()
    start = hashlib.sha256(b"onecard/chain/v1" + b"2018-09-01").digest()
    booked = b"2018-09-01T03:04:05.678901+00:00"
    for number, content_digest in enumerate(leaves, 201809010000000001):
        start = hashlib.sha256(start + number.to_bytes(8, "big") + content_digest + booked).digest()
    first = chained(chain_start(DAY), numbered(1), leaves[0], utc_text(AT))
    assert unsealed.chain == start == chained(first, numbered(2), leaves[1], utc_text(AT))
    assert unsealed.previous_root == GENESIS


def test_sealing_again_keeps_the_first_seal_and_another_root_is_a_conflict(books: Books) -> None:
    books.post(books.load("1", 500))
    close(books)
    first = seal(books)
    # What was written down since is left to the next seal.
    with writing(books.engine) as conn:
        close_account(conn, "purse:2", at=AT)
    assert seal(books) == first
    with writing(books.engine) as conn:
        other = replace(day_contents(conn, DAY), chain=bytes(32))
        with pytest.raises(Conflict, match="seal of 2018-09-01"):
            store_seal(conn, other, 3, bytes(64), at=AT)


def test_a_seal_covers_what_was_written_down_until_the_cut_off_and_nothing_after_it(books: Books) -> None:
    books.post(books.load("1", 500))
    with writing(books.engine) as conn:
        at_cut_off = registers_at(conn)
        begin_close(conn, DAY, at=AT)
        quiet = day_contents(conn, DAY)
    # The cut-off itself is the last event of the day.
    assert quiet.registers == at_cut_off._replace(events=at_cut_off.events + 1)
    with writing(books.engine) as conn:
        open_accounts(conn, [chart.account("purse:late")], at=AT)
        close_account(conn, "purse:late", at=AT)
        line = Line("agent:A", "purse:2", 1, "x")
        post(conn, [Hold("hold:late", "test", AT, AT + timedelta(hours=1), (line,))], at=AT)
        assert day_contents(conn, DAY) == quiet
    close(books)
    assert seal(books).contents == quiet
    close(books.on(NEXT_DAY))
    assert seal(books.on(NEXT_DAY)).contents.registers.accounts == at_cut_off.accounts + 1
    with reading(books.engine) as conn:
        assert list(verify_books(conn)) == []


def test_a_day_is_sealed_only_when_it_is_complete_and_in_its_turn(books: Books) -> None:
    with writing(books.engine) as conn:
        with pytest.raises(DayOrderError, match="begin its close first"):
            day_contents(conn, DAY)
        begin_close(conn, DAY, at=AT)
        unsealed = day_contents(conn, DAY)
        with pytest.raises(DayOrderError, match="finish its close"):
            store_seal(conn, unsealed, 1, bytes(64), at=AT)
    books.post(books.load("1", 500), closing=True)
    close(books)
    with writing(books.engine) as conn:
        with pytest.raises(DayOrderError, match="has 1 entries, 0 were signed"):
            store_seal(conn, unsealed, 1, bytes(64), at=AT)
        begin_close(conn, NEXT_DAY, at=AT)
        with pytest.raises(DayOrderError, match="2018-09-01, before 2018-09-02, has no seal"):
            day_contents(conn, NEXT_DAY)


def test_one_payment_can_be_proved_to_anyone(books: Books) -> None:
    books.post(books.load("1", 500), *(books.tap("1", 10, f"tap:{number}") for number in range(6)))
    with reading(books.engine) as conn, pytest.raises(LookupError, match="not sealed yet"):
        prove(conn, "tap:3")
    close(books)
    seal(books)
    with reading(books.engine) as conn:
        proof = prove(conn, "tap:3")
        with pytest.raises(LookupError, match="check the reference"):
            prove(conn, "tap:9")
    assert b'"tap:3"' in proof.content and (proof.index, len(proof.path)) == (4, 3)
    assert verify_proof(proof, PUBLIC_KEY)
    other_key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    assert not verify_proof(proof, other_key)
    assert not verify_proof(replace(proof, content=proof.content.replace(b",10,", b",11,")), PUBLIC_KEY)
    assert not verify_proof(replace(proof, index=3), PUBLIC_KEY)
    assert not verify_proof(replace(proof, path=proof.path[1:]), PUBLIC_KEY)
    later = replace(proof.seal.contents, business_date=NEXT_DAY)
    assert not verify_proof(replace(proof, seal=replace(proof.seal, contents=later)), PUBLIC_KEY)
