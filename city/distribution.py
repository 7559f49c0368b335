"""What the city's validators are to obey: signed by the HSM, published, and fetched by each from its depot's yard."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

from card.algorithms import Algorithm
from card.hotlist import hotlisted
from city.processes import running_program
from city.world import City
from clearing.publication import keys_of, publish_document, publish_hotlist, signer_of
from clearing.wire.hotlist import numbers_of
from clearing.wire.signed import Keys, Kind
from clearing.wire.tariff import parse_tariff
from ledger.db import reading
from terminals.holdings import Holdings, Receipt
from terminals.line import DepotLine

SETTINGS = json.dumps(
    {
        "version": 1, "terminal": None, "ride": "bus", "line": 1, "station": 0, "fares": {"flat_fen": 200},
        "holder_classes": ["standard", "half", "free"], "issuers": None, "clock_behind_s": 300,
        "offline_hours": 168, "capacity": 100_000,
    }
)  # fmt: skip
"""Those of every depot: whom its terminals take, and how far they trust their clocks. Rides come from the plan."""


@dataclass(frozen=True, slots=True)
class Told:
    """How many terminals took which file: by its name, such as `hotlist-00002-change.ohl`."""

    taken: tuple[tuple[str, int], ...]


class Terminals:
    """The folders of every terminal of the city, and its line to the yard."""

    def __init__(self, folder: Path, keys: Keys, line: DepotLine) -> None:
        self._folder, self._keys, self._line = folder, keys, line
        self._holdings: dict[str, Holdings] = {}

    def holdings(self, terminal: str) -> Holdings:
        """What a terminal holds; one that nobody has told anything holds nothing."""
        if terminal not in self._holdings:
            self._holdings[terminal] = Holdings(self._folder / terminal, self._keys, terminal)
        return self._holdings[terminal]

    def refresh(self, terminals: Iterable[str], *, out_of_reach: Collection[str] = ()) -> Told:
        """Let every terminal take what is newer than what it holds, but for those that cannot be reached.

        Raises RuntimeError where one turns a file away.
        """
        taken: Counter[str] = Counter()
        for terminal in sorted(set(terminals) - set(out_of_reach)):
            for name, receipt in self._line.refresh(self.holdings(terminal)).items():
                # A change that does not follow what is held: the whole list comes in its place.
                if receipt is Receipt.GAP:
                    continue
                if receipt is not Receipt.TAKEN:
                    raise RuntimeError(f"terminal {terminal} did not take {name}: {receipt}")
                taken[name] += 1
        return Told(tuple(sorted(taken.items())))


@contextmanager
def running_yard(home: Path, published: Path) -> Iterator[str]:
    """Start a yard on a free loopback port; its address. It stops at the end."""
    with running_program("city.yard", home, "--published", published) as (port, _):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def distribution(city: City) -> Iterator[Terminals]:
    """A yard that serves what the city publishes, and the terminals that trust the HSM's signature."""
    world = city.home.world
    city.home.published.mkdir(parents=True, exist_ok=True)
    with (
        running_yard(world / "yard", city.home.published) as address,
        httpx.Client(base_url=address, trust_env=False, verify=False) as client,
    ):
        yield Terminals(
            world / "terminals", keys_of(city.hsm, Algorithm.ED25519, Algorithm.SM2), DepotLine(client)
        )


def publish(city: City, tariff_text: str, *, at: datetime, algorithm: Algorithm = Algorithm.ED25519) -> None:
    """Publish tariff, settings and the hotlist of the books as they are now; what has not changed is not new."""
    folder, signer = city.home.published, signer_of(city.hsm, algorithm)
    publish_document(folder, Kind.TARIFF, parse_tariff(tariff_text).version, tariff_text, signer, at=at)
    publish_document(folder, Kind.SETTINGS, 1, SETTINGS, signer, at=at)
    with reading(city.engine) as conn:
        numbers = numbers_of(entry.card_no for entry in hotlisted(conn))
    publish_hotlist(folder, numbers, signer, at=at)
