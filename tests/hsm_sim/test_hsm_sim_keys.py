"""Keys by usage and version, and on disk: sealed, bound together, and ours alone."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hsm_sim.home import HomeError, create_home, open_home, parse_lmk, replace_keys
from hsm_sim.key_blocks import Protection
from hsm_sim.key_file import KeyFileError, seal_keys, seal_of, unseal_keys
from hsm_sim.keys import (
    ATTRIBUTES,
    DEMO_KEYS,
    KEY_BYTES,
    KeyStore,
    Slot,
    Usage,
    demo_keys,
    random_keys,
    sm4_check_value,
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


SLOTS = st.tuples(st.sampled_from(Usage), st.integers(1, 255))


@settings(max_examples=30)
@given(st.sets(SLOTS, max_size=6), st.binary(min_size=32, max_size=32), st.data())
def test_sealed_keys_open_to_what_they_were(slots: set[Slot], lmk: bytes, data: st.DataObject) -> None:
    random = numbered()
    old = {slot for slot in slots if any(other[0] is slot[0] and other[1] > slot[1] for other in slots)}
    overlapping = data.draw(st.sets(st.sampled_from(sorted(old)))) if old else set()
    keys = KeyStore({slot: random(KEY_BYTES[slot[0]]) for slot in slots}, frozenset(overlapping))
    sealed = seal_keys(keys, lmk, os.urandom)
    assert unseal_keys(sealed, lmk) == keys
    assert not any(key.hex() in sealed.lower() for key in keys.slots.values())


def test_each_key_is_a_key_block_of_its_usage_version_and_mode() -> None:
    keys = demo_keys().with_next_version(Usage.TAC_ROOT, os.urandom)
    rows = json.loads(seal_keys(keys, LMK, os.urandom))["keys"]
    for row in rows:
        header, key = Protection.of(LMK).unwrap(row["block"])
        usage, version = Usage(row["usage"]), row["version"]
        kind = ATTRIBUTES[usage]
        old = (usage, version) == (Usage.TAC_ROOT, 1)
        assert key == keys.slots[usage, version]
        assert (header.usage, header.algorithm, header.version_number) == (
            kind.usage,
            kind.algorithm,
            f"0{version}",
        )
        assert header.mode == (kind.retired_mode if old else kind.mode)
        assert header.exportability == "N"
    assert len(rows) == len(Usage) + 1
    assert set(ATTRIBUTES) == set(Usage)


def sealed_before_key_blocks(keys: KeyStore, lmk: bytes) -> str:
    """A key file as it was written until keys became key blocks."""
    slots = sorted(keys.slots)
    listed = ",".join(f"{owner}{number}" for owner, number in slots)
    rows = []
    for usage, version in slots:
        nonce, name = os.urandom(12), f"hsm-sim 1 {usage}{version} of {listed}".encode()
        value = nonce + AESGCM(lmk).encrypt(nonce, keys.slots[usage, version], name)
        rows.append({"usage": usage, "version": version, "sealed": value.hex()})
    return json.dumps({"format": 1, "demo": keys.demo, "keys": rows})


def test_keys_from_before_there_were_key_blocks_still_open() -> None:
    keys = demo_keys().with_next_version(Usage.DATA, os.urandom)
    sealed = sealed_before_key_blocks(keys, LMK)
    assert unseal_keys(sealed, LMK) == keys
    with pytest.raises(KeyFileError, match="does not open under the LMK"):
        unseal_keys(sealed, LMK[::-1])
    document = json.loads(sealed)
    document["keys"].pop()
    with pytest.raises(KeyFileError, match="does not open"):
        unseal_keys(json.dumps(document), LMK)


def test_the_newest_version_generates_and_older_ones_only_where_they_overlap() -> None:
    first = demo_keys()
    second = first.with_next_version(Usage.PURCHASE_ROOT, os.urandom)
    assert [second.generates(Usage.PURCHASE_ROOT, version) for version in (0, 1, 2)] == [True, False, True]
    both = first.with_next_version(Usage.PURCHASE_ROOT, os.urandom, overlap=True)
    assert [both.generates(Usage.PURCHASE_ROOT, version) for version in (0, 1, 2)] == [True, True, True]
    third = both.with_next_version(Usage.PURCHASE_ROOT, os.urandom, overlap=True)
    assert [third.generates(Usage.PURCHASE_ROOT, version) for version in (1, 2, 3)] == [True, True, True]
    alone = third.with_next_version(Usage.LOAD_ROOT, os.urandom).without_overlap(Usage.PURCHASE_ROOT)
    assert [alone.generates(Usage.PURCHASE_ROOT, version) for version in (1, 2, 3)] == [False, False, True]


def test_the_check_value_of_an_sm4_key_is_by_sm4() -> None:
    # OpenSSL's command line: sm4-ecb of sixteen zero bytes under this key.
    assert sm4_check_value(DEMO_KEYS[Usage.SM4_TAC_ROOT]).hex().upper() == "8D3248"


def test_keys_do_not_open_under_another_lmk() -> None:
    sealed = seal_keys(demo_keys(), LMK, os.urandom)
    with pytest.raises(KeyFileError, match="does not open under the LMK with check value"):
        unseal_keys(sealed, LMK[::-1])


def take_one_out(rows: list[dict[str, object]]) -> None:
    rows.pop()


def exchange_two(rows: list[dict[str, object]]) -> None:
    rows[0]["block"], rows[1]["block"] = rows[1]["block"], rows[0]["block"]


def rename_one(rows: list[dict[str, object]]) -> None:
    rows[0]["version"] = 2


def flip_a_bit(rows: list[dict[str, object]]) -> None:
    value = str(rows[0]["block"])
    rows[0]["block"] = value[:-1] + f"{int(value[-1], 16) ^ 1:X}"


def shorten_one(rows: list[dict[str, object]]) -> None:
    rows[0]["block"] = str(rows[0]["block"])[:100]


def invent_a_usage(rows: list[dict[str, object]]) -> None:
    rows[0]["usage"] = "QQ"


def repeat_one(rows: list[dict[str, object]]) -> None:
    rows.append(rows[0])


def put_an_old_one_back(rows: list[dict[str, object]]) -> None:
    rows[0] = json.loads(seal_keys(demo_keys(), LMK, os.urandom))["keys"][0]


def retire_the_newest(rows: list[dict[str, object]]) -> None:
    keys = demo_keys().with_next_version(Usage.BATCH_ROOT, os.urandom)
    rows[0] = json.loads(seal_keys(keys, LMK, os.urandom))["keys"][0]


CHANGES = [take_one_out, exchange_two, rename_one, flip_a_bit, shorten_one, invent_a_usage, repeat_one]


@pytest.mark.parametrize("change", [*CHANGES, put_an_old_one_back, retire_the_newest])
def test_a_key_file_that_was_changed_does_not_open(change: Callable[[list[dict[str, object]]], None]) -> None:
    document = json.loads(seal_keys(demo_keys(), LMK, os.urandom))
    change(document["keys"])
    with pytest.raises(KeyFileError):
        unseal_keys(json.dumps(document), LMK)


def test_blocks_of_another_file_under_the_same_lmk_are_not_taken_for_ours() -> None:
    document = json.loads(seal_keys(demo_keys(), LMK, os.urandom))
    document["seal"] = seal_of(LMK, "other blocks")
    with pytest.raises(KeyFileError, match="not those that were sealed together"):
        unseal_keys(json.dumps(document), LMK)
    working, data = (
        next(row for row in document["keys"] if row["usage"] == usage)
        for usage in (Usage.WORKING, Usage.DATA)
    )
    working["block"], data["block"] = data["block"], working["block"]
    with pytest.raises(KeyFileError, match="is another key's block"):
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
