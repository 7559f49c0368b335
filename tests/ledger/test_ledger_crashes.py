"""Writers and the database itself killed in the middle of their work: what was acknowledged is kept, whole."""

import random
import signal
import subprocess
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from city.processes import PostgresServer, private_server
from ledger.db import make_engine, migrate, reading
from ledger.sharing import Alone
from ledger.verify import verify_books
from tests.ledger.conftest import begin
from tests.ledger.some_books import Books
from tests.ledger.writer import Acknowledged, assert_kept, write
from tests.ledger.writers import heard, start
from tests.support.dead_server import kill

BATCHES = 200
"""More than a writer gets to before it is killed."""


def assert_survived(engine: Engine, name: str, acknowledged: list[Acknowledged]) -> None:
    """All that was acknowledged is there, at most the batch after it as well, and the books hold."""
    with reading(engine) as conn:
        assert_kept(conn, name, acknowledged, len(acknowledged) + 3)
        assert list(verify_books(conn)) == []


@pytest.mark.parametrize("earliest", [1, 15, 40])
def test_a_writer_killed_at_any_statement_leaves_whole_batches(
    books: Books, database_url: str, earliest: int
) -> None:
    # A batch is some twenty statements and a commit, whatever it holds.
    process = start(database_url, "w", BATCHES, earliest + random.randint(0, 25))
    output, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors
    acknowledged = heard(output.splitlines(keepends=True))
    assert_survived(books.engine, "w", acknowledged)
    # Another writer goes on where this one left.
    assert len(list(write(Alone(books.engine), "next", 2))) == 2
    assert_survived(books.engine, "w", acknowledged)


@pytest.mark.parametrize("earliest", [1, 60, 200])
def test_threads_that_share_transactions_lose_nothing_acknowledged_when_killed(
    books: Books, database_url: str, earliest: int
) -> None:
    names = ("a", "b", "c", "d")
    process = start(database_url, ",".join(names), BATCHES, earliest + random.randint(0, 100))
    output, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors
    said = heard(output.splitlines(keepends=True))
    for name in names:
        assert_survived(books.engine, name, [one for one in said if one.name == name])


def test_a_writer_killed_from_outside_leaves_whole_batches(books: Books, database_url: str) -> None:
    process = start(database_url, "w", BATCHES)
    lines = listen(process, random.randint(2, 12))
    process.kill()
    lines += process.stdout or []
    assert process.wait() == -signal.SIGKILL
    assert_survived(books.engine, "w", heard(lines))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that may be killed, with books in it."""
    with private_server() as running:
        engine = make_engine(running.url)
        migrate(engine)
        begin(engine)
        engine.dispose()
        yield running


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_database_killed_while_it_is_written_to_keeps_what_was_acknowledged(
    server: PostgresServer, name: str
) -> None:
    process = start(server.url, name, BATCHES)
    lines = listen(process, random.randint(2, 12))
    kill(server)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and "OperationalError" in errors
    server.start()
    engine = make_engine(server.url)
    acknowledged = heard([*lines, *output.splitlines(keepends=True)])
    assert_survived(engine, name, acknowledged)
    assert len(list(write(Alone(engine), f"after {name}", 2))) == 2
    assert_survived(engine, name, acknowledged)
    engine.dispose()


def listen(process: "subprocess.Popen[str]", batches: int) -> list[str]:
    """Hear a number of batches acknowledged, and come back while the next one is on its way."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(batches)]
    assert all(lines), process.communicate()[1]
    return lines
