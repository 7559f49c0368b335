"""What every test may ask for: a migrated database of either kind, a running HSM, the shared data."""

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from sqlalchemy import URL, Engine, make_url

from card.hsm.client import Hsm
from city.home import Home
from city.pcsc import PcscReader, private_pcscd
from city.processes import (
    FLEETING,
    Program,
    RunningHsm,
    by_itself,
    private_postgres,
    running_hsm,
    started_by,
)
from city.world import City
from ledger.db import make_engine, migrate
from ledger.loaded import let_stay
from tests.support.depth import DEPTH
from tests.support.foundry import Foundry, running_foundry
from tests.support.quick_databases import MEMORY, Copies, PostgresCopies, SqliteCopies, servers_folder

EXAMPLES = 50
"""Of a property that names no number of its own; a soak tries `DEPTH` times as many."""

hypothesis.settings.register_profile(
    "onecard", deadline=None, derandomize="CI" in os.environ, max_examples=EXAMPLES * DEPTH
)
hypothesis.settings.load_profile("onecard")

ROOM_BYTES = 8 << 30
SHORT_LIVED_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For Spark's machines of a test: they end before the second compiler's work is worth its while."""
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


LONG: Final = (
    "clearing/test_spark_cluster.py",
    "clearing/test_spark_rules.py",
    "flows/test_chaos.py",
    "flows/test_night_chaos.py",
    "flows/test_nights_with_institutions.py",
    "flows/test_random_days.py",
    "api/test_cli.py",
    "api/test_night_commands.py",
    "api/test_schedule.py",
    "settlement/test_night.py",
)
"""Files that begin a run: one worker has them in a row, with one Spark and one stage for all their stories, and the
other takes what is short from its end; so both end together."""
LEFT_OUT: set[str] = set()


def pytest_configure(config: pytest.Config) -> None:
    """In CI the real data must be there; where memory has room, what tests write is kept there."""
    if "TMPDIR" not in os.environ and _has_room(MEMORY):
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # asked for again
    os.environ.setdefault("JDK_JAVA_OPTIONS", SHORT_LIVED_JAVA)
    if os.environ.get("CI") and not SHARED_DATA.is_dir():
        raise pytest.UsageError(f"{SHARED_DATA} is missing: in CI the real-data checks must run")


def _has_room(folder: Path) -> bool:
    """Whether a folder in memory can take what a whole run writes, programs among it."""
    if not folder.is_dir() or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(folder).free > ROOM_BYTES


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long, and leave real-data checks out where the data is not at hand."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONG))
    if SHARED_DATA.is_dir():
        return
    left_out = [item for item in items if "shared_data" in getattr(item, "fixturenames", ())]
    items[:] = [item for item in items if item not in left_out]
    LEFT_OUT.update(item.originalname for item in left_out if isinstance(item, pytest.Function))
    config.hook.pytest_deselected(items=left_out)
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = sorted(LEFT_OUT)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nobody is to look for garbage while all is loaded: nearly nothing of that is any."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Whatever is loaded by now stays to the end, also when pytest looks for garbage for the last time."""
    let_stay()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear from a parallel worker what it left out."""
    LEFT_OUT.update(getattr(node, "workeroutput", {}).get("left_out", ()))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name what was left out, in one line."""
    if LEFT_OUT:
        terminalreporter.write_line(
            f"left out, as {SHARED_DATA} is not at hand: {', '.join(sorted(LEFT_OUT))}"
        )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real material beside the project."""
    return SHARED_DATA


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "onecard.db"
    engine = make_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()  # closing the last connection takes the write-ahead log into the file
    return path


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[URL]:
    """The migrated database of a private PostgreSQL, to be copied; the server stops at the end."""
    with private_postgres(FLEETING, servers_folder()) as url:
        engine = make_engine(url)
        migrate(engine)
        engine.dispose()
        yield make_url(url)


@pytest.fixture(scope="session")
def sqlite_copies(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> SqliteCopies:
    """SQLite databases that are copied."""
    return SqliteCopies(sqlite_template, tmp_path_factory.mktemp("copies"))


@pytest.fixture(scope="session")
def postgresql_copies(
    postgres_template: URL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresCopies]:
    """PostgreSQL's."""
    made = PostgresCopies(postgres_template, tmp_path_factory.mktemp("copies"))
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def copies(request: pytest.FixtureRequest) -> Copies:
    """Databases of either kind that are copied."""
    made: Copies = request.getfixturevalue(f"{request.param}_copies")
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a fresh, migrated database; every test that asks runs on both kinds."""
    if request.param == "sqlite":
        path = tmp_path / "onecard.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    copies: PostgresCopies = request.getfixturevalue("postgresql_copies")
    with copies.copied("migrated", migrate) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on `database_url`."""
    made = make_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def foundry() -> Iterator[Foundry]:
    """Programs that start in a moment."""
    with running_foundry() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def started_in_a_moment(request: pytest.FixtureRequest) -> Iterator[None]:
    """Peers of a test come from the foundry, which is there when the first of them is wanted."""

    def start(module: str, words: Sequence[str | Path], log_file: Path) -> Program:
        foundry: Foundry = request.getfixturevalue("foundry")
        return foundry.start_module(module, words, log_file)

    with started_by(start):
        yield


@pytest.fixture(scope="session")
def hsm_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHsm]:
    """A real `hsm-sim` on a loopback socket, with its demo keys; started as the program that it is."""
    with ExitStack() as stack:
        with started_by(by_itself):  # it alone: what others start meanwhile comes from the foundry
            running = stack.enter_context(running_hsm(tmp_path_factory.mktemp("hsm")))
        yield running


@pytest.fixture(scope="session")
def city_hsm(hsm_process: RunningHsm) -> Iterator[Hsm]:
    """A client of the running HSM."""
    with Hsm(hsm_process.host, hsm_process.port) as hsm:
        yield hsm


@pytest.fixture(scope="session")
def make_city(city_hsm: Hsm, hsm_process: RunningHsm) -> Callable[[Path, Engine], City]:
    """Make a city in a folder, with its books in a migrated database."""

    def make(folder: Path, engine: Engine) -> City:
        home = Home(folder)
        for needed in (home.root, home.inbox, home.archive, home.nights):
            needed.mkdir(parents=True, exist_ok=True)
        return City(home, engine, city_hsm, hsm_process.transport_key_file)

    return make


@pytest.fixture
def city(make_city: Callable[[Path, Engine], City], tmp_path: Path, engine: Engine) -> City:
    """An empty city on either kind of database."""
    return make_city(tmp_path / "city", engine)


@pytest.fixture(scope="session")
def hsm_address(hsm_process: RunningHsm) -> str:
    """Where the running HSM listens, as a setting has it."""
    return f"{hsm_process.host}:{hsm_process.port}"


@pytest.fixture(scope="session")
def pcsc_reader() -> Iterator[PcscReader]:
    """A real `pcscd` with an empty virtual reader of two slots, which this process's PC/SC library finds."""
    with private_pcscd() as reader, pytest.MonkeyPatch.context() as environment:
        for name, value in reader.environment.items():
            environment.setenv(name, value)
        yield reader
