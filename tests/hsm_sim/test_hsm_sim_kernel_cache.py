"""The folder of compiled kernels: ours alone, and used only as it was left."""

import os
from pathlib import Path

import pytest
from hsm_sim.kernel_cache import cache_folder, kept
from hsm_sim.kernels import compiled_verifiers
from hypothesis import given, settings
from hypothesis import strategies as st


def files_in(folder: Path, made_from: bytes = b"source") -> dict[str, bytes]:
    with kept(folder, made_from) as files:
        return {path.name: path.read_bytes() for path in files.rglob("*") if path.is_file()}


def leave(folder: Path, content: dict[str, bytes], made_from: bytes = b"source") -> list[Path]:
    """Leave files in the folder as a compilation does; where they lie."""
    with kept(folder, made_from) as files:
        (files / "deeper").mkdir(exist_ok=True)
        for name, data in content.items():
            (files / "deeper" / name).write_bytes(data)
        return [files / "deeper" / name for name in content]


def test_what_was_left_is_there_the_next_time(tmp_path: Path) -> None:
    assert files_in(tmp_path / "cache") == {}
    leave(tmp_path / "cache", {"a": b"one", "b": b"two"})
    assert files_in(tmp_path / "cache") == {"a": b"one", "b": b"two"}


def test_kernels_of_other_sources_are_not_taken(tmp_path: Path) -> None:
    leave(tmp_path / "cache", {"a": b"one"})
    assert files_in(tmp_path / "cache", b"source, changed") == {}
    assert files_in(tmp_path / "cache") == {"a": b"one"}


@settings(max_examples=30, deadline=None)
@given(content=st.binary(min_size=1, max_size=40), at=st.integers(0, 39), bit=st.integers(0, 7))
def test_a_damaged_file_is_never_given_out(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, at: int, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("cache", numbered=True) / "mine"
    damaged, _ = leave(folder, {"a": content, "b": b"whole"})
    changed = bytearray(content)
    changed[at % len(content)] ^= 1 << bit
    damaged.write_bytes(changed)
    assert files_in(folder) == {}


@pytest.mark.parametrize("what", ["file missing", "file too many", "manifest missing", "manifest broken"])
def test_a_folder_not_as_it_was_left_counts_as_empty(tmp_path: Path, what: str) -> None:
    one, _ = leave(tmp_path / "cache", {"a": b"one", "b": b"two"})
    manifest = next((tmp_path / "cache").glob("*/manifest.json"))
    match what:
        case "file missing":
            one.unlink()
        case "file too many":
            one.with_name("c").write_bytes(b"three")
        case "manifest missing":
            manifest.unlink()
        case _:
            manifest.write_bytes(b"{")
    assert files_in(tmp_path / "cache") == {}
    leave(tmp_path / "cache", {"a": b"anew"})
    assert files_in(tmp_path / "cache") == {"a": b"anew"}


def test_a_folder_that_others_can_reach_is_refused(tmp_path: Path) -> None:
    open_to_all, mine = tmp_path / "open", tmp_path / "mine"
    open_to_all.mkdir(mode=0o755)
    mine.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(mine)
    for folder in (open_to_all, tmp_path / "link"):
        with pytest.raises(PermissionError, match="chmod it to 0700"):
            files_in(folder)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        files_in(tmp_path / "file")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_CACHE_HOME": "/var/cache/city", "HOME": "/nowhere"}, "/var/cache/city/hsm-sim"),
        ({"XDG_CACHE_HOME": "not/absolute", "HOME": "/nowhere"}, "/nowhere/.cache/hsm-sim"),
        ({"HOME": "/nowhere"}, "/nowhere/.cache/hsm-sim"),
    ],
)
def test_the_folder_is_where_the_users_caches_are(environment: dict[str, str], expected: str) -> None:
    assert cache_folder(environment) == Path(expected)
    assert cache_folder({}) is None


def test_kernels_once_compiled_are_taken_from_the_folder(tmp_path: Path) -> None:
    folder = cache_folder(os.environ) or tmp_path / "cache"
    compiled_verifiers(folder)
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*.nb?")}
    assert len(written) >= 4
    compiled_verifiers(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.nb?")} == written
