"""One night for all: what insurer and billers say is booked, netted and reconciled; their silence loses nothing."""

import signal
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from card.hsm.client import Hsm
from city.insurer import Mode
from city.processes import RunningHsm
from clearing.peers import Peers
from clearing.sectors.healthcare.bill_book import bill_of
from clearing.sectors.healthcare.insurer import Claim
from clearing.sectors.healthcare.insurer_http import HttpInsurer
from clearing.sectors.healthcare.policy import CatalogueClass, Category, Item
from clearing.sectors.utilities.claims import CLAIM
from clearing.sectors.utilities.http_biller import HttpBiller
from clearing.sectors.utilities.register import payment_of
from ledger.balances import balance
from ledger.checks import check_books
from ledger.db import make_engine, migrate, reading, writing
from ledger.journal import read_entries
from ledger.tables import entry as entry_table
from settlement.books import check_conservation
from settlement.night import NightReport, run_night
from settlement.positions import positions_of
from settlement.reports import night_summary
from tests.settlement.killed_night import instants, killed
from tests.settlement.small_day import DAY
from tests.support.hospital_day import CLINIC, HOSPITAL
from tests.support.institutions import (
    WATER,
    WATER_ACCOUNT,
    Institutions,
    furnish,
    institutions,
    live,
    night_with,
    pay_water,
)
from tests.support.night_books import csv_table, everything, statement_fen

NEXT = DAY + timedelta(days=1)
WITH_INSTITUTIONS = (
    "ask_insurer", "withdraw_claims", "tell_billers", "net", "instruct", "report", "reconcile_peers", "reconcile",
    "hand_over", "seal",
)  # fmt: skip
"""The steps that hear institutions, or pay, report and seal what they said; in the night's order."""
STRANGER = {
    "reference": "nobody:1", "account_no": WATER_ACCOUNT, "bill_no": "B1", "amount_fen": 700,
    "business_date": DAY.isoformat(), "filed_fen": 700,
}  # fmt: skip


