"""One key, one answer: repeats, conflicts, refusals, and work cut off in the middle."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from pydantic import BaseModel
from sqlalchemy import Connection

from api.http.idempotency import Answer, Once, fingerprint
from api.http.kept_answers import drop_answers
from api.http.problems import Problem, problem
from ledger.accounts import open_accounts
from ledger.balances import balance
from ledger.chart import account
from ledger.db import reading, writing
from tests.api.http_doors import Doors
from tests.support.clearing_day import at

HOLDER = "H0000000001"
WALLET = f"wallet:{HOLDER}"


class Said(BaseModel):
    """An answer that counts how often the work was done."""

    times: int


@pytest.fixture
def shop(doors: Doors) -> Doors:
    with writing(doors.engine) as conn:
        open_accounts(conn, [account(WALLET)], at=at(0))
    doors.fund(WALLET, 10_000)
    return doors


def wallet_fen(doors: Doors) -> int:
    with reading(doors.engine) as conn:
        return balance(conn, WALLET).balance_fen


def purchase(reference: str = "bill-1", amount_fen: int = 300) -> dict[str, object]:
    return {"reference": reference, "holder": HOLDER, "amount_fen": amount_fen}


def test_the_same_request_again_gets_the_first_answer_and_moves_nothing(shop: Doors) -> None:
    headers = shop.institution("SHOP-1") | {"Idempotency-Key": "k1"}
    first = shop.client.post("/v1/payments", json=purchase(), headers=headers)
    shop.clock.pass_(minutes=5)
    again = shop.client.post("/v1/payments", json=purchase(), headers=headers)
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert wallet_fen(shop) == 9_700


def test_a_body_is_the_same_whatever_its_spaces_and_order(shop: Doors) -> None:
    headers = shop.institution("SHOP-1") | {"Idempotency-Key": "k1", "Content-Type": "application/json"}
    one = f'{{"reference":"b","holder":"{HOLDER}","amount_fen":5}}'
    other = f'{{ "amount_fen": 5, "holder": "{HOLDER}", "reference": "b" }}'
    answers = [shop.client.post("/v1/payments", content=text, headers=headers) for text in (one, other)]
    assert answers[0].content == answers[1].content
    assert fingerprint("POST", "/a", one.encode()) != fingerprint("POST", "/b", one.encode())


def test_the_same_key_for_another_request_is_a_conflict(shop: Doors) -> None:
    headers = shop.institution("SHOP-1") | {"Idempotency-Key": "k1"}
    shop.client.post("/v1/payments", json=purchase(), headers=headers)
    other = shop.client.post("/v1/payments", json=purchase(amount_fen=301), headers=headers)
    elsewhere = shop.client.post("/v1/payments/bill-1/reversal", json={"reason": "x"}, headers=headers)
    for answer in (other, elsewhere):
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
    assert wallet_fen(shop) == 9_700


def test_each_client_has_its_own_keys(shop: Doors) -> None:
    for participant in ("SHOP-1", "SHOP-2"):
        headers = shop.institution(participant) | {"Idempotency-Key": "k1"}
        assert shop.client.post("/v1/payments", json=purchase(), headers=headers).status_code == 201
    assert wallet_fen(shop) == 9_400


def test_a_refusal_is_an_answer_too_and_stays(shop: Doors) -> None:
    headers = shop.institution("SHOP-1") | {"Idempotency-Key": "k1"}
    body = purchase(amount_fen=20_000)
    first = shop.client.post("/v1/payments", json=body, headers=headers)
    shop.fund(WALLET, 50_000)
    again = shop.client.post("/v1/payments", json=body, headers=headers)
    assert first.json()["code"] == again.json()["code"] == "insufficient"
    fresh = shop.client.post("/v1/payments", json=body, headers=headers | {"Idempotency-Key": "k2"})
    assert fresh.status_code == 201
    assert wallet_fen(shop) == 40_000


@pytest.mark.parametrize("key", [None, "", "x" * 65, "with space", "tab\there"])
def test_a_missing_or_impossible_key_is_refused(shop: Doors, key: str | None) -> None:
    headers = shop.institution("SHOP-1") | ({} if key is None else {"Idempotency-Key": key})
    answer = shop.client.post("/v1/payments", json=purchase(), headers=headers)
    expected = (400, "idempotency_key_missing") if key is None else (422, "request_invalid")
    assert (answer.status_code, answer.json()["code"]) == expected
    assert wallet_fen(shop) == 10_000


def test_many_at_once_with_one_key_pay_once(shop: Doors) -> None:
    headers = shop.institution("SHOP-1") | {"Idempotency-Key": "k1"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: shop.client.post("/v1/payments", json=purchase(), headers=headers), range(8))
        )
    assert {answer.content for answer in answers} == {answers[0].content}
    assert wallet_fen(shop) == 9_700


def test_what_refused_work_had_written_is_undone(shop: Doors) -> None:
    key = Once(shop.deps, "k", b"f" * 32)

    def work(conn: Connection) -> Answer:
        open_accounts(conn, [account("wallet:H0000000099")], at=at(0))
        raise problem("insufficient", "no")

    assert key.in_transaction("client:a", work).status_code == 409
    with reading(shop.engine) as conn, pytest.raises(LookupError):
        balance(conn, "wallet:H0000000099")
    assert key.in_transaction("client:a", work).headers["idempotency-replayed"] == "true"


def test_a_failure_on_our_side_keeps_nothing_and_may_be_tried_again(shop: Doors) -> None:
    key, seen = Once(shop.deps, "k", b"f" * 32), []

    def fails_once(*_: object) -> Answer:
        seen.append(1)
        if len(seen) == 1:
            raise problem("peer_unavailable", "the insurer is silent")
        return Answer(200, Said(times=len(seen)))

    for ask in (key.in_transaction, key.around):
        seen.clear()
        with pytest.raises(Problem, match="peer_unavailable"):
            ask(ask.__name__, fails_once)
        assert ask(ask.__name__, fails_once).body == b'{"times":2}'
        assert ask(ask.__name__, fails_once).body == b'{"times":2}'
        assert len(seen) == 2


def test_work_with_peers_is_done_by_one_at_a_time_and_again_when_cut_off(shop: Doors) -> None:
    key, times = Once(shop.deps, "k", b"f" * 32), []

    def meets_itself() -> Answer:
        times.append(1)
        with pytest.raises(Problem, match="idempotency_in_progress"):
            key.around("client:a", meets_itself)
        raise RuntimeError("cut off")

    def done() -> Answer:
        times.append(1)
        return Answer(200, Said(times=len(times)))

    with pytest.raises(RuntimeError):
        key.around("client:a", meets_itself)
    with pytest.raises(Problem, match="idempotency_in_progress"):
        key.around("client:a", done)
    shop.clock.pass_(seconds=shop.deps.lease.total_seconds())
    assert key.around("client:a", done).body == b'{"times":2}'
    assert key.around("client:a", done).body == b'{"times":2}'


def test_old_answers_are_dropped_and_younger_ones_kept(shop: Doors) -> None:
    for name in ("old", "young"):
        Once(shop.deps, name, b"f" * 32).around("client:a", lambda: Answer(200, Said(times=1)))
        shop.clock.pass_(days=10)
    with writing(shop.engine) as conn:
        assert drop_answers(conn, before=shop.clock() - timedelta(days=15)) == 1
