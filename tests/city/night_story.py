"""A night that is struck again and again and started again each time, until it ends; and what it then has left."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from math import inf
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, prlimit
from typing import Any, Final

from api.interrupt import INTERRUPTED
from city.demo import DEMO_DATE
from city.home import Home
from city.processes import PostgresServer, copy_hsm
from ledger.db import make_engine, reading
from ledger.verify import verify_books
from settlement.work_queue import Item, Kind, State, items_of
from tests.city.night_blows import Blow, Fate, Victim
from tests.support.dead_server import kill
from tests.support.foundry import Foundry
from tests.support.night_books import after_nights, contents
from tests.support.small_disk import SmallDisk
from tests.support.waiting import wait_until

NIGHT: Final = ("night", "run", f"{DEMO_DATE}", "--at", f"{DEMO_DATE}T23:30:00")
PATIENCE_S: Final = 120.0
TICK_S: Final = 0.001
LAST_WORDS_BYTES: Final = 2_000
FULL: Final = (Victim.DISK, Victim.FILE_LIMIT)


class StoryFailed(Exception):
    """A night did not end, or ended without a word that a person understands; the message tells the story."""


@dataclass(frozen=True, slots=True)
class End:
    """What a finished night has left: every row by table, every file by path, what is amiss."""

    rows: Mapping[str, list[tuple[Any, ...]]]
    files: Mapping[str, bytes]
    amiss: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evening:
    """A day that is over and its night not begun: how to come by a copy of its books, and what all stories share.

    `home` holds its files and, on SQLite, its books. `copied` gives the URL of a database of a story's own, None
    where it lies in the home.
    """

    foundry: Foundry
    disk: SmallDisk
    hsm_home: Path
    home: Path
    server: PostgresServer | None
    copied: Callable[[], AbstractContextManager[str | None]]


@dataclass
class Story:
    """One night in a home of its own; `lines` tell what happened, `struck` how often."""

    evening: Evening
    folder: Path
    url: str | None
    lines: list[str] = field(default_factory=list)
    struck: int = 0
    spent_s: float = 0.0
    starts: int = 0
    _hsm: int = 0
    _port: str = "0"

    def play(self, fate: Fate, work_s: float) -> None:
        """Start the night until it ends, once for each blow and then undisturbed. Raises StoryFailed."""
        self._start_hsm()
        try:
            blows = list(fate.blows)
            while (status := self._attempt(blows.pop(0) if blows else None, work_s)) != 0:
                if not blows and self.starts > len(fate.blows):
                    raise StoryFailed(f"the night ended with {status} though nobody struck it\n{self}")
        finally:
            self._end_hsm()

    def end(self) -> End:
        """What is there now; read from a copy, as only the programs have the small disk mounted."""
        home = Home(shutil.copytree(self._outside, self.folder / "after"))
        engine = make_engine(self.url or home.database_url)
        with reading(engine) as conn:
            waiting = [
                f"{item.subject}: {item.what}" for item in items_of(conn) if item.kind is Kind.NIGHT_REFUSED
            ]
            amiss = (*(f"books: {found}" for found in verify_books(conn)), *waiting)
        rows = after_nights(engine)
        engine.dispose()
        folders = (home.night(DEMO_DATE), home.archive, home.inbox)
        files = {
            f"{folder.name}/{name}": content
            for folder in folders
            for name, content in contents(folder).items()
            if not name.endswith(".part")  # half of a file, which whoever is killed leaves and nobody reads
        }
        return End(rows, files, amiss)

    def refusals(self) -> list[Item]:
        """The night's own refusals in the work queue of a database that is not on the small disk."""
        assert self.url is not None
        engine = make_engine(self.url)
        with reading(engine) as conn:
            found = [item for item in items_of(conn, tuple(State)) if item.kind is Kind.NIGHT_REFUSED]
        engine.dispose()
        return found

    @property
    def home(self) -> Path:
        """Where the night's programs find it."""
        return self.evening.disk.inside / self.folder.name

    def __str__(self) -> str:
        return "\n".join(self.lines)

    @property
    def _outside(self) -> Path:
        return self.evening.disk.outside / self.folder.name

    def _attempt(self, blow: Blow | None, work_s: float) -> int:
        """One start of the night, struck by `blow`; how it ended."""
        self.starts += 1
        log = self.folder / f"night-{self.starts}.log"
        night = self.evening.foundry.start("onecard", NIGHT, self._environment(), log)
        self._watch(night, inf if blow is None else blow.after * work_s)
        time.sleep(0 if blow is None else blow.lull_ms / 1000)
        struck = blow is not None and self.evening.foundry.ended(night) is None
        if blow is not None and struck:
            self.struck += 1
            self._strike(blow, night, log)
        status = self.evening.foundry.wait(night, timeout_s=PATIENCE_S)
        self.lines.append(
            f"start {self.starts} ended with {status}, {blow} {'fell' if struck else 'did not fall'}"
        )
        said = log.read_text(encoding="utf-8", errors="replace")
        self.lines += [f"    {line}" for line in said.splitlines() if "onecard:" in line or "Error" in line]
        self._require_plain_words(status, blow if struck else None, said)
        if blow is not None and struck:
            self._mend(blow)
        return status

    def _watch(self, night: int, enough_s: float) -> None:
        """Wait until a night has worked so long, or has ended. Raises StoryFailed where it does neither."""
        deadline = time.monotonic() + PATIENCE_S
        while (spent_s := worked_s(night)) is not None and spent_s < enough_s:
            self.spent_s = spent_s
            if time.monotonic() > deadline:
                raise StoryFailed(
                    f"the night neither worked its part nor ended within {PATIENCE_S:g} s\n{self}"
                )
            time.sleep(TICK_S)

    def _strike(self, blow: Blow, night: int, log: Path) -> None:
        server = self.evening.server
        match blow.victim:
            case Victim.NIGHT:
                self.evening.foundry.end(night, signal.SIGKILL)
            case Victim.OPERATOR:
                self.evening.foundry.end(night, signal.SIGINT)
            case Victim.HSM:
                self._end_hsm()
                if blow.at_once:
                    self._start_hsm()
            case Victim.DATABASE if server is not None:
                kill(server)
            case Victim.DATABASE_STOPPED if server is not None:
                server.stop()
            case Victim.DISK if self.evening.disk.small:
                self.evening.disk.fill(blow.room_bytes)
            case _:
                # Its log is such a file, too: it can still say what has happened.
                limit_files(night, log.stat().st_size + LAST_WORDS_BYTES + blow.room_bytes // 16)

    def _mend(self, blow: Blow) -> None:
        """What an operator does before the night is started again."""
        match blow.victim:
            case Victim.HSM if not blow.at_once:
                self._start_hsm()
            case Victim.DATABASE | Victim.DATABASE_STOPPED if self.evening.server is not None:
                self.evening.server.start()
            case Victim.DISK if self.evening.disk.small:
                self.evening.disk.make_room()

    def _require_plain_words(self, status: int, blow: Blow | None, said: str) -> None:
        killed = blow is not None and blow.victim is Victim.NIGHT
        if blow is not None and blow.victim is Victim.OPERATOR:
            # In the instants before it has begun, and after it is over, it is interrupted like any other command.
            before_or_after = "onecard: interrupted" in (lines := said.splitlines()) and (
                len(lines) == 1 or "finished" in said
            )
            in_between = "onecard: interrupted; nothing is lost" in said
            killed = (status == INTERRUPTED and (in_between or before_or_after)) or "Aborted" in said
        full = blow is not None and blow.victim in FULL
        understood = "onecard:" in said and (not full or "room" in said)
        if "Traceback" in said or not (status == 0 or killed or (status == 1 and understood)):
            raise StoryFailed(f"it ended with {status} and says no plain word:\n{said}\n{self}")

    def _start_hsm(self) -> None:
        """Start it where it listened before."""
        home = self.folder / "hsm"
        if not home.exists():
            copy_hsm(self.evening.hsm_home, home)
        (home / "port").unlink(missing_ok=True)
        words = ("serve", "--home", str(home), "--port", self._port, "--port-file", str(home / "port"))
        self._hsm = self.evening.foundry.start("hsm-sim", words, {}, self.folder / "hsm.log")
        wait_until(lambda: (home / "port").exists())
        self._port = (home / "port").read_text().strip()

    def _end_hsm(self) -> None:
        self.evening.foundry.end(self._hsm, signal.SIGKILL)

    def _environment(self) -> dict[str, str]:
        environment = {
            "ONECARD_HOME": str(self.home),
            "ONECARD_HSM": f"127.0.0.1:{self._port}",
        }
        return environment if self.url is None else environment | {"ONECARD_DATABASE": self.url}


@contextmanager
def story(evening: Evening, folder: Path) -> Iterator[Story]:
    """A story in a folder whose name nobody else's has; its home is on the small disk while the block runs."""
    folder.mkdir()
    outside = evening.disk.outside / folder.name
    shutil.copytree(evening.home, outside)
    try:
        with evening.copied() as url:
            yield Story(evening, folder, url)
    finally:
        shutil.rmtree(outside)


def worked_s(process: int) -> float | None:
    """The processor time that another process has used so far; None where it has ended."""
    clock = (~process << 3) | 2  # the kernel's number of its clock (CPUCLOCK_SCHED)
    try:
        return time.clock_gettime(clock)
    except OSError:
        return None


def limit_files(process: int, size_bytes: int) -> None:
    """From now on no file of that process may be longer; the kernel refuses to let one grow."""
    try:
        prlimit(process, RLIMIT_FSIZE, (size_bytes, RLIM_INFINITY))
    except ProcessLookupError:
        return  # it has ended, and can write no more either


def differences(expected: End, found: End) -> list[str]:
    """What a disturbed night has left otherwise than the undisturbed one, and what is amiss."""
    told = list(found.amiss)
    for table, rows in expected.rows.items():
        others = found.rows[table]
        if rows != others:
            more = [row for row in others if row not in rows][:3]
            less = [row for row in rows if row not in others][:3]
            told.append(
                f"{table}: {len(others)} rows for {len(rows)}; too many {more!r:.600}, missing {less!r:.600}"
            )
    for name in sorted(expected.files.keys() | found.files.keys()):
        here, there = found.files.get(name), expected.files.get(name)
        if here != there:
            told.append(f"file {name}: {_first_difference(here, there)}")
    return told


def _first_difference(here: bytes | None, there: bytes | None) -> str:
    if here is None or there is None:
        return "only there" if here is None else "only here"
    lines = enumerate(zip_longest(here.splitlines(keepends=True), there.splitlines(keepends=True)), 1)
    number, (one, other) = next((number, pair) for number, pair in lines if pair[0] != pair[1])
    return f"line {number} is {one!r:.200}, not {other!r:.200}"
