"""The operators' door to a running HSM: a Unix socket in its folder, one JSON object each way.

Only the folder's owner reaches it. What an operator types goes through it and is written nowhere.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsm_sim.authority import LONGEST_S, Authority
from hsm_sim.home import HomeError, read_people, zeroise
from hsm_sim.people import PeopleError
from hsm_sim.server import Hall
from hsm_sim.suites import forget_derived_keys

REQUEST_BOUND_BYTES = 8_192
TIMEOUT_S = 20.0

_SOCKETS = "console.*"

Reply = Mapping[str, Any]


class Console:
    """Does what operators ask of one running HSM. `lmk` is what its people are sealed under."""

    def __init__(self, hall: Hall, home: Path, lmk: bytes, random: Callable[[int], bytes]) -> None:
        self._hall, self._home, self._random = hall, home, random
        self._lmk: bytes | None = lmk
        self._path = home / f"console.{os.getpid()}"

    async def open(self) -> asyncio.Server:
        """Open the door."""
        self._path.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _short_path(self._path) as short:
            mask = os.umask(0o177)
            try:
                door.bind(short)
            finally:
                os.umask(mask)
        return await asyncio.start_unix_server(self._meet, sock=door, limit=REQUEST_BOUND_BYTES)

    def close(self) -> None:
        """Take the door's name away. Whoever finds that of a process which was killed removes it, too."""
        self._path.unlink(missing_ok=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked: Any = json.loads(await asyncio.wait_for(reader.readline(), TIMEOUT_S))
            reply = await self._do(asked)
        except (ValueError, KeyError, TypeError, AttributeError, TimeoutError):
            reply = {"error": "the console did not understand; use the `hsm-sim` of the same version"}
        except (PeopleError, HomeError) as error:
            reply = {"error": str(error)}
        except OSError as error:
            reply = {"error": f"the audit log or a key cannot be written: {error.strerror}; see to the disk"}
        try:
            writer.write(json.dumps(reply).encode("utf-8") + b"\n")
            await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _do(self, asked: Mapping[str, Any]) -> Reply:
        match asked["act"]:
            case "authorise":
                pair = [(str(name), str(phrase)) for name, phrase in asked["operators"]]
                return await self._authorise(pair, int(asked["for_s"]))
            case "revoke":
                return self._revoke()
            case "tamper":
                return await self._tamper()
            case _:
                raise KeyError(asked["act"])

    async def _authorise(self, pair: list[tuple[str, str]], for_s: int) -> Reply:
        if self._lmk is None or self._hall.box.tampered:
            raise HomeError("this HSM was tampered with and has no keys; there is nothing to authorise")
        if not 0 < for_s <= LONGEST_S:
            raise HomeError(f"{for_s} seconds is no time to authorise for; give at most {LONGEST_S}")
        people = read_people(self._home, self._lmk)
        try:
            # scrypt takes its time, and gates must not wait for it.
            first, second = await asyncio.to_thread(people.check_pair, pair)
        except PeopleError:
            self._hall.note("authorisation refused", operators=", ".join(name for name, _ in pair))
            raise
        self._hall.note("authorised", operators=f"{first}, {second}", for_s=for_s)
        self._hall.authority = Authority((first, second), asyncio.get_running_loop().time() + for_s)
        return {"done": f"authorised by {first} and {second} for {for_s} seconds"}

    def _revoke(self) -> Reply:
        self._hall.authority = None
        self._hall.note("authorisation ended")
        return {"done": "nothing is authorised any more"}

    async def _tamper(self) -> Reply:
        # Keys first: whatever fails after this, they are gone.
        self._lmk = None
        await self._hall.zeroise()
        forget_derived_keys()
        gone = zeroise(self._home, random=self._random)
        self._hall.note("tampered", zeroised=", ".join(gone))
        return {"done": "every key is zeroised"}


def ask_running(home: Path, asked: Mapping[str, Any]) -> list[Reply]:
    """Ask every HSM that runs on the folder: what each replied. Doors of those that are gone are removed."""
    replies: list[Reply] = []
    for path in sorted(home.glob(_SOCKETS)):
        try:
            replies.append(_ask(path, asked))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
    return replies


def _ask(path: Path, asked: Mapping[str, Any]) -> Reply:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(TIMEOUT_S)
        with _short_path(path) as short:
            door.connect(short)
        door.sendall(json.dumps(asked).encode("utf-8") + b"\n")
        with door.makefile("rb") as answers:
            line = answers.readline()
    if not line:
        raise ConnectionResetError(f"the HSM behind {path} hung up")
    reply: Reply = json.loads(line)
    return reply


@contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """A name of the socket that fits its address, which takes no more than 107 characters."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
