"""Everybody in a story as real processes on bad lines, and the hand that kills them and starts them again."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Any

from city.processes import AUTHORISED
from city.sectors import GAS
from tests.city.chaos_town import BILLERS, CODE_VALIDATOR, OPERATOR, VALIDATOR, WATER, Town
from tests.city.chaos_workload import SERVICES, Workload
from tests.support.bad_lines import BAD, WORSE, BadLine, FramedLine, HttpLine, Weather
from tests.support.foundry import Foundry

STORY_TIMEOUT_S = 120.0
STORM_S = 25.0
STORM_MESSAGES = 300
"""After so many messages the weather clears up, and after so long it is calm: what is begun then comes to an end."""
TICK_S = 0.02
MOST_STARTS = 60
PEER_TIMEOUT_S = 0.25
CALLER_TIMEOUT_S = 0.8
LATE_S = 0.3
"""Later than any peer waits, sooner than any caller gives up."""
STRAY_S = 1.2
"""Later than anybody waits."""


class StoryFailed(Exception):
    """A story did not come to its end; the message tells it."""


@dataclass
class Story:
    """What happened, in order, with the seconds since it began."""

    seed: int
    begun: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)

    def tell(self, line: str) -> None:
        """Add a line; may come from any thread."""
        self.lines.append(f"{time.monotonic() - self.begun:7.3f} {line}")

    def __str__(self) -> str:
        return "\n".join([f"The story of seed {self.seed}:", *self.lines])


@dataclass
class Part:
    """A program's part: how it is started, and the process that plays it now. A service plays until the end."""

    name: str
    program: str
    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    service: bool
    pid: int | None = None
    starts: int = 0
    done: bool = False

    def port(self) -> int | None:
        """Where the process listens, once it does."""
        with suppress(OSError, ValueError):
            return int((self.folder / "port").read_text())
        return None


