"""The vault: what is sealed opens as it was, in its own place, with its own key, and never shows."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from card.hsm.client import Hsm
from card.tables import data_key
from card.vault import SealBroken, Vault, add_sealing_key, open_vault
from ledger.db import reading
from tests.card.people import NOW

KEY, OTHER, INDEX = b"K" * 32, b"O" * 32, b"I" * 32


def numbered_vault(sealing: dict[int, bytes] | None = None) -> Vault:
    nonces = count(1)
    return Vault(sealing or {1: KEY}, INDEX, lambda size: next(nonces).to_bytes(size, "big"))


@given(st.text(), st.text())
def test_a_sealed_text_opens_as_it_was_about_the_same_and_not_about_another(plain: str, about: str) -> None:
    vault = numbered_vault()
    sealed = vault.seal(plain, about)
    assert vault.open(sealed, about) == plain
    assert vault.seal(plain, about) != sealed
    with pytest.raises(SealBroken, match="was changed or moved"):
        vault.open(sealed, about + " of another")


@settings(max_examples=30)
@given(st.binary(max_size=80))
def test_from_any_bytes_comes_the_vaults_own_error(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        numbered_vault().open(sealed)


def test_a_sealed_text_with_any_bit_changed_does_not_open() -> None:
    vault = numbered_vault()
    sealed = vault.seal("530102199003071238", "identity of H0000000001")
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes((sealed[place] ^ 1,)) + sealed[place + 1 :]
        with pytest.raises(SealBroken) as caught:
            vault.open(changed, "identity of H0000000001")
        assert "530102" not in str(caught.value)


def test_a_new_key_seals_and_an_old_one_still_opens() -> None:
    old, both = numbered_vault(), numbered_vault({1: KEY, 2: OTHER})
    assert both.open(old.seal("before")) == "before"
    with pytest.raises(SealBroken, match="data key 2 is not at hand; open the vault again"):
        old.open(both.seal("after"))


@given(st.text(), st.text(), st.sampled_from(["identity", "phone"]))
def test_an_index_is_the_same_for_the_same_text_of_a_kind_only(one: str, other: str, kind: str) -> None:
    vault = numbered_vault()
    assert (vault.index(kind, one) == numbered_vault({1: OTHER}).index(kind, other)) is (one == other)
    assert vault.index(kind, one) != vault.index(f"{kind} number", one)
    assert len(vault.index(kind, one)) == 32
    assert Vault({1: KEY}, OTHER, os.urandom).index(kind, one) != vault.index(kind, one)


def test_a_kind_with_a_zero_character_is_refused() -> None:
    with pytest.raises(ValueError, match="holds a zero character"):
        numbered_vault().index("a\0b", "c")


def test_the_vault_shows_no_key() -> None:
    shown = repr(numbered_vault())
    assert KEY.decode() not in shown and INDEX.decode() not in shown


def test_a_vault_opened_again_opens_what_the_first_sealed(engine: Engine, city_hsm: Hsm) -> None:
    first = open_vault(engine, city_hsm, random=os.urandom, at=NOW)
    sealed = first.seal("plain", "about")
    again = open_vault(engine, city_hsm, random=os.urandom, at=NOW)
    assert again.open(sealed, "about") == "plain"
    assert again.index("kind", "text") == first.index("kind", "text")
    with reading(engine) as conn:
        assert conn.execute(select(data_key.c.purpose, data_key.c.number).order_by("purpose")).all() == [
            ("index", 1),
            ("seal", 1),
        ]


def test_a_new_data_key_seals_from_the_next_opening_on(engine: Engine, city_hsm: Hsm) -> None:
    before = open_vault(engine, city_hsm, random=os.urandom, at=NOW)
    sealed = before.seal("plain")
    assert add_sealing_key(engine, city_hsm, at=NOW) == 2
    after = open_vault(engine, city_hsm, random=os.urandom, at=NOW)
    assert after.open(sealed) == "plain"
    assert after.index("kind", "text") == before.index("kind", "text")
    with pytest.raises(SealBroken, match="data key 2"):
        before.open(after.seal("plain"))


def test_the_database_holds_no_data_key_clear(tmp_path: Path, engine: Engine, city_hsm: Hsm) -> None:
    open_vault(engine, city_hsm, random=os.urandom, at=NOW)
    with reading(engine) as conn:
        rows = conn.execute(select(data_key)).all()
    clear = [city_hsm.open_data_key(row.key_version, row.wrapped) for row in rows]
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("onecard.db*"))
    assert len(clear) == 2 and all(len(row.wrapped) == 40 for row in rows)
    assert not [key for key in clear if key in stored or key in b"".join(row.wrapped for row in rows)]


def test_programs_that_open_the_first_vault_at_once_have_the_same_keys(engine: Engine, city_hsm: Hsm) -> None:
    def opened(_number: int) -> Vault:
        return open_vault(engine, city_hsm, random=os.urandom, at=NOW)

    with ThreadPoolExecutor(4) as programs:
        vaults = list(programs.map(opened, range(4)))
    assert len({vault.index("kind", "text") for vault in vaults}) == 1
    sealed = vaults[0].seal("plain")
    assert [vault.open(sealed) for vault in vaults] == ["plain"] * 4