@pytest.fixture
def there(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> Iterator[Institutions]:
    """The institutions, after a day of which they owe some answers."""
    furnish(engine, city_hsm, tmp_path)
    with institutions(tmp_path / "peers") as running:
        live(engine, running)
        yield running


def counts_of(report: NightReport, step: str) -> dict[str, int]:
    """The counts of a step that are not nought."""
    (record,) = [one for one in report.steps if one.step == step]
    return {name: count for name, count in record.counts.items() if count}


def bill_state(engine: Engine, reference: str) -> str:
    with reading(engine) as conn:
        found = bill_of(conn, reference)
    assert found is not None
    return found.state


def reports(home: Path, day: date = DAY) -> Path:
    return home / "nights" / day.isoformat() / "out" / "reports"


def outcomes(home: Path, day: date = DAY) -> dict[tuple[str, str], str]:
    """How each day with each peer ended that night."""
    rows = csv_table(reports(home, day) / "peers.csv")
    return {(row["peer"], row["business date"]): row["outcome"] for row in rows}


def waiting(home: Path, day: date = DAY) -> dict[str, str]:
    """What waits for whom after that night."""
    return {row["reference"]: row["peer"] for row in csv_table(reports(home, day) / "peer_waiting.csv")}


def test_what_institutions_say_at_night_is_booked_on_the_day_netted_and_reconciled(
    engine: Engine, city_hsm: Hsm, there: Institutions, tmp_path: Path
) -> None:
    report = run_night(engine, night_with(tmp_path, city_hsm, there.peers))
    assert counts_of(report, "ask_insurer") == {"bills": 2, "answered": 2}
    assert counts_of(report, "withdraw_claims") == {"bills": 1, "answered": 1}
    assert counts_of(report, "tell_billers") == {"notices": 1, "taken": 1}
    assert counts_of(report, "reconcile_peers") == {"biller_days_agreed": 1, "insurer_days_agreed": 1}
    assert bill_state(engine, f"hospital:{HOSPITAL}:LOST") == "paid"
    assert bill_state(engine, f"hospital:{CLINIC}:POOR") == "cancelled"
    with reading(engine) as conn:
        water = payment_of(conn, "app:B1")
        assert water is not None and water.state == "written_off"
        booked = read_entries(conn, entry_table.c.reference == f"pay:hospital:{HOSPITAL}:LOST")
        assert [one.entry.business_date for one in booked] == [DAY]
        gross = {one.party: one.gross_fen for one in positions_of(conn, DAY)}
        assert (gross[HOSPITAL], gross[WATER.id]) == (50_000, 3_000)
        assert check_books(conn) == [] and check_conservation(conn, DAY) == []
        sides = {one.peer: (one.theirs_count, one.agrees) for one in night_summary(conn, DAY).peers}
    assert sides == {WATER.id: (1, True), "insurer": (2, True)}
    assert set(outcomes(tmp_path).values()) == {"agrees"}
    assert waiting(tmp_path) == {}
    statements = reports(tmp_path).parent / "statements"
    for party in (HOSPITAL, WATER.id, "METRO-1", "BUS-1"):
        assert statement_fen(statements, party, f"{DAY:%Y%m%d}") == (gross[party], gross[party])


def test_a_night_killed_in_every_step_that_institutions_are_part_of_ends_like_one_that_was_not(
    engine: Engine,
    database_url: str,
    city_hsm: Hsm,
    hsm_process: RunningHsm,
    there: Institutions,
    tmp_path: Path,
) -> None:
    """Killed with the answers heard and nothing written, and again right after: asked again, booked once.

    The other steps, killed in a night of `test_night.py`, know taps only, or only the books.
    """
    addresses: dict[str, Any] = {"billers": {WATER.id: there.water.url}, "insurer": there.insurer.url}
    there.water.control("POST", "/blunders", STRANGER)
    for name in WITH_INSTITUTIONS:
        for instant in instants(name):
            assert killed(hsm_process, database_url, tmp_path, name, instant, **addresses) == -signal.SIGKILL
    report = run_night(engine, night_with(tmp_path, city_hsm, there.peers))
    assert report.already_finished

    other = tmp_path / "undisturbed"
    unbroken = make_engine(f"sqlite:///{tmp_path / 'undisturbed.db'}")
    migrate(unbroken)
    furnish(unbroken, city_hsm, other)
    with institutions(other / "peers") as running:
        live(unbroken, running)
        running.water.control("POST", "/blunders", STRANGER)
        expected = run_night(unbroken, night_with(other, city_hsm, running.peers))
    assert report.steps == expected.steps
    found, wanted = everything(engine), everything(unbroken)
    unbroken.dispose()
    for rows in (found, wanted):  # when a biller made its file is the biller's own affair, and in its digest
        rows["utility_file"] = [(*row[:3], *row[5:]) for row in rows["utility_file"]]
    assert found == wanted
    assert counts_of(report, "reconcile_peers")["biller_lines_differing"] == 1


def test_a_line_that_only_the_biller_has_waits_in_suspense_on_the_open_day_until_it_is_withdrawn(
    engine: Engine, city_hsm: Hsm, there: Institutions, tmp_path: Path
) -> None:
    there.water.control("POST", "/blunders", STRANGER)
    run_night(engine, night_with(tmp_path, city_hsm, there.peers))
    assert outcomes(tmp_path) == {
        (WATER.id, DAY.isoformat()): "differs", ("insurer", DAY.isoformat()): "agrees",
    }  # fmt: skip
    (line,) = csv_table(reports(tmp_path) / "peer_differences.csv")
    assert (line["reference"], line["difference"], line["their yuan"]) == ("nobody:1", "theirs_only", "7.00")
    with reading(engine) as conn:
        held = read_entries(conn, entry_table.c.kind == "biller_claim")
        assert [one.entry.business_date for one in held] == [NEXT]
        assert balance(conn, CLAIM).balance_fen == -700

    there.water.control("DELETE", "/blunders")
    run_night(engine, night_with(tmp_path, city_hsm, there.peers, days=1))
    assert outcomes(tmp_path, NEXT)[WATER.id, DAY.isoformat()] == "agrees"
    with reading(engine) as conn:
        assert balance(conn, CLAIM).balance_fen == 0
        assert check_books(conn) == []


@pytest.mark.parametrize(
    ("damage", "subjects"),
    [
        ("UPDATE utility_difference SET theirs_fen = 600", {"suspense:biller_unmatched": 100, CLAIM: -100}),
        (
            "UPDATE utility_difference SET suspense_entry = NULL",
            {"suspense:biller_unmatched": 700, CLAIM: -700},
        ),
        ("UPDATE payment SET reversed_by = 'x' WHERE reference LIKE '%LOST'", {"LOST": -10_000}),
        ("UPDATE payment SET amount_fen = 9999 WHERE reference LIKE '%LOST'", {"LOST": -1, "online": 1}),
    ],
)
def test_the_conservation_check_holds_bills_and_claims_against_the_books(
    engine: Engine, city_hsm: Hsm, there: Institutions, tmp_path: Path, damage: str, subjects: dict[str, int]
) -> None:
    there.water.control("POST", "/blunders", STRANGER)
    run_night(engine, night_with(tmp_path, city_hsm, there.peers))
    with writing(engine) as conn:
        assert conn.execute(text(damage)).rowcount
    with reading(engine) as conn:
        findings = check_conservation(conn, DAY)
    found = {one.subject: one.found_fen - one.expected_fen for one in findings}
    assert {name.removeprefix(f"hospital:{HOSPITAL}:"): fen for name, fen in found.items()} == subjects


def unreachable(_there: Institutions) -> Peers:
    """Nobody listens where they were."""
    nowhere = "http://127.0.0.1:1"
    return Peers({WATER.id: HttpBiller(nowhere)}, HttpInsurer(nowhere))


def slow(there: Institutions) -> Peers:
    """They are silent for longer than anybody waits."""
    there.insurer.behave(Mode.TIMES_OUT)
    for path in ("/write-offs", "/days"):
        order = {"path": path, "fault": "late", "times": 3, "late_s": 2.0}
        there.water.control("POST", "/faults", order)
    hurried = {WATER.id: HttpBiller(there.water.url, timeout_s=0.3)}
    return Peers(hurried, HttpInsurer(there.insurer.url, timeout_s=0.3))


def rubbish(there: Institutions) -> Peers:
    """They do what they are asked, and answer what nobody can read."""
    there.insurer.behave(Mode.GARBLES)
    for path in ("/write-offs", "/days"):
        there.water.control("POST", "/faults", {"path": path, "fault": "garbage", "times": 3})
    return there.peers


def nobody(_there: Institutions) -> Peers:
    """The settings name none."""
    return Peers()


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (unreachable, {"no_answer"}),
        (slow, {"no_answer"}),
        (rubbish, {"no_answer", "refused"}),
        (nobody, {"not_connected"}),
    ],
)
def test_institutions_that_do_not_answer_stop_no_night_and_are_asked_again_the_next(
    engine: Engine,
    city_hsm: Hsm,
    there: Institutions,
    tmp_path: Path,
    trouble: Callable[[Institutions], Peers],
    said: set[str],
) -> None:
    report = run_night(engine, night_with(tmp_path, city_hsm, trouble(there)))
    assert set(outcomes(tmp_path).values()) == said
    assert counts_of(report, "reconcile_peers") == {"biller_days_open": 1, "insurer_days_open": 1}
    owed = {f"hospital:{HOSPITAL}:LOST": "insurer", f"hospital:{CLINIC}:POOR": "insurer", "app:B1": WATER.id}
    assert waiting(tmp_path) == owed
    assert counts_of(report, "reconcile")["waiting_for_peers"] == 3
    assert bill_state(engine, f"hospital:{HOSPITAL}:LOST") == "unknown"

    there.insurer.behave(Mode.ANSWERS)
    there.water.control("DELETE", "/faults")
    pay_water(engine, there.peers, "B2")
    again = run_night(engine, night_with(tmp_path, city_hsm, there.peers, days=1))
    assert waiting(tmp_path, NEXT) == {}
    days = {(who, day.isoformat()) for who in (WATER.id, "insurer") for day in (DAY, NEXT)}
    assert outcomes(tmp_path, NEXT) == dict.fromkeys(days, "agrees")
    assert counts_of(again, "tell_billers") == {"notices": 2, "taken": 2}
    with reading(engine) as conn:
        booked = read_entries(conn, entry_table.c.reference == f"pay:hospital:{HOSPITAL}:LOST")
        assert [one.entry.business_date for one in booked] == [NEXT]
        assert check_books(conn) == [] and check_conservation(conn, NEXT) == []


