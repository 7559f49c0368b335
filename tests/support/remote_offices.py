"""Offices for counters across a real line: the HTTP service on the test's books, its clients, a bad line."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
from sqlalchemy import Engine

from api.http.app import make_api
from api.http.clients import register_client
from api.http.state import Deps
from api.web import serving
from card.hsm.client import Hsm
from card.vault import open_vault
from ledger.db import writing
from ledger.sharing import Shared
from terminals.office_line import SCOPE, Credentials, OfficeLine
from terminals.questions import Questions
from terminals.remote_office import RemoteOffice
from tests.support.bad_lines import Fate, HttpLine, Weather

SECRET = "a secret of a counter's client"


@contextmanager
def office_service(
    engine: Engine, hsm: Hsm, now: Callable[[], datetime], agents: Sequence[str]
) -> Iterator[str]:
    """The HTTP API on these books, with a client for the counters of each agent; its address."""
    vault = open_vault(engine, hsm, random=secrets.token_bytes, at=now())
    with writing(engine) as conn:
        for agent in agents:
            register_client(conn, agent, SECRET, agent, [SCOPE], now())
    with Shared(engine) as writer, serving(make_api(Deps(engine, writer, hsm, vault, now))) as address:
        yield address


@dataclass
class Offices:
    """The office as counters of several agents see it, each by its own client and with its own questions."""

    address: str
    folder: Path
    stack: ExitStack
    now: Callable[[], datetime]
    opened: dict[str, RemoteOffice] = field(default_factory=dict)

    def of(self, agent: str) -> RemoteOffice:
        """The office of an agent."""
        if agent not in self.opened:
            client = httpx.Client(base_url=self.address, trust_env=False, verify=False, timeout=20)
            self.stack.enter_context(client)
            self.opened[agent] = RemoteOffice(
                OfficeLine(client, Credentials(agent, SECRET), time.sleep), self.questions(agent)
            )
        return self.opened[agent]

    def questions(self, agent: str) -> Questions:
        """The durable questions of an agent's counter."""
        path = self.folder / f"{agent}-questions.db"
        return self.stack.enter_context(Questions(path, lambda: secrets.token_hex(16), self.now, "off"))


@contextmanager
def offices(address: str, folder: Path, now: Callable[[], datetime]) -> Iterator[Offices]:
    """Offices at an address, whose lines are closed at the end; `now` is the clock of their counters."""
    with ExitStack() as stack:
        yield Offices(address, folder, stack, now)


class ScriptedLine(HttpLine):
    """Carries HTTP messages with the fates of a script, question and answer in turn; then all pass."""

    def __init__(self, address: str) -> None:
        port = int(address.rpartition(":")[2])
        super().__init__("counter", Weather(0, late_s=0, stray_s=0, tell=lambda _: None), lambda: port)
        self.script: list[Fate] = []
        self.seen: list[str] = []

    def fate(self, message: str) -> Fate:
        """The next of the script."""
        self.seen.append(message)
        return self.script.pop(0) if self.script else Fate.PASS

    @property
    def address(self) -> str:
        """Where the counter dials."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def scripted_line(address: str) -> Iterator[ScriptedLine]:
    """A line to a service that does as it is told."""
    line = ScriptedLine(address)
    try:
        yield line
    finally:
        line.close()
