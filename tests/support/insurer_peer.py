"""The simulated insurer as a process, with a client of ours and its own controls."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx

from city.insurer import Mode, RunningInsurer, running_insurer
from clearing.sectors.healthcare.insurer_http import HttpInsurer

PATIENT_S, HURRIED_S = 20.0, 0.3
"""What our clients wait: the one for an insurer that answers, the other for one that is silent for long."""


@dataclass(frozen=True, slots=True)
class InsurerPeer:
    """A running insurer, with a client that waits for its answers and one that does not wait long."""

    client: HttpInsurer
    hurried: HttpInsurer
    controls: httpx.Client
    running: RunningInsurer

    def behave(self, mode: Mode, *on: str) -> None:
        """Behave so from now on, to these questions or to all."""
        self.running.behave(mode, *on)

    def arrivals(self, reference: str) -> dict[str, int]:
        """How often each kind of question came in."""
        found: dict[str, int] = self.controls.get(f"/simulation/arrivals/{quote(reference, safe='')}").json()
        return found

    def owed_fen(self) -> int:
        """What the insurer thinks that the fund owes."""
        return int(self.controls.get("/simulation/totals").json()["fund_fen"])


@contextmanager
def insurer_peer(home: Path) -> Iterator[InsurerPeer]:
    """Start an insurer of one's own."""
    with (
        running_insurer(home) as running,
        HttpInsurer(running.url, timeout_s=PATIENT_S) as client,
        HttpInsurer(running.url, timeout_s=HURRIED_S) as hurried,
        httpx.Client(base_url=running.url, timeout=10, verify=False) as controls,
    ):
        yield InsurerPeer(client, hurried, controls, running)
