"""`onecard errands`: billers are told and the insurer is asked, with nobody having to remember it."""

import json
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.cli import app
from api.errands import run_round
from city.biller import running_biller
from city.insurer import Mode
from clearing.peers import Peers
from clearing.sectors.healthcare.bill_book import bill_of
from clearing.sectors.healthcare.bills import Agreed, BillRecord
from clearing.sectors.healthcare.cashier import Cashier
from clearing.sectors.healthcare.claims import State as BillState
from clearing.sectors.healthcare.policy import Split
from clearing.sectors.utilities.catalogue import Supply
from clearing.sectors.utilities.http_biller import HttpBiller
from clearing.sectors.utilities.notices import due_notices
from clearing.sectors.utilities.register import payment_of
from clearing.sectors.utilities.sending import Sent
from clearing.sectors.utilities.states import State
from ledger.db import reading
from tests.support import hospital_day
from tests.support.insurer_peer import insurer_peer
from tests.support.utility_day import AT, DAY, WATER, order, paid, prepare

BILL = {"account_no": "A1", "customer": "张*", "bill_no": "B1", "period": "2018-08", "amount_fen": 3_000}


def test_one_round_tells_billers_also_what_was_put_off(
    engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(engine)
    with running_biller(tmp_path / "water", WATER.id, Supply.WATER) as biller:
        biller.control("POST", "/bills", [BILL | {"due_on": date(2018, 9, 20).isoformat()}])
        with HttpBiller(biller.url) as client:
            paid(engine, {WATER.id: client}, order("app:1"))
            biller.control("POST", "/faults", {"path": "/write-offs", "fault": "lost", "times": 1})
            assert run_round(engine, Peers({WATER.id: client}), AT, put_off_too=False).sent.silent == 1
            # The next try is not due yet: an ordinary round leaves it alone.
            assert run_round(engine, Peers({WATER.id: client}), AT, put_off_too=False).sent == Sent()
        monkeypatch.setenv("ONECARD_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("ONECARD_DATABASE", database_url)
        monkeypatch.setenv("ONECARD_BILLERS", json.dumps({WATER.id: biller.url}))
        ended = CliRunner().invoke(app, ["errands", "--put-off-too"])
    assert "took 1 and refused 0; 0 not answered" in " ".join(ended.output.split()), ended.output
    with reading(engine) as conn:
        found = payment_of(conn, "app:1")
        assert found is not None
        assert (found.state, found.business_date, due_notices(conn)) == (State.WRITTEN_OFF, DAY, [])


def test_a_round_asks_the_insurer_about_bills_that_wait_for_it(engine: Engine, tmp_path: Path) -> None:
    hospital_day.open_city(engine)
    at, bill = hospital_day.at(10), hospital_day.bill()
    with insurer_peer(tmp_path) as insurer:
        desk = Cashier(engine, insurer.client, hospital_day.POLICIES)
        split = desk.preview(bill, at=at)
        assert isinstance(split, Split)
        insurer.behave(Mode.GARBLES, "claim")
        waiting = desk.settle(bill, Agreed.of(split), at=at)
        assert isinstance(waiting, BillRecord)
        assert waiting.state is BillState.UNKNOWN
        assert run_round(engine, Peers(insurer=insurer.client), at, put_off_too=False).waiting == 0
    with reading(engine) as conn:
        told = bill_of(conn, bill.reference)
    assert told is not None
    assert told.state is BillState.PAID
