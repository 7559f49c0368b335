"""The evening before the stories: a small day with everything that goes wrong on one, lived once on each database."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import Engine, make_url, text

from city.day import Mischief, plan_day
from city.demo import DEMO_DATE, live_day
from city.plan import read_plan
from city.processes import MODEST, PostgresServer, RunningHsm, private_server
from city.world import City
from ledger.db import make_engine, migrate
from tests.city.night_blows import Fate
from tests.city.night_story import End, Evening, story
from tests.support.foundry import Foundry
from tests.support.quick_databases import copying, servers_folder
from tests.support.small_disk import SmallDisk

RIDERS: Final = 70
"""Some two hundred and fifty taps, with two of each kind of mischief."""

SERVER: Final = {**MODEST, "fsync": "off"}
"""Its processes are killed and the machine is not: what they wrote is the kernel's, synced or not."""

MakeCity = Callable[[Path, Engine], City]


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What the night leaves where nobody strikes it, and the processor time that it works."""

    end: End
    work_s: float


@dataclass(frozen=True, slots=True)
class Stage:
    """What the evenings are made with: programs ready to start, a small disk, an HSM's keys, and a server to kill."""

    foundry: Foundry
    disk: SmallDisk
    hsm: RunningHsm
    make_city: MakeCity
    sqlite_template: Path
    started_server: Callable[[], PostgresServer]
    folder: Path
    _made: dict[str, tuple[Evening, Undisturbed]] = field(default_factory=dict)

    def on(self, database: str) -> tuple[Evening, Undisturbed]:
        """The evening on a kind of database, and its undisturbed night; made when first asked for."""
        if database not in self._made:
            evening = self._on_sqlite() if database == "sqlite" else self._on_postgresql()
            folder = self.folder / f"undisturbed-{database}"
            with story(evening, folder) as calm:
                calm.play(Fate(database, ()), 0.0)
                self._made[database] = evening, Undisturbed(calm.end(), calm.spent_s)
        return self._made[database]

    def _on_sqlite(self) -> Evening:
        home = self.folder / "sqlite"
        home.mkdir()
        shutil.copyfile(self.sqlite_template, home / "onecard.db")
        self._live(home, make_engine(f"sqlite:///{home / 'onecard.db'}"))

        @contextmanager
        def copied() -> Iterator[None]:
            yield None  # the books are copied with the home that they lie in

        return Evening(self.foundry, self.disk, self.hsm.home, home, None, copied)

    def _on_postgresql(self) -> Evening:
        server = self.started_server()
        url = make_url(server.url)
        engine = make_engine(server.url)
        migrate(engine)
        self._live(self.folder / "postgresql", engine)
        # Another database to speak to: one that is copied must have nobody in it.
        admin_url = url.set(database="postgres").render_as_string()

        def run(statement: str) -> None:
            admin = make_engine(admin_url)
            with admin.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
                conn.execute(text(statement))
            admin.dispose()

        @contextmanager
        def copied() -> Iterator[str]:
            name = f"night_{uuid4().hex}"
            run(copying(f"{url.database}", name))
            yield url.set(database=name).render_as_string()
            run(f"DROP DATABASE {name} WITH (FORCE)")

        return Evening(self.foundry, self.disk, self.hsm.home, self.folder / "postgresql", server, copied)

    def _live(self, home: Path, engine: Engine) -> None:
        city = self.make_city(home, engine)
        day = plan_day(read_plan("demo"), DEMO_DATE, riders=RIDERS, mischief=tuple(Mischief) * 2, seed=2)
        live_day(city, day, progress=lambda *_: None)
        _spoil(city.home.inbox)
        engine.dispose()  # closing the last connection takes the write-ahead log into the file


def _spoil(inbox: Path) -> None:
    """A batch that comes twice, one that was cut short under another number, and one that is none."""
    first, second, *_ = sorted(inbox.glob("*.ocb"))
    (inbox / f"again-{first.name}").write_bytes(first.read_bytes())
    (inbox / f"{second.stem[:-8]}00000009.ocb").write_bytes(second.read_bytes()[:200])
    (inbox / "no-batch.ocb").write_bytes(b"no batch at all\n" * 8)


@contextmanager
def night_stage(
    foundry: Foundry,
    disk: SmallDisk,
    hsm: RunningHsm,
    make_city: MakeCity,
    sqlite_template: Path,
    folder: Path,
) -> Iterator[Stage]:
    """The stage while the block runs; a PostgreSQL is started for it when a story first asks."""
    with ExitStack() as stack:
        yield Stage(
            foundry,
            disk,
            hsm,
            make_city,
            sqlite_template,
            lambda: stack.enter_context(private_server(SERVER, servers_folder())),
            folder,
        )
