"""One story from its seed to the auditor's last word: a copied town, the storm, the calm, audit, night, audit."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

    `copied` gives the URL of a database that is the town's own copy, by a name.
    """

    foundry: Foundry
    hsm: RunningHsm
    home: Path
    town: Town
    till_keys: Mapping[str, Mapping[str, str]]
    copied: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Ended:
    """A story that has come to its end: what the auditor found, and everything to look at again."""

    differences: list[Difference]
    orchestra: Orchestra
    workload: Workload

    def __str__(self) -> str:
        found = "\n".join(f"  {difference}" for difference in self.differences) or "  nothing"
        return f"{self.orchestra.story}\nProposed: {self.workload}\nThe auditor found:\n{found}"


def set_stage(
    foundry: Foundry, hsm: RunningHsm, client: Hsm, home: Path, engine: Engine, copied: Callable[[str], str]
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


def tell_story(stage: Stage, seed: int, folder: Path) -> Ended:
    """Play the story of a seed in `folder`, and audit it. Raises StoryFailed where it comes to no end."""
    workload = propose(seed, stage.town)
    url = stage.copied(f"story_{seed}")
    shutil.copytree(stage.home, folder / "city")
    for biller, bills in workload.bills.items():
        _send_bills(folder / biller, biller, bills)
    engine = make_engine(url)
    orchestra = Orchestra(stage.foundry, folder, stage.hsm.home, url, seed)
    try:
        tokens = let_in(engine, stage.town, at=datetime.now(UTC))
        with reading(engine) as conn:
            opening_fen = {one.code: one.net_fen for one in balances(conn)}
        orchestra.cast(stage.town, workload, tokens, stage.till_keys)
        orchestra.play(workload)
        orchestra.wait_for(lambda: _left(engine))
    finally:
        orchestra.close()
    with reading(engine) as conn:
        differences = audit(conn, folder, stage.town, opening_fen)
    differences += _audit_night(stage, engine, folder)
    engine.dispose()
    return Ended(differences, orchestra, workload)


def _left(engine: Engine) -> list[str]:
    with reading(engine) as conn:
        return unfinished(conn)


def _audit_night(stage: Stage, engine: Engine, folder: Path) -> list[Difference]:
    """Clear what the depot handed in, and compare it with what the depot and the chips say."""
    with Hsm(stage.hsm.host, stage.hsm.port) as hsm:
        city = City(Home(folder / "city"), engine, hsm, stage.hsm.transport_key_file)
        night = night_of(city, DEMO_DATE, at=datetime.now(UTC), progress=lambda *_: None)
        run_night(engine, night, observe=unobserved)
    with reading(engine) as conn:
        return audit_chips(conn, folder, stage.town)


def _send_bills(home: Path, biller: str, bills: list[dict[str, Any]]) -> None:
    home.mkdir(parents=True)
    with Journal(home / "biller.db", biller, part=BILLERS[biller][1]) as journal:
        for bill in bills:
            journal.add_bill(**bill | {"due_on": date.fromisoformat(bill["due_on"])})
