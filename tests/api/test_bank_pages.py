"""The finance page of a day: what became of every payment, what is open with the bank, where the reserve stands."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine

from city.world import City
from ledger.db import writing
from settlement.account_changes import BankAccount, propose_account
from settlement.bank.proposals import Decision, Proposal
from tests.api.test_pages import cells, visit
from tests.settlement.small_day import DAY
from tests.support.bank_days import AT, BUS, FIRST, METRO, BankedCity, banked_url

NEW = BankAccount("888", "102584000013", "工商银行")
AGAIN = "20180901-METRO-1-02"


database_url = banked_url


def test_finance_sees_every_payment_of_a_day_and_the_statement_that_paid_it(
    engine: Engine, make_city: Callable[[Path, Engine], City], tmp_path: Path
) -> None:
    city = make_city(tmp_path / "home", engine)
    with visit(city) as client:
        banked = BankedCity(engine, city.hsm, city.home.root)
        rows = {row[0]: row for row in cells(client.get(f"/finance/{DAY}").text, "bank")}
        assert [rows[name][4] for name in (BUS, METRO)] == ["awaiting the bank"] * 2
        banked.take(banked.first_day("--reject", f"{METRO}=AC04"))
        page = client.get(f"/finance/{DAY}").text
        rows = {row[0]: row for row in cells(page, "bank")}
        assert rows[BUS][4] == "paid" and rows[BUS][5] == rows[BUS][2]
        assert rows[BUS][6:8] == [str(FIRST), "20180903-00001"]
        assert rows[METRO][4] == "rejected" and "AC04" in rows[METRO][8]
        (point,) = cells(page, "bank_open")
        assert point[0] == METRO and point[1] == "rejected" and "AC04" in point[5]

        with writing(engine) as conn:
            propose_account(conn, "BUS-1", NEW, by="lin", reason="a letter", at=AT)
        page = client.get(f"/finance/{DAY}").text
        (waits,) = [row for row in cells(page, "work") if row[1] == "waits for a second person"]
        assert waits[2].startswith("BUS-1 is to be paid on another account, proposed by lin")

        assert isinstance(banked.decide(METRO, Decision.PAY_AGAIN), Proposal)
        banked.take(banked.bank(FIRST + timedelta(days=1)))
        banked.night(DAY + timedelta(days=1))
        page = client.get(f"/finance/{DAY}").text
        assert {row[0]: row[4] for row in cells(page, "bank")} == {
            BUS: "paid",
            METRO: "rejected",
            AGAIN: "paid",
        }
        assert "Nothing is open with the bank" in page
        # A past day's reserve is what it was: no statement had been read by its end.
        (past,) = [row for row in cells(page, "reserve") if row[0] == "the custodian says"]
        assert past[1] == "no statement was read yet"
        page = client.get(f"/finance/{DAY + timedelta(days=1)}").text
        reserve = {row[0]: row[-1] for row in cells(page, "reserve")}
        assert reserve["the custodian says"] == reserve["our books"] and reserve["the rest"] == "0.00"
