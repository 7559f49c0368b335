"""Requests that write share transactions: each is answered for itself, and a silent peer holds nobody up."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx2
import pytest

from clearing.sectors.utilities.catalogue import register_billers
from clearing.sectors.utilities.http_biller import HttpBiller
from ledger.balances import balance
from ledger.checks import check_books
from ledger.db import reading, writing
from ledger.sharing import Shared
from tests.api.http_doors import Doors
from tests.support.clearing_day import at
from tests.support.crowd import all_at_once, held
from tests.support.utility_day import WATER

START_FEN = 10_000
ROOMS = Path(__file__).resolve().parents[2] / "api"


@pytest.fixture
def shop(doors: Doors) -> Doors:
    doors.fund(f"wallet:{doors.enrol(1)}", START_FEN)
    return doors


def group_of(doors: Doors) -> Shared:
    assert isinstance(doors.deps.writer, Shared)
    return doors.deps.writer


def paying(doors: Doors, number: int, amount_fen: int = 100) -> Callable[[], httpx2.Response]:
    """A purchase that is yet to be asked for."""
    headers = doors.institution("SHOP-1") | {"Idempotency-Key": f"key-{number}"}
    body = {"reference": f"bill-{number}", "holder": doors.enrol(1), "amount_fen": amount_fen}
    return partial(doors.client.post, "/v1/payments", json=body, headers=headers)


def shop_fen(doors: Doors) -> int:
    with reading(doors.engine) as conn:
        return balance(conn, "clearing:SHOP-1").balance_fen


def test_requests_that_come_while_another_writes_share_one_transaction(shop: Doors) -> None:
    asks = [paying(shop, number) for number in range(8)]
    futures, commits = all_at_once(shop.engine, group_of(shop)._group, asks)
    assert [future.result().status_code for future in futures] == [201] * 8
    assert (commits, shop_fen(shop)) == (1, 800)
    # Each has its own answer under its own key.
    again = [ask() for ask in asks]
    assert [one.headers["idempotency-replayed"] for one in again] == ["true"] * 8
    assert [one.content for one in again] == [future.result().content for future in futures]
    assert shop_fen(shop) == 800


def test_a_request_that_is_refused_takes_nobody_with_it_and_its_answer_is_kept(shop: Doors) -> None:
    other_key = shop.institution("SHOP-1") | {"Idempotency-Key": "key-1"}
    misused: Callable[[], httpx2.Response] = partial(
        shop.client.post, "/v1/payments/bill-9/reversal", json={"reason": "x"}, headers=other_key
    )
    asks = [paying(shop, 0), paying(shop, 1), paying(shop, 2, START_FEN), misused, paying(shop, 3)]
    futures, commits = all_at_once(shop.engine, group_of(shop)._group, asks)
    statuses = [future.result().status_code for future in futures]
    assert (statuses, commits, shop_fen(shop)) == ([201, 201, 409, 409, 201], 1, 300)
    assert [futures[place].result().json()["code"] for place in (2, 3)] == [
        "insufficient",
        "idempotency_conflict",
    ]
    shop.fund(f"wallet:{shop.enrol(1)}", START_FEN + 1)
    assert asks[2]().json()["code"] == "insufficient"
    with reading(shop.engine) as conn:
        assert check_books(conn) == []


@pytest.fixture
def hasty(shop: Doors) -> Iterator[Doors]:
    """The API with a writer that lets nobody wait long."""
    with Shared(shop.engine, patience_s=0.05) as writer:
        yield shop.rewired(writer=writer)


def test_whose_turn_does_not_come_is_told_when_to_ask_again_and_nothing_was_done(hasty: Doors) -> None:
    asks = [paying(hasty, number) for number in range(2)]
    me = hasty.session(hasty.enrol(1)) | {"Idempotency-Key": "mine"}
    around = partial(
        hasty.client.post,
        "/v1/me/bill-payments",
        json={"biller": "WATER-1", "account_no": "A1", "bill_no": "B1", "amount_fen": 1},
        headers=me,
    )
    with ThreadPoolExecutor(3) as pool, held(hasty.engine) as begun:
        first = pool.submit(asks[0])
        assert begun.wait(20)
        for one in (first, pool.submit(asks[1]), pool.submit(around)):
            answer = one.result()
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
            assert answer.headers["retry-after"] == "2"
    assert shop_fen(hasty) == 0
    # No key was taken.
    assert [ask().status_code for ask in asks] == [201, 201]
    assert around().json()["code"] == "biller_unknown"


def test_a_biller_that_does_not_answer_holds_up_only_who_asked_it(shop: Doors) -> None:
    with writing(shop.engine) as conn:
        register_billers(conn, [WATER], at=at(0))
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        HttpBiller(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_s=20) as biller,
        ThreadPoolExecutor(1) as pool,
    ):
        shop.rewired(peers={"billers": {WATER.id: biller}})
        body = {"biller": WATER.id, "account_no": "A1", "bill_no": "B1", "amount_fen": 1}
        me = shop.session(shop.enrol(1)) | {"Idempotency-Key": "mine"}
        waits = pool.submit(shop.client.post, "/v1/me/bill-payments", json=body, headers=me)
        line, _ = listener.accept()
        assert [paying(shop, number)().status_code for number in range(3)] == [201] * 3
        assert not waits.done()
        line.close()
        assert waits.result().json()["code"] == "peer_unavailable"


def test_the_service_writes_through_its_one_writer_alone() -> None:
    """A transaction of an endpoint's own would wait for all that the writer does, and hold it up."""
    rooms = [*(ROOMS / "http").glob("*.py"), *(ROOMS / "pages").glob("*.py"), ROOMS / "web.py"]
    assert len(rooms) > 30
    assert [path.name for path in rooms if "writing(" in path.read_text()] == []
