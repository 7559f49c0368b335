"""Group commit: who posts at once shares a transaction, is answered after it, and loses nothing."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import Connection

from ledger.balances import balance
from ledger.checks import check_books
from ledger.db import reading, writing
from ledger.entry import Entry, Posted
from ledger.group import Busy, Closed, GroupCommit
from ledger.orders import Answer, Order
from ledger.post import post
from ledger.verify import verify_books
from tests.ledger.some_books import AT, Books


class Gate:
    """A handler that posts, counts its groups, and waits before one until it is let go."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def __call__(self, conn: Connection, orders: Sequence[Order]) -> Sequence[Answer]:
        self.groups.append(len(orders))
        self.entered.set()
        self.open.wait()
        if any(order.reference == "poison" for order in orders):
            raise ZeroDivisionError("poison")
        return post(conn, orders, at=AT)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def group(books: Books, gate: Gate) -> Iterator[GroupCommit[Order, Answer]]:
    with GroupCommit[Order, Answer](books.engine, gate) as made:
        yield made


def load(books: Books, reference: str, amount_fen: int = 1) -> Entry:
    return books.load("1", amount_fen, reference)


def test_many_threads_are_answered_and_each_sees_its_money_there(
    books: Books, group: GroupCommit[Order, Answer], gate: Gate
) -> None:
    def ask(number: int) -> bool:
        answer = group.ask(load(books, f"load:{number}"))
        with reading(books.engine) as conn:
            # Whoever was answered finds it committed.
            count = conn.exec_driver_sql(
                f"SELECT count(*) FROM ledger_entry WHERE reference = 'load:{number}'"
            )
            return isinstance(answer, Posted) and count.scalar_one() == 1

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(200)))
    assert sum(gate.groups) == 200
    with reading(books.engine) as conn:
        assert balance(conn, "purse:1").balance_fen == 200
        assert check_books(conn) == []
        assert list(verify_books(conn)) == []


def waiting_behind(
    group: GroupCommit[Order, Answer], gate: Gate, orders: Sequence[Order]
) -> list["Future[Answer]"]:
    """Orders that queue up behind one that is being written."""
    gate.open.clear()
    gate.entered.clear()
    first = group.submit(orders[0])
    gate.entered.wait()
    return [first, *(group.submit(order) for order in orders[1:])]


def test_what_comes_in_meanwhile_goes_into_one_transaction_in_its_order(
    books: Books, group: GroupCommit[Order, Answer], gate: Gate
) -> None:
    futures = waiting_behind(group, gate, [load(books, f"load:{number}") for number in range(9)])
    assert not any(future.done() for future in futures)
    gate.open.set()
    numbers = [answer.entry_id for future in futures if isinstance(answer := future.result(), Posted)]
    assert gate.groups == [1, 8]
    assert numbers == sorted(numbers) and len(numbers) == 9


def test_one_that_fails_takes_nobody_with_it(
    books: Books, group: GroupCommit[Order, Answer], gate: Gate
) -> None:
    futures = waiting_behind(group, gate, [load(books, name) for name in ("a", "b", "poison", "c")])
    gate.open.set()
    assert [type(futures[place].result()) for place in (0, 1, 3)] == [Posted] * 3
    with pytest.raises(ZeroDivisionError, match="poison"):
        futures[2].result()


def test_a_cancelled_order_leaves_no_trace_and_a_running_one_cannot_be_cancelled(
    books: Books, group: GroupCommit[Order, Answer], gate: Gate
) -> None:
    futures = waiting_behind(group, gate, [load(books, name) for name in ("running", "cancelled", "kept")])
    assert [future.cancel() for future in futures[:2]] == [False, True]
    gate.open.set()
    assert isinstance(futures[2].result(), Posted)
    assert set(books.nets()) == {"agent:A", "purse:1"}
    assert books.nets()["purse:1"] == -2


def test_too_many_are_turned_away_and_nobody_waits_for_ever(books: Books, gate: Gate) -> None:
    clock = iter([0.0, 0.0, 0.0, 0.0, 9.0])  # taken, its turn, taken, taken, their turn
    with GroupCommit[Order, Answer](books.engine, gate, capacity=2, clock=lambda: next(clock)) as group:
        futures = waiting_behind(group, gate, [load(books, name) for name in ("a", "b", "c")])
        with pytest.raises(Busy, match="2 orders are waiting"):
            group.submit(load(books, "d"))
        gate.open.set()
        for future in futures[1:]:
            with pytest.raises(Busy, match="ask again later"):
                future.result()


def test_whoever_waits_for_another_writer_may_withdraw_and_is_turned_away_in_time(
    books: Books, gate: Gate
) -> None:
    with GroupCommit[Order, Answer](books.engine, gate, patience_s=0.2) as group:
        with writing(books.engine):
            withdrawn, waiting = (
                group.submit(load(books, reference)) for reference in ("withdrawn", "waiting")
            )
            with pytest.raises(Busy, match=r"waited 0\.2 s for its turn; ask again later"):
                group.ask(load(books, "asked"))
            assert withdrawn.cancel()
        with pytest.raises(Busy):
            waiting.result()
        assert isinstance(group.ask(load(books, "asked later")), Posted)
    assert gate.groups == [1]
    assert books.nets()["purse:1"] == -1


def test_closing_answers_all_that_was_taken_and_takes_no_more(books: Books, gate: Gate) -> None:
    group = GroupCommit[Order, Answer](books.engine, gate)
    futures = waiting_behind(group, gate, [load(books, f"load:{number}") for number in range(5)])
    closing = threading.Thread(target=group.close)
    closing.start()
    while not group._closed:
        threading.Event().wait(0.001)
    with pytest.raises(Closed, match="ask again"):
        group.submit(load(books, "late"))
    gate.open.set()
    closing.join()
    assert all(isinstance(future.result(timeout=0), Posted) for future in futures)