class Orchestra:
    """The parts and the lines between them. `folder` is the story's own; `close` ends everything."""

    def __init__(self, foundry: Foundry, folder: Path, hsm_home: Path, database_url: str, seed: int) -> None:
        self.story = Story(seed)
        self.weather = Weather(seed, late_s=LATE_S, stray_s=STRAY_S, tell=self.story.tell)
        self.folder = folder
        self._foundry = foundry
        self._parts: dict[str, Part] = {}
        self._lines: dict[str, BadLine] = {}
        self._hsm_home = hsm_home
        self._database_url = database_url

    def cast(
        self, town: Town, workload: Workload, tokens: Mapping[str, str], till_keys: Mapping[str, Any]
    ) -> None:
        """Give everybody a folder, a part, and lines to the others."""
        self._service("hsm", "hsm-sim", "serve", "--home", str(self._hsm_home), "--port", "0", *AUTHORISED)
        self._service("insurer", "insurer", "--home", str(self._folder_of("insurer")))
        for biller, (kind, part) in BILLERS.items():
            home = str(self._folder_of(biller))
            self._service(
                biller, "biller", "--id", biller, "--kind", kind, "--home", home, *["--part"] * part
            )
        self._service("api", "onecard", "serve", "--port", "0", peers=True)
        self._service("gateway", "onecard", "pos", "gateway", "--port", "0", peers=True)
        self._service(
            "errands", "onecard", "errands", "--every-s", "0.2", "--put-off-too", peers=True, port=False
        )
        for terminal, orders in workload.tills.items():
            self._worker(
                terminal, "till", {"orders.json": orders, "terminal.json": till_keys[terminal]},
                "--gateway", str(self._line(FramedLine, terminal, "gateway")),
                "--timeout-s", str(self._patience * CALLER_TIMEOUT_S),
            )  # fmt: skip
        for name, deeds in workload.callers.items():
            url = f"http://127.0.0.1:{self._line(HttpLine, name, 'api')}"
            plan = {"url": url, "token": tokens[name], "deeds": deeds}
            self._worker(
                name, "caller", {"plan.json": plan}, "--timeout-s", str(self._patience * CALLER_TIMEOUT_S)
            )
        hsm = f"127.0.0.1:{self._line(FramedLine, 'depot', 'hsm')}"
        words = (
            "--city", str(self.folder / "city"), "--hsm", hsm, "--operator", OPERATOR,
            "--transport-key", str(self._hsm_home / "transport.key"),
            "--timeout-s", str(self._patience * 2 * PEER_TIMEOUT_S),
            "--validator", VALIDATOR, "--code-validator", CODE_VALIDATOR, "--issuer-key", town.issuer_key,
            "--office-key", town.office_key,
        )  # fmt: skip
        self._worker("depot", "depot", {"orders.json": workload.street}, *words)

    def play(self, workload: Workload) -> None:
        """Play until every worker is done, killing as proposed. Raises StoryFailed where that takes too long."""
        for part in self._parts.values():
            self._start(part)
        kills = list(workload.kills)
        while not all(part.done for part in self._parts.values() if not part.service):
            if kills and self.weather.carried >= kills[0].carried:
                self._kill(self._parts[kills.pop(0).victim])
            if not self.weather.clearing and self.weather.carried >= STORM_MESSAGES:
                self.weather.clearing = True
                self.story.tell("the weather is clearing")
            if time.monotonic() - self.story.begun > STORM_S:
                self.clear_up()
            self._tick()
        self.clear_up()

    def clear_up(self) -> None:
        """From now on every line carries everything."""
        if not self.weather.calm:
            self.weather.calm = True
            self.story.tell("the weather is calm")

    def wait_for(self, quiet: Callable[[], list[str]]) -> None:
        """Wait until nothing is left to be done; `quiet` says what is. Raises StoryFailed where that takes too long."""
        while left := [*quiet(), *["messages gone astray"] * (self.weather.astray > 0)]:
            self._tick(f"still waiting: {'; '.join(left)}")

    def close(self) -> None:
        """End every process and every line."""
        for part in self._parts.values():
            if part.pid is not None and self._foundry.ended(part.pid) is None:
                self._foundry.end(part.pid, SIGKILL)
        for line in self._lines.values():
            line.close()

    def _tick(self, left: str = "") -> None:
        time.sleep(TICK_S)
        for part in self._parts.values():
            self._look_after(part)
        if time.monotonic() - self.story.begun > STORY_TIMEOUT_S:
            busy = [part.name for part in self._parts.values() if not part.service and not part.done]
            raise StoryFailed(
                f"no end after {STORY_TIMEOUT_S:.0f} s; not done: {', '.join(busy)} {left}\n{self.story}"
            )

    def _look_after(self, part: Part) -> None:
        """Start again what has ended and should not have."""
        status = None if part.pid is None or part.done else self._foundry.ended(part.pid)
        if status is None:
            return
        if status == 0 and not part.service:
            part.done = True
            self.story.tell(f"{part.name} is done")
            return
        self.story.tell(f"{part.name} ended with {status}")
        if part.starts == MOST_STARTS:
            log = (part.folder / "log").read_text(errors="replace")[-2_000:]
            raise StoryFailed(
                f"{part.name} was started {MOST_STARTS} times; its log ends:\n{log}\n{self.story}"
            )
        self._start(part)

    def _start(self, part: Part) -> None:
        (part.folder / "port").unlink(missing_ok=True)
        part.starts += 1
        part.pid = self._foundry.start(part.program, part.words, part.environment, part.folder / "log")

    def _kill(self, part: Part) -> None:
        if part.pid is None or part.done:
            return
        self.story.tell(f"{part.name} is killed, {self.weather.carried} messages carried")
        self._foundry.end(part.pid, SIGKILL)

    def _service(self, name: str, program: str, *words: str, peers: bool = False, port: bool = True) -> None:
        folder = self._folder_of(name)
        more = ("--port-file", str(folder / "port")) if port else ()
        environment = self._environment(name) if peers else {}
        self._parts[name] = Part(name, program, (*words, *more), environment, folder, service=True)

    def _worker(self, name: str, program: str, files: Mapping[str, Any], *words: str) -> None:
        folder = self._folder_of(name)
        for file, content in files.items():
            (folder / file).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        environment = {"ONECARD_DATABASE": self._database_url}
        self._parts[name] = Part(
            name, program, ("--home", str(folder), *words), environment, folder, service=False
        )

    @property
    def _patience(self) -> float:
        """In a story that is calm from its beginning nobody gives up, however busy the machine is."""
        return 20.0 if self.weather.calm else 1.0

    def _environment(self, name: str) -> dict[str, str]:
        billers = {
            biller: f"http://127.0.0.1:{self._line(HttpLine, name, biller)}" for biller in (GAS, WATER.id)
        }
        return {
            "ONECARD_HOME": str(self.folder / "city"),
            "ONECARD_DATABASE": self._database_url,
            "ONECARD_HSM": f"127.0.0.1:{self._line(FramedLine, name, 'hsm')}",
            "ONECARD_INSURER": f"http://127.0.0.1:{self._line(HttpLine, name, 'insurer')}",
            "ONECARD_BILLERS": json.dumps(billers),
            "ONECARD_PEER_TIMEOUT_S": str(self._patience * PEER_TIMEOUT_S),
        }

    def _line(self, kind: type[BadLine], near: str, far: str) -> int:
        """The port of a new line from one part to another, which need not have its part yet."""
        name = f"{near}>{far}"
        weights = WORSE if far in ("insurer", *BILLERS) else BAD
        self._lines[name] = kind(name, self.weather, lambda: self._parts[far].port(), weights)
        return self._lines[name].port

    def _folder_of(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


assert set(SERVICES) == {"api", "gateway", "hsm", "insurer", "errands", *BILLERS}
