"""A counter's program killed by SIGKILL, or its HSM gone, in the middle of a load: another one ends the load."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine

from card.chip.applet import VirtualCard
from card.hsm.client import Hsm
from city.processes import RunningHsm
from tests.support.foundry import Foundry
from tests.support.load_counters import AGENTS, A, B, Town, found_town, number_of
from tests.support.remote_offices import SECRET, office_service

AMOUNT_FEN = 5_000


@dataclass
class CardServer:
    """A card on a network reader; `stop` is called at command `at` (from 0), before the card does it or after."""

    card: VirtualCard
    at: int | None = None
    after: bool = False
    stop: Callable[[], None] = lambda: None
    heard: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve one terminal after another; yields host:port."""
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                terminal, _ = self._listener.accept()
            except OSError:
                return
            self.card.reset()
            with terminal, terminal.makefile("rb") as commands:
                while len(length := commands.read(2)) == 2:
                    if (answer := self._answer(commands.read(int.from_bytes(length, "big")))) is None:
                        break
                    terminal.sendall(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, apdu: bytes) -> bytes | None:
        stopped = self.heard == self.at
        self.heard += 1
        if stopped and not self.after:
            self.stop()
            return None
        answer = self.card.transmit(apdu)
        if stopped:
            self.stop()
            return None
        return answer


@dataclass
class Counters:
    """Starts counters as programs of their own, in one home on one database."""

    foundry: Foundry
    home: Path
    environment: dict[str, str]
    office: str = ""

    def start(self, terminal: str, reader: str, *words: str) -> tuple[int, Path]:
        log = self.home / f"{terminal}-{'-'.join(words)}.log"
        log.unlink(missing_ok=True)
        options = ["counter", "--terminal", terminal, "--agent", f"AGENT-{terminal[-1]}", "--reader", reader]
        options += ["--office", self.office] if self.office else []
        return self.foundry.start("onecard", [*options, *words], self.environment, log), log

    def ended(self, pid: int) -> int:
        return self.foundry.wait(pid)


@pytest.fixture
def town(engine: Engine, city_hsm: Hsm, hsm_process: RunningHsm, tmp_path: Path) -> Town:
    return found_town(engine, city_hsm, hsm_process.transport_key_file, tmp_path)


@pytest.fixture
def office() -> str:
    """Where the counters' office is: in their own process, unless a test says otherwise."""
    return "here"


@pytest.fixture
def counters(
    foundry: Foundry, office: str, town: Town, database_url: str, hsm_address: str, tmp_path: Path
) -> Iterator[Counters]:
    """Counters that have their office in their own process; or one elsewhere, and know neither books nor HSM."""
    home = tmp_path / "home"
    home.mkdir()
    settings = {"ONECARD_HOME": str(home)}
    if office == "here":
        yield Counters(
            foundry, home, settings | {"ONECARD_DATABASE": database_url, "ONECARD_HSM": hsm_address}
        )
        return
    client = {"ONECARD_OFFICE_CLIENT": "AGENT-1", "ONECARD_OFFICE_SECRET": SECRET}
    with office_service(town.engine, town.hsm, lambda: town.now, AGENTS) as address:
        yield Counters(foundry, home, settings | client, address)
    assert list(home.glob("*.db")) == []


@pytest.mark.parametrize(
    ("database_url", "office"),
    [("sqlite", "here"), ("postgresql", "here"), ("sqlite", "elsewhere")],
    indirect=["database_url"],
)
@pytest.mark.parametrize("end", ["complete", "return"])
@pytest.mark.parametrize(
    ("at", "after"),
    [(0, True), (1, True), (2, False), (2, True)],
    ids=["select", "offer", "asked", "credited"],
)
def test_another_program_ends_the_load_of_one_that_was_killed(
    town: Town, counters: Counters, at: int, after: bool, end: str
) -> None:
    card = town.new_card()
    card_no = number_of(card)
    started = threading.Event()
    victim: list[int] = []

    def kill() -> None:
        started.wait(timeout=20)
        os.kill(victim[0], signal.SIGKILL)

    server = CardServer(card, at, after, kill)
    with server.serving() as reader:
        pid, _ = counters.start(A, reader, "load", str(AMOUNT_FEN))
        victim.append(pid)
        started.set()
        assert counters.ended(pid) == -signal.SIGKILL
        town.check(card)
        waits, loaded = bool(town.waiting(card_no)), card.state.purse.balance_fen > 0
        assert (waits, loaded) == (at == 2, (at, after) == (2, True))
        pid, log = counters.start(B, reader, end)
        status = counters.ended(pid)
    text = log.read_text()
    town.check(card)
    assert town.waiting(card_no) == []
    kept_fen = AMOUNT_FEN if loaded or (waits and end == "complete") else 0
    assert card.state.purse.balance_fen == town.fen(f"purse:{card_no}") == kept_fen
    assert town.fen("agent:AGENT-1") + town.fen("agent:AGENT-2") == kept_fen
    assert status == (0 if waits and not loaded else 1)
    if not waits or loaded:  # looking for it has booked it already
        assert "no load waits for this card" in text
    else:
        assert ("Given back" if end == "return" else "Loaded ¥50.00. Balance ¥50.00") in text


def test_a_counter_without_its_hsm_takes_no_money_and_says_so(town: Town, counters: Counters) -> None:
    card = town.new_card()
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    counters.environment["ONECARD_HSM"] = f"127.0.0.1:{port}"
    with CardServer(card).serving() as reader:
        pid, log = counters.start(A, reader, "load", str(AMOUNT_FEN))
        assert counters.ended(pid) == 1
    assert "No answer from the office" in log.read_text()
    assert (town.waiting(number_of(card)), card.state.purse.balance_fen) == ([], 0)
    town.check(card)