def test_a_connection_that_breaks_under_a_group_is_made_anew(books: Books) -> None:
    broken: list[int] = []

    def handle(conn: Connection, orders: Sequence[Order]) -> Sequence[Answer]:
        answers = post(conn, orders, at=AT)
        if not broken and conn.dialect.name == "postgresql":  # a file has no connection that could break
            broken.append(len(answers))
            conn.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return answers

    with GroupCommit[Order, Answer](books.engine, handle) as group:
        answer = group.ask(load(books, "once"))
    assert isinstance(answer, Posted)
    assert books.nets()["purse:1"] == -1


def test_a_connection_that_lost_what_was_planned_on_it_is_made_anew(books: Books) -> None:
    def handle(conn: Connection, orders: Sequence[Order]) -> Sequence[Answer]:
        answers = post(conn, orders, at=AT)
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql("DEALLOCATE ALL")
        return answers

    with GroupCommit[Order, Answer](books.engine, handle) as group:
        assert [type(group.ask(load(books, f"load:{number}"))) for number in range(3)] == [Posted] * 3
    assert books.nets()["purse:1"] == -3


def test_coroutines_are_answered_together_and_a_cancelled_one_leaves_no_trace(
    books: Books, group: GroupCommit[Order, Answer], gate: Gate
) -> None:
    async def ask() -> list[object]:
        gate.open.clear()
        gate.entered.clear()
        tasks = [asyncio.create_task(group.answer(load(books, "first")))]
        await asyncio.to_thread(gate.entered.wait)
        names = ["load:1", "cancelled", "poison", "load:2"]
        tasks += [asyncio.create_task(group.answer(load(books, name))) for name in names]
        await asyncio.sleep(0)
        tasks[2].cancel()
        gate.open.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(ask())
    kinds = [Posted, Posted, asyncio.CancelledError, ZeroDivisionError, Posted]
    assert [type(answer) for answer in found] == kinds
    assert books.nets()["purse:1"] == -3


def test_a_loop_that_ended_keeps_nobody_else_from_an_answer(
    books: Books, group: GroupCommit[Order, Answer], gate: Gate
) -> None:
    async def leave() -> None:
        gate.open.clear()
        gate.entered.clear()
        tasks.append(asyncio.create_task(group.answer(load(books, "left"))))
        await asyncio.to_thread(gate.entered.wait)

    tasks: list[asyncio.Task[Answer]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    tasks[0].cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()
    gate.open.set()
    assert isinstance(group.ask(load(books, "after")), Posted)
    assert books.nets()["purse:1"] == -2  # what was begun is in the books, asked for or not


def test_a_coroutine_whose_turn_does_not_come_is_busy_and_leaves_no_trace(books: Books, gate: Gate) -> None:
    async def ask(group: GroupCommit[Order, Answer]) -> Answer:
        gate.open.clear()
        first = asyncio.create_task(group.answer(load(books, "begun")))
        await asyncio.to_thread(gate.entered.wait)
        with pytest.raises(Busy, match=r"waited 0\.05 s for its turn; ask again later"):
            await group.answer(load(books, "late"))
        assert not first.done()  # it was begun, and so it is answered however long it takes
        gate.open.set()
        return await first

    with GroupCommit[Order, Answer](books.engine, gate, patience_s=0.05) as group:
        assert isinstance(asyncio.run(ask(group)), Posted)
    assert gate.groups == [1]
    assert books.nets()["purse:1"] == -1


def test_each_coroutine_is_turned_away_when_its_own_time_is_over(books: Books, gate: Gate) -> None:
    now = [0.0]

    async def ask(group: GroupCommit[Order, Answer]) -> list[object]:
        gate.open.clear()
        tasks = [asyncio.create_task(group.answer(load(books, "begun")))]
        await asyncio.to_thread(gate.entered.wait)
        for name, since in (("early", 0.0), ("as early", 0.0), ("later", 0.03)):
            now[0] = since
            tasks.append(asyncio.create_task(group.answer(load(books, name))))
            await asyncio.sleep(0)
        now[0] = 0.06
        await asyncio.wait(tasks[1:3])
        assert [task.done() for task in tasks] == [False, True, True, False]
        gate.open.set()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    with GroupCommit[Order, Answer](books.engine, gate, patience_s=0.05, clock=lambda: now[0]) as group:
        found = asyncio.run(ask(group))
    assert [type(answer) for answer in found] == [Posted, Busy, Busy, Posted]
    assert books.nets()["purse:1"] == -2


def test_coroutines_that_race_for_the_same_references_book_each_once(
    books: Books, group: GroupCommit[Order, Answer]
) -> None:
    async def ask(first: int) -> list[Answer]:
        return [await group.answer(load(books, f"load:{(first + number) % 40}")) for number in range(40)]

    async def race() -> list[list[Answer]]:
        return await asyncio.gather(*(ask(7 * asker) for asker in range(24)))

    found = [answer for answers in asyncio.run(race()) for answer in answers if isinstance(answer, Posted)]
    assert len(found) == 24 * 40
    assert sorted(answer.reference for answer in found if answer.first_time) == sorted(
        f"load:{number}" for number in range(40)
    )
    assert len({(answer.reference, answer.entry_id) for answer in found}) == 40
    assert books.nets()["purse:1"] == -40
    with reading(books.engine) as conn:
        assert list(verify_books(conn)) == []
