"""The HSM's folder: the LMK (unless it is given otherwise), and the keys and people sealed under it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from hsm_sim.key_file import seal_keys, unseal_keys
from hsm_sim.keys import LMK_BYTES, KeyStore, Usage
from hsm_sim.people import People, format_people, parse_people

_LMK_FILE = "lmk.key"
_KEYS_FILE = "keys.json"
_PEOPLE_FILE = "people.json"
_TAMPERED_FILE = "tampered"
_PRIVATE = 0o600


class HomeError(Exception):
    """The folder cannot be used as it is; the message says what is wrong and what to do."""


def create_home(
    folder: Path,
    keys: KeyStore,
    *,
    given_lmk: bytes | None,
    random: Callable[[int], bytes],
    transport_key_file: Path | None = None,
) -> bytes:
    """Lay the keys down in a folder that has none, and return the LMK they are sealed under.

    The LMK is the given one, else the folder's, else a new one kept in the folder. The transport key goes, in
    hex, to `transport_key_file`, for the one who personalises cards. Raises HomeError rather than write over
    anything.
    """
    _refuse_tampered(folder)
    keys_file = folder / _KEYS_FILE
    for path in (keys_file, transport_key_file):
        if path is not None and os.path.lexists(path):
            raise HomeError(f"{path} exists and is not written over; choose another place or move it away")
    prepare_folder(folder)
    lmk = given_lmk
    if lmk is None and os.path.lexists(folder / _LMK_FILE):
        lmk = _read_lmk(folder / _LMK_FILE)
    if lmk is None:
        lmk = random(LMK_BYTES)
        write_lmk(folder, lmk)
    if transport_key_file is not None:
        transport = keys.slots[Usage.TRANSPORT, keys.newest(Usage.TRANSPORT)]
        _write_private(transport_key_file, transport.hex() + "\n", replace=False)
    # Last, as its presence says that all the rest is there.
    _write_private(keys_file, seal_keys(keys, lmk, random), replace=False)
    return lmk


def open_home(folder: Path, *, given_lmk: bytes | None) -> tuple[KeyStore, bytes]:
    """The keys of a folder and the LMK. Raises HomeError, or KeyFileError where the keys do not open.

    A demo home made before a usage was known has its demo key all the same; another home gets the first
    version of it by `hsm-sim rotate`.
    """
    _refuse_tampered(folder)
    keys_file = folder / _KEYS_FILE
    if not keys_file.exists():
        raise HomeError(f"{folder} holds no keys; make them with `hsm-sim init --home {folder}`")
    lmk = given_lmk if given_lmk is not None else _read_lmk(folder / _LMK_FILE)
    return unseal_keys(_read_private(keys_file), lmk).with_missing_demo_keys(), lmk


def replace_keys(folder: Path, keys: KeyStore, lmk: bytes, *, random: Callable[[int], bytes]) -> None:
    """Put other keys in the place of a folder's."""
    _write_private(folder / _KEYS_FILE, seal_keys(keys, lmk, random), replace=True)


def read_people(folder: Path, lmk: bytes) -> People:
    """Everybody whom this HSM knows. Raises HomeError or PeopleError where that cannot be trusted."""
    path = folder / _PEOPLE_FILE
    return parse_people(_read_private(path), lmk) if os.path.lexists(path) else People()


def write_people(folder: Path, people: People, lmk: bytes) -> None:
    """Put others in the place of those whom this HSM knows."""
    _write_private(folder / _PEOPLE_FILE, format_people(people, lmk), replace=True)


def holds_keys(folder: Path) -> bool:
    """Whether there are keys in the folder."""
    return (folder / _KEYS_FILE).exists()


def holds_lmk(folder: Path) -> bool:
    """Whether there is an LMK in the folder, or what stands in its place."""
    return os.path.lexists(folder / _LMK_FILE)


def prepare_folder(folder: Path) -> None:
    """Make the folder where there is none. Raises HomeError where its keys were zeroised."""
    _refuse_tampered(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_lmk(folder: Path, lmk: bytes) -> None:
    """Keep an LMK in the folder. Raises HomeError where there is one."""
    _write_private(folder / _LMK_FILE, lmk.hex() + "\n", replace=False)


def write_once(path: Path, text: str) -> None:
    """Write a file that only we can read. Raises HomeError where something is there."""
    _write_private(path, text, replace=False)


def is_tampered(folder: Path) -> bool:
    """Whether the folder's keys were zeroised."""
    return (folder / _TAMPERED_FILE).exists()


def zeroise(folder: Path, *, random: Callable[[int], bytes]) -> list[str]:
    """Overwrite and remove every key of the folder, and mark it so for good: the names of the files.

    To be called again where it was interrupted. Copies elsewhere, and what a disk keeps of old blocks, are out of
    its reach.
    """
    (folder / _TAMPERED_FILE).touch(mode=_PRIVATE)
    gone = []
    for path in (
        folder / _KEYS_FILE,
        *sorted(folder.glob("*.key")),
        *sorted(folder.glob(f".{_KEYS_FILE}.*")),
    ):
        if path.is_file() and not path.is_symlink():
            with path.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(0)
                file.write(random(size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            gone.append(path.name)
    _sync_folder(folder)
    return gone


def _refuse_tampered(folder: Path) -> None:
    if is_tampered(folder):
        raise HomeError(
            f"the keys in {folder} were zeroised after a tamper; make an HSM in another folder, "
            "or restore a backup of its folder under its LMK"
        )


def parse_lmk(text: str, source: str) -> bytes:
    """Read an LMK from hex. Raises HomeError naming `source`, never the value."""
    try:
        lmk = bytes.fromhex(text.strip())
    except ValueError:
        lmk = b""
    if len(lmk) != LMK_BYTES:
        raise HomeError(f"the LMK in {source} is not {2 * LMK_BYTES} hex digits; correct it there")
    return lmk


def _read_lmk(path: Path) -> bytes:
    if not os.path.lexists(path):
        raise HomeError(f"there is no LMK in {path}; restore it, or give the LMK in HSM_SIM_LMK")
    return parse_lmk(_read_private(path), str(path))


def _read_private(path: Path) -> str:
    """Read a file that is ours alone. Raises HomeError where others could read or have written it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise HomeError(f"{path} cannot be opened: {error.strerror}; it must be a file of our own") from error
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise HomeError(
                f"{path} has mode {stat.S_IMODE(found.st_mode):04o} and owner {found.st_uid}; others must "
                f"not reach it: chown it to {os.geteuid()} and chmod it to {_PRIVATE:04o}"
            )
        return file.read()


def _write_private(path: Path, text: str, *, replace: bool) -> None:
    """Write a file that only we can read, whole or not at all, durably. Raises HomeError where it cannot."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
    except OSError as error:
        raise HomeError(f"{path} cannot be written: {error.strerror}; make its folder ready first") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        if replace:
            draft.replace(path)
        else:
            # A link, unlike a rename, fails where something is there already.
            path.hardlink_to(draft)
    except FileExistsError as error:
        raise HomeError(
            f"{path} exists and is not written over; choose another place or move it away"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
