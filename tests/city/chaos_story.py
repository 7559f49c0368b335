"""One story from its seed to the auditor's last word: a copied town, the storm, the calm, audit, night, audit."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from card.hsm.client import Hsm
from city.biller_journal import Journal
from city.demo import DEMO_DATE
from city.home import Home
from city.processes import RunningHsm
from city.sectors import SHOP
from city.world import City, night_of
from clearing.engine.duck import IN_PROCESS
from ledger.balances import balances
from ledger.db import make_engine, reading
from settlement.night import run_night, unobserved
from tests.city.chaos_auditor import Difference, audit, audit_chips, unfinished
from tests.city.chaos_orchestra import Orchestra
from tests.city.chaos_town import BILLERS, TERMINALS, Town, found_town, let_in
from tests.city.chaos_workload import Workload, propose
from tests.support.foundry import Foundry


@dataclass(frozen=True, slots=True)
class Stage:
    """What all stories on one kind of database share: the town as founded, and how to get a copy of it.

    `copied` gives the URL of a database that is a story's own copy of the town.
    """

    foundry: Foundry
    hsm: RunningHsm
    home: Path
    town: Town
    till_keys: Mapping[str, Mapping[str, str]]
    copied: Callable[[], AbstractContextManager[str]]


@dataclass(frozen=True, slots=True)
class Told:
    """A story that has come to its end, in its folder and on its own books, ready to be audited."""

    stage: Stage
    folder: Path
    engine: Engine
    opening_fen: Mapping[str, int]
    workload: Workload
    orchestra: Orchestra

    def audited_day(self) -> list[Difference]:
        """What the auditor finds once everything has drained."""
        with reading(self.engine) as conn:
            return audit(conn, self.folder, self.stage.town, self.opening_fen)

    def audited_night(self) -> list[Difference]:
        """What the auditor finds once the night has cleared what the depot handed in."""
        hsm = self.stage.hsm
        with Hsm(hsm.host, hsm.port) as client:
            city = City(Home(self.folder / "city"), self.engine, client, hsm.transport_key_file)
            night = night_of(
                city, DEMO_DATE, at=datetime.now(UTC), progress=lambda *_: None, rules=IN_PROCESS
            )
            run_night(self.engine, night, observe=unobserved)
        with reading(self.engine) as conn:
            return audit_chips(conn, self.folder, self.stage.town)

    def in_full(self, differences: Sequence[Difference]) -> str:
        """The story with what was proposed and what was found, for a person to read."""
        found = [f"  {difference}" for difference in differences] or ["  nothing"]
        return "\n".join(
            [str(self.orchestra.story), f"Proposed: {self.workload}", "The auditor found:", *found]
        )


def set_stage(
    foundry: Foundry,
    hsm: RunningHsm,
    client: Hsm,
    home: Path,
    engine: Engine,
    copied: Callable[[], AbstractContextManager[str]],
) -> Stage:
    """Found the town in the migrated database of `engine`, which is what `copied` then copies."""
    town = found_town(engine, client, Home(home), hsm.transport_key_file)
    transport_key = hsm.transport_key_file.read_text().strip()
    keys = {
        terminal: {
            "terminal": terminal,
            "merchant": SHOP,
            "specification": specification,
            "master_key": client.terminal_master_key(terminal).wrapped.hex(),
            "transport_key": transport_key,
        }
        for terminal, specification in TERMINALS
    }
    return Stage(foundry, hsm, home, town, keys, copied)


@contextmanager
def told_story(stage: Stage, seed: int, folder: Path, *, calm: bool = False) -> Iterator[Told]:
    """Play the story of a seed in `folder`; its books are there while the block runs. Raises StoryFailed.

    A calm story has the same people and wishes, good lines, and nobody is killed.
    """
    proposed = propose(seed, stage.town)
    workload = replace(proposed, kills=()) if calm else proposed
    shutil.copytree(stage.home, folder / "city")
    for biller, bills in workload.bills.items():
        _send_bills(folder / biller, biller, bills)
    with stage.copied() as url:
        engine = make_engine(url)
        orchestra = Orchestra(stage.foundry, folder, stage.hsm.home, url, seed)
        try:
            tokens = let_in(engine, stage.town, at=datetime.now(UTC))
            with reading(engine) as conn:
                opening_fen = {one.code: one.net_fen for one in balances(conn)}
            orchestra.weather.calm = calm
            orchestra.cast(stage.town, workload, tokens, stage.till_keys)
            orchestra.play(workload)
            orchestra.wait_for(lambda: _left(engine))
        finally:
            orchestra.close()
        yield Told(stage, folder, engine, opening_fen, workload, orchestra)
        engine.dispose()


def _left(engine: Engine) -> list[str]:
    with reading(engine) as conn:
        return unfinished(conn)


def _send_bills(home: Path, biller: str, bills: list[dict[str, Any]]) -> None:
    home.mkdir(parents=True)
    with Journal(home / "biller.db", biller, part=BILLERS[biller][1]) as journal:
        for bill in bills:
            journal.add_bill(**bill | {"due_on": date.fromisoformat(bill["due_on"])})
