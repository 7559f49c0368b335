"""Where compiled kernels are kept between runs: a folder of our own, and only as long as it is as we left it.

What Numba keeps there it later runs, so the folder must be ours alone, and a file that has been damaged must never
be used. Without such a folder the kernels are compiled anew, which takes some seconds and breaks nothing.
"""

import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_MANIFEST = "manifest.json"
_LOCK = "lock"


def cache_folder(environment: Mapping[str, str]) -> Path | None:
    """The user's folder for what can be made again, as the XDG base directories have it; None where there is none."""
    given, home = environment.get("XDG_CACHE_HOME"), environment.get("HOME")
    if given and Path(given).is_absolute():
        return Path(given) / "hsm-sim"
    return Path(home) / ".cache" / "hsm-sim" if home else None


@contextmanager
def kept(folder: Path, made_from: bytes) -> Iterator[Path]:
    """The subfolder for kernels made from these sources, for one process at a time.

    It holds what an earlier run left, if nothing has touched it since, and else nothing. Raises OSError where the
    folder cannot be made or written, PermissionError where it is not ours alone.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = folder / hashlib.sha256(made_from).hexdigest()[:16]
    place.mkdir(mode=0o700, exist_ok=True)
    for each in (folder, place):
        _check_ours_alone(each)
    with (place / _LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        files = place / "files"
        files.mkdir(mode=0o700, exist_ok=True)
        found = _digests(files)
        if found and found != _manifest(place):
            for path in _files(files):
                path.unlink()
        yield files
        _write_manifest(place, _digests(files))


def _check_ours_alone(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(
            f"{folder} is not a folder of our own that others cannot reach; chmod it to 0700"
        )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _files(folder)
    }


def _manifest(place: Path) -> object:
    try:
        return json.loads((place / _MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None


def _write_manifest(place: Path, digests: Mapping[str, str]) -> None:
    draft = place / f".{_MANIFEST}.{os.getpid()}"
    draft.write_text(json.dumps(digests))
    draft.replace(place / _MANIFEST)
