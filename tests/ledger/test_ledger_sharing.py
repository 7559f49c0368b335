"""Work that shares transactions: each piece answered when it is durable, and undone alone where it fails."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from ledger.db import reading
from ledger.entry import Posted
from ledger.group import Busy
from ledger.post import post
from ledger.sharing import Alone, Shared, Work, Writer
from ledger.verify import verify_books
from tests.ledger.some_books import AT, Books
from tests.support.crowd import all_at_once, held, wait_for


class Stopped(Exception):
    """What a piece of work raises of its own accord."""


@pytest.fixture
def shared(books: Books) -> Iterator[Shared]:
    with Shared(books.engine) as writer:
        yield writer


@pytest.fixture
def posting(books: Books) -> Callable[[str], Work]:
    """Makes work that books a load of one fen."""

    def make(reference: str) -> Work:
        return lambda conn: post(conn, [books.load("1", 1, reference)], at=AT)[0]

    return make


def asking(writer: Writer, *works: Work) -> list[Callable[[], Any]]:
    return [lambda work=work: writer.write(work) for work in works]  # type: ignore[misc]


def test_what_comes_while_another_writes_shares_one_transaction(
    books: Books, shared: Shared, posting: Callable[[str], Work]
) -> None:
    asks = asking(shared, *(posting(f"load:{number}") for number in range(9)))
    futures, commits = all_at_once(books.engine, shared._group, asks)
    numbers = [answer.entry_id for future in futures if isinstance(answer := future.result(), Posted)]
    assert commits == 1
    assert numbers == sorted(numbers) and len(numbers) == 9
    assert books.nets()["purse:1"] == -9


def test_many_threads_are_answered_and_each_sees_its_money_there(books: Books, shared: Shared) -> None:
    def ask(number: int) -> bool:
        reference = f"load:{number}"
        shared.write(lambda conn: post(conn, [books.load("1", 1, reference)], at=AT))
        with reading(books.engine) as conn:
            query = text("SELECT count(*) FROM ledger_entry WHERE reference = :it")
            return bool(conn.execute(query, {"it": reference}).scalar_one() == 1)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(200)))
    with reading(books.engine) as conn:
        assert list(verify_books(conn)) == []


def test_work_that_fails_is_undone_alone_and_hears_why(
    books: Books, shared: Shared, posting: Callable[[str], Work]
) -> None:
    def stops(conn: Connection) -> None:
        posting("stopped")(conn)
        raise Stopped

    def breaks_a_rule(conn: Connection) -> None:
        posting("broken")(conn)
        conn.exec_driver_sql("INSERT INTO ledger_control VALUES ('purse', -1, -1)")

    works = [posting("first"), stops, posting("a"), breaks_a_rule, posting("b")]
    futures, commits = all_at_once(books.engine, shared._group, asking(shared, *works))
    assert [type(futures[place].exception()) for place in (1, 3)] == [Stopped, IntegrityError]
    assert [type(futures[place].result()) for place in (0, 2, 4)] == [Posted] * 3
    assert (commits, books.nets()["purse:1"]) == (1, -3)
    with reading(books.engine) as conn:
        assert list(verify_books(conn)) == []


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_work_that_ends_the_transaction_takes_nobody_with_it(
    books: Books, shared: Shared, posting: Callable[[str], Work], ending: str
) -> None:
    works = [posting("first"), posting("a"), lambda conn: getattr(conn, ending)(), posting("b")]
    futures, _ = all_at_once(books.engine, shared._group, asking(shared, *works))
    # Whoever was booked with it is booked again by the same reference, once.
    assert [type(futures[place].result()) for place in (0, 1, 3)] == [Posted] * 3
    assert books.nets()["purse:1"] == -3


def test_work_whose_transaction_the_database_gave_up_is_asked_again_one_by_one(
    books: Books, shared: Shared, posting: Callable[[str], Work]
) -> None:
    def gives_up(conn: Connection) -> None:
        conn.exec_driver_sql("ROLLBACK")
        conn.exec_driver_sql("SELECT 1 / 0 FROM nowhere")

    works = [posting("first"), posting("a"), gives_up, posting("b")]
    futures, _ = all_at_once(books.engine, shared._group, asking(shared, *works))
    assert isinstance(futures[2].exception(), DBAPIError)
    assert [type(futures[place].result()) for place in (0, 1, 3)] == [Posted] * 3
    assert books.nets()["purse:1"] == -3


def test_work_that_asks_to_write_once_more_is_refused_and_nobody_waits_for_ever(shared: Shared) -> None:
    for ask in (shared.write, shared.finish):
        with pytest.raises(RuntimeError, match="give it the connection"):
            shared.write(lambda _conn, ask=ask: ask(lambda _: 1))  # type: ignore[misc]
    assert shared.write(lambda _: 1) == 1


def test_whose_turn_does_not_come_is_busy_and_what_must_be_finished_is_done_alone(
    books: Books, posting: Callable[[str], Work]
) -> None:
    with Shared(books.engine, patience_s=0.05) as shared, ThreadPoolExecutor(3) as pool:
        with held(books.engine) as begun:
            first = pool.submit(shared.write, posting("first"))
            assert begun.wait(20)
            late = pool.submit(shared.write, posting("late"))
            for one in (first, late):
                with pytest.raises(Busy, match="ask again later"):
                    one.result()
            finished = pool.submit(shared.finish, posting("finished"))
        assert isinstance(finished.result(), Posted)
    assert books.nets()["purse:1"] == -1


def test_closing_answers_all_that_was_taken_and_what_comes_after_is_busy(
    books: Books, posting: Callable[[str], Work]
) -> None:
    shared = Shared(books.engine)
    with ThreadPoolExecutor(5) as pool:
        with held(books.engine) as begun:
            futures = [pool.submit(shared.write, posting("first"))]
            assert begun.wait(20)
            futures += [pool.submit(shared.write, posting(f"load:{number}")) for number in range(3)]
            wait_for(shared._group, 4)
            closing = threading.Thread(target=shared.close)
            closing.start()
        closing.join()
        assert [type(future.result()) for future in futures] == [Posted] * 4
    with pytest.raises(Busy, match="ending"):
        shared.write(posting("after"))
    # What follows on a peer's answer is kept even then.
    assert isinstance(shared.finish(posting("answer")), Posted)
    assert books.nets()["purse:1"] == -5


def test_work_alone_has_a_transaction_of_its_own(books: Books, posting: Callable[[str], Work]) -> None:
    def stops(conn: Connection) -> None:
        posting("stopped")(conn)
        raise Stopped

    alone = Alone(books.engine)
    with pytest.raises(Stopped):
        alone.write(stops)
    assert (type(alone.write(posting("a"))), type(alone.finish(posting("b")))) == (Posted, Posted)
    assert books.nets()["purse:1"] == -2
