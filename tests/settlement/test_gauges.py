"""Figures of what waits: the books' own, as they stand at an instant, with a 0 where nothing is."""

from datetime import datetime, timedelta
from pathlib import Path

from ledger.db import reading, writing
from settlement.account_changes import BankAccount, propose_account
from settlement.bank.points import PointKind
from settlement.gauges import AGES, gauges_of
from settlement.waiting_proposals import Room
from settlement.work_queue import Kind
from tests.support.bank_days import AT, BUS, METRO, BankedCity, banked_city, banked_url

NEW = BankAccount("755900009999999", "102584002910", "工商银行")


database_url, city = banked_url, banked_city


def figures(city: BankedCity, at: datetime) -> dict[str, dict[str, int]]:
    """Every gauge's values that are not 0, by its labels' values with blanks between; no name is there twice."""
    with reading(city.engine) as conn:
        found = gauges_of(conn, at)
    shown = {
        one.name: {" ".join(labels.values()): value for labels, value in one.values if value} for one in found
    }
    assert len(shown) == len(found)
    return shown


def test_payments_that_no_statement_has_spoken_of_are_counted_until_one_does(city: BankedCity) -> None:
    due_fen = city.amount_fen(METRO) + city.amount_fen(BUS)
    found = figures(city, AT)
    assert found["onecard_payments_unanswered"] == {"awaiting_bank": 2}
    assert found["onecard_payments_unanswered_fen"] == {"awaiting_bank": due_fen}
    assert found["onecard_payments_unanswered_oldest_days"] == {} and found["onecard_bank_points"] == {}
    assert found["onecard_bank_statement_age_days"] == {}
    late = figures(city, AT + timedelta(days=5))
    assert late["onecard_payments_unanswered_oldest_days"] == {"": 5}
    assert late["onecard_bank_points"] == {"ours_only 4-7": 2}
    assert late["onecard_bank_points_fen"] == {"ours_only": due_fen}
    assert late["onecard_bank_points_oldest_days"] == {"ours_only": 5}
    city.take(city.first_day())
    found = figures(city, AT + timedelta(days=5))
    assert found["onecard_payments_unanswered"] == {} and found["onecard_bank_points"] == {}
    assert found["onecard_bank_statement_age_days"] == {"": 5} and found["onecard_bank_files"] == {"taken": 2}


def test_points_files_approvals_and_work_are_counted_by_what_they_are_and_by_age(
    city: BankedCity, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.xml"
    wrong.write_bytes(b"<a/>")
    city.take([*city.first_day("--reject", f"{METRO}=AC04"), wrong])
    with writing(city.engine) as conn:
        propose_account(conn, "BUS-1", NEW, by="lin", reason="a letter", at=AT)
    found = figures(city, AT + timedelta(hours=20))
    assert found["onecard_bank_points"] == {"rejected 1-3": 1, "file 1-3": 1}
    assert found["onecard_bank_points_fen"] == {"rejected": city.amount_fen(METRO)}
    assert found["onecard_bank_files"] == {"taken": 2, "refused": 1}
    assert found["onecard_approvals_waiting"] == {"city": 1}
    assert found["onecard_approvals_waiting_oldest_seconds"] == {"city": 20 * 3600}
    work = found["onecard_work_items"]
    assert (work["bank_rejected open"], work["bank_file open"], work["approval_waits open"]) == (1, 1, 1)
    assert "approval_waits" not in found["onecard_work_items_late"]
    later = figures(city, AT + timedelta(days=3))
    assert later["onecard_work_items_late"]["approval_waits"] == 1
    assert figures(city, AT + timedelta(days=20))["onecard_bank_points"] == {"rejected 8+": 1, "file 8+": 1}


def test_every_label_has_a_figure_also_where_nothing_is(city: BankedCity) -> None:
    with reading(city.engine) as conn:
        found = {one.name: one.values for one in gauges_of(conn, AT)}
    assert len(found["onecard_bank_points"]) == len(PointKind) * len(AGES)
    assert len(found["onecard_approvals_waiting"]) == len(Room)
    assert len(found["onecard_work_items"]) == 2 * len(Kind)