def test_what_only_one_side_of_the_insurance_has_is_listed_every_night_until_it_is_gone(
    engine: Engine, city_hsm: Hsm, there: Institutions, tmp_path: Path
) -> None:
    insurer = there.peers.insurer
    assert insurer is not None
    strange = Claim(
        f"hospital:{HOSPITAL}:GHOST", DAY, HOSPITAL, 3, "H0000000001", Category.EMPLOYEE, DAY, "MED-POOL", 1,
        1_000, 0, 500, (Item("X1", CatalogueClass.A, 1_000),),
    )  # fmt: skip
    insurer.claim(strange)
    insurer.cancel(f"hospital:{HOSPITAL}:SETTLED")
    run_night(engine, night_with(tmp_path, city_hsm, there.peers))
    lines = csv_table(reports(tmp_path) / "peer_differences.csv")
    assert {row["reference"].rpartition(":")[2]: row["difference"] for row in lines} == {
        "GHOST": "theirs_only", "SETTLED": "ours_only",
    }  # fmt: skip
    assert outcomes(tmp_path)["insurer", DAY.isoformat()] == "differs"

    insurer.cancel(strange.reference)
    run_night(engine, night_with(tmp_path, city_hsm, there.peers, days=1))
    lines = csv_table(reports(tmp_path, NEXT) / "peer_differences.csv")
    assert [row["reference"].rpartition(":")[2] for row in lines] == ["SETTLED"]
    assert bill_state(engine, f"hospital:{HOSPITAL}:SETTLED") == "paid"
