"""Keys by usage and version, and on disk: sealed, bound together, and ours alone."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hsm_sim.home import HomeError, create_home, open_home, parse_lmk, replace_keys
from hsm_sim.keys import (
    DEMO_KEYS,
    KEY_BYTES,
    KeyFileError,
    KeyStore,
    Usage,
    demo_keys,
    random_keys,
    seal_keys,
    unseal_keys,
)
from hypothesis import given, settings
from hypothesis import strategies as st

LMK = bytes(range(32))


def numbered() -> Callable[[int], bytes]:
    """A source of bytes that never repeats itself."""
    given_out = iter(range(1_000_000))
    return lambda count: next(given_out).to_bytes(count)


def test_every_demo_key_has_its_usages_length_and_says_what_it_is() -> None:
    assert {usage: len(key) for usage, key in DEMO_KEYS.items()} == dict(KEY_BYTES)
    assert demo_keys().demo
    assert not random_keys(numbered()).demo


def test_a_single_demo_key_among_others_makes_a_demo_store() -> None:
    keys = {**random_keys(numbered()).slots, (Usage.BATCH_ROOT, 7): DEMO_KEYS[Usage.BATCH_ROOT]}
    assert KeyStore(keys).demo


def test_a_store_does_not_show_its_keys() -> None:
    assert repr(demo_keys()) == "KeyStore()"


NEW_USAGES = (Usage.DATA, Usage.TERMINAL_MASTER, Usage.WORKING, Usage.QR_SIGNATURE)


def without_new_usages(keys: KeyStore) -> KeyStore:
    return KeyStore({slot: key for slot, key in keys.slots.items() if slot[0] not in NEW_USAGES})


def test_a_demo_home_from_before_a_usage_was_known_opens_with_its_demo_key(tmp_path: Path) -> None:
    rotated = demo_keys().with_next_version(Usage.TAC_ROOT, os.urandom)
    create_home(tmp_path, without_new_usages(rotated), given_lmk=None, random=os.urandom)
    assert open_home(tmp_path, given_lmk=None)[0] == rotated


def test_another_home_from_before_gets_the_first_version_by_rotation_only(tmp_path: Path) -> None:
    keys = without_new_usages(random_keys(os.urandom))
    create_home(tmp_path, keys, given_lmk=None, random=os.urandom)
    opened, lmk = open_home(tmp_path, given_lmk=None)
    assert opened == keys
    rotated = opened.with_next_version(Usage.DATA, os.urandom)
    replace_keys(tmp_path, rotated, lmk, random=os.urandom)
    assert open_home(tmp_path, given_lmk=None)[0].versions(Usage.DATA) == [1]


def test_versions_are_used_up_after_255() -> None:
    keys = KeyStore({(Usage.SIGNATURE, 254): bytes(32)}).with_next_version(Usage.SIGNATURE, numbered())
    assert keys.newest(Usage.SIGNATURE) == 255
    with pytest.raises(ValueError, match="all 255 versions"):
        keys.with_next_version(Usage.SIGNATURE, numbered())


@settings(max_examples=30)
@given(
    st.sets(st.tuples(st.sampled_from(Usage), st.integers(1, 255)), max_size=6),
    st.binary(min_size=32, max_size=32),
)
def test_sealed_keys_open_to_what_they_were(slots: set[tuple[Usage, int]], lmk: bytes) -> None:
    random = numbered()
    keys = KeyStore({slot: random(KEY_BYTES[slot[0]]) for slot in slots})
    sealed = seal_keys(keys, lmk, random)
    assert unseal_keys(sealed, lmk) == keys
    assert not any(key.hex() in sealed.lower() for key in keys.slots.values())


def test_keys_do_not_open_under_another_lmk() -> None:
    sealed = seal_keys(demo_keys(), LMK, numbered())
    with pytest.raises(KeyFileError, match="does not open under the LMK with check value"):
        unseal_keys(sealed, LMK[::-1])


def take_one_out(rows: list[dict[str, object]]) -> None:
    rows.pop()


def exchange_two(rows: list[dict[str, object]]) -> None:
    rows[0]["sealed"], rows[1]["sealed"] = rows[1]["sealed"], rows[0]["sealed"]


def rename_one(rows: list[dict[str, object]]) -> None:
    rows[0]["version"] = 2


def flip_a_bit(rows: list[dict[str, object]]) -> None:
    value = str(rows[0]["sealed"])
    rows[0]["sealed"] = value[:-1] + f"{int(value[-1], 16) ^ 1:x}"


def shorten_one(rows: list[dict[str, object]]) -> None:
    rows[0]["sealed"] = "00" * 12


def invent_a_usage(rows: list[dict[str, object]]) -> None:
    rows[0]["usage"] = "QQ"


@pytest.mark.parametrize(
    "change", [take_one_out, exchange_two, rename_one, flip_a_bit, shorten_one, invent_a_usage]
)
def test_a_key_file_that_was_changed_does_not_open(change: Callable[[list[dict[str, object]]], None]) -> None:
    document = json.loads(seal_keys(demo_keys(), LMK, numbered()))
    change(document["keys"])
    with pytest.raises(KeyFileError):
        unseal_keys(json.dumps(document), LMK)


@given(st.text(max_size=40) | st.from_type(dict[str, int]).map(json.dumps))
def test_from_any_text_comes_the_key_files_own_error(text: str) -> None:
    with pytest.raises(KeyFileError, match="restore"):
        unseal_keys(text, LMK)


def test_a_home_opens_to_the_keys_it_was_made_with(tmp_path: Path) -> None:
    keys, transport = random_keys(numbered()), tmp_path / "out" / "transport.key"
    transport.parent.mkdir()
    lmk = create_home(tmp_path / "hsm", keys, given_lmk=None, random=os.urandom, transport_key_file=transport)
    assert open_home(tmp_path / "hsm", given_lmk=None) == (keys, lmk)
    assert bytes.fromhex(transport.read_text()) == keys.find(Usage.TRANSPORT, 1)
    made = [*(tmp_path / "hsm").iterdir(), transport]
    assert {path.name: path.stat().st_mode & 0o777 for path in made} == {
        "keys.json": 0o600, "lmk.key": 0o600, "transport.key": 0o600,
    }  # fmt: skip


def test_a_home_is_not_made_over_another(tmp_path: Path) -> None:
    first = create_home(tmp_path, random_keys(os.urandom), given_lmk=None, random=os.urandom)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(HomeError, match=r"keys\.json exists and is not written over"):
        create_home(tmp_path, demo_keys(), given_lmk=None, random=os.urandom)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert open_home(tmp_path, given_lmk=None)[1] == first


def test_a_transport_key_file_is_written_once(tmp_path: Path) -> None:
    transport = tmp_path / "transport.key"
    transport.write_text("somebody's")
    with pytest.raises(HomeError, match=r"transport\.key exists"):
        create_home(
            tmp_path / "hsm", demo_keys(), given_lmk=None, random=os.urandom, transport_key_file=transport
        )
    assert transport.read_text() == "somebody's"
    assert not (tmp_path / "hsm").exists()


def test_an_lmk_left_by_an_init_that_broke_off_is_taken_up(tmp_path: Path) -> None:
    lmk = create_home(tmp_path, demo_keys(), given_lmk=None, random=os.urandom)
    (tmp_path / "keys.json").unlink()
    assert create_home(tmp_path, random_keys(os.urandom), given_lmk=None, random=os.urandom) == lmk


def test_a_given_lmk_is_not_kept_in_the_home(tmp_path: Path) -> None:
    create_home(tmp_path, demo_keys(), given_lmk=LMK, random=os.urandom)
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]
    assert open_home(tmp_path, given_lmk=LMK)[0] == demo_keys()
    with pytest.raises(HomeError, match=r"no LMK in .*lmk\.key; restore it, or give the LMK in HSM_SIM_LMK"):
        open_home(tmp_path, given_lmk=None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
@pytest.mark.parametrize("name", ["lmk.key", "keys.json"])
def test_a_file_that_others_can_reach_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    create_home(tmp_path, demo_keys(), given_lmk=None, random=os.urandom)
    (tmp_path / name).chmod(mode)
    with pytest.raises(HomeError, match=rf"{name} has mode {mode:04o}.*chmod it to 0600"):
        open_home(tmp_path, given_lmk=None)


def test_a_link_in_the_place_of_the_lmk_is_refused(tmp_path: Path) -> None:
    create_home(tmp_path, demo_keys(), given_lmk=None, random=os.urandom)
    (tmp_path / "lmk.key").rename(tmp_path / "elsewhere")
    (tmp_path / "lmk.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError, match=r"lmk\.key cannot be opened"):
        open_home(tmp_path, given_lmk=None)


def test_a_folder_without_keys_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="holds no keys; make them with `hsm-sim init"):
        open_home(tmp_path, given_lmk=None)


def test_a_wrong_lmk_text_is_refused_without_repeating_it() -> None:
    for text in ("", "00" * 31, "zz" * 32, "ab" * 33):
        with pytest.raises(HomeError, match="the LMK in X is not 64 hex digits") as caught:
            parse_lmk(text, "X")
        assert not text or text not in str(caught.value)
    assert parse_lmk(f" {LMK.hex().upper()}\n", "X") == LMK


def test_replaced_keys_open_under_the_same_lmk(tmp_path: Path) -> None:
    lmk = create_home(tmp_path, demo_keys(), given_lmk=None, random=os.urandom)
    keys = demo_keys().with_next_version(Usage.PURCHASE_ROOT, os.urandom)
    replace_keys(tmp_path, keys, lmk, random=os.urandom)
    assert open_home(tmp_path, given_lmk=None) == (keys, lmk)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys.json", "lmk.key"]
