"""Cards of another city here, ours there: handed over, answered, booked, netted and reconciled with its centre."""

import signal
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from card.hotlist import HotlistEntry, hotlist_card
from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing.interop.http_centre import HttpCentre
from clearing.interop.waiting import odd_lines, settle_line
from clearing.peers import Peers
from clearing.wire.interop import PRESENTED
from clearing.wire.result_code import ResultCode
from ledger.checks import check_books
from ledger.db import make_engine, migrate, reading, writing
from settlement.books import check_conservation
from settlement.night import STEPS, NightReport, run_night
from settlement.positions import positions_of
from settlement.reports import night_summary
from settlement.work_queue import items_of
from tests.settlement.killed_night import instants, killed
from tests.settlement.small_day import DAY, MORNING, card_no
from tests.support.night_books import csv_table, everything, fen_of, statement_fen
from tests.support.other_city import (
    GUESTS,
    KUNMING,
    OtherCity,
    abroad,
    guest,
    other_city,
    put_guests,
    put_results,
)

NEXT = DAY + timedelta(days=1)
PRESENTED_NAME = PRESENTED.name(KUNMING, 1)


@pytest.fixture
def there(engine: Engine, city_hsm: Hsm, hsm_address: str, tmp_path: Path) -> Iterator[OtherCity]:
    """Another city with three guests here: one was charged what the tariff says, two more."""
    guests = [guest(1), guest(2, amount_fen=200), guest(3, amount_fen=170)]
    with other_city(engine, city_hsm, hsm_address, tmp_path, guests) as running:
        yield running


def counts_of(report: NightReport, step: str) -> dict[str, int]:
    """The counts of a step that are not nought."""
    (record,) = [one for one in report.steps if one.step == step]
    return {name: count for name, count in record.counts.items() if count}


def report_of(there: OtherCity, name: str, day: date = DAY) -> list[dict[str, str]]:
    return csv_table(there.home / "nights" / day.isoformat() / "out" / "reports" / name)


def waiting(there: OtherCity, day: date = DAY) -> dict[str, tuple[str, str]]:
    """What waits for the centre after that night: what for, and how it stands."""
    rows = report_of(there, "peer_waiting.csv", day)
    return {row["reference"]: (row["waits for"], row["state"]) for row in rows}


def position(there: OtherCity, day: date) -> tuple[int, str]:
    """The centre's position of a night, in fen, and what became of it."""
    with reading(there.engine) as conn:
        (found,) = [one for one in positions_of(conn, day) if one.party == KUNMING]
    return found.position_fen, found.standing


def sound(there: OtherCity, day: date) -> bool:
    with reading(there.engine) as conn:
        return check_books(conn) == [] and check_conservation(conn, day) == []


def test_a_guests_tap_is_paid_when_its_centre_has_accepted_it(there: OtherCity) -> None:
    first = run_night(there.engine, there.night())
    assert there.taps(*GUESTS) == [("routed", "suspended", 0)] * 3
    assert counts_of(first, "route") == {"files_presented": 1, "taps_presented": 3, "presented_fen": 530}
    assert counts_of(first, "tell_centres") == {"files": 1, "delivered": 1}
    assert waiting(there) == {PRESENTED_NAME: ("result", "3 of 3 taps not answered")}
    assert there.balance_fen(f"city:{KUNMING}") == 0 and sound(there, DAY)

    second = run_night(there.engine, there.night(days=1))
    assert counts_of(second, "hear_centres") == {"files": 1}
    assert counts_of(second, "route") == {"results": 1, "taps_accepted": 3, "accepted_fen": 530}
    dearer = ("price_differs", "paid", 160)
    assert there.taps(*GUESTS) == [("accepted", "paid", 160), dearer, dearer]
    assert there.balance_fen(f"city:{KUNMING}") == 530
    assert there.balance_fen("suspense:overcharge") == -(40 + 50)  # 40 of the small day's own
    assert waiting(there, NEXT) == {} and sound(there, NEXT)
    assert position(there, NEXT) == (-530, "carried")
    statements = there.home / "nights" / NEXT.isoformat() / "out" / "statements"
    assert statement_fen(statements, "BUS-1", f"{NEXT:%Y%m%d}") == (480, 480)
    assert list((there.home / "inbox" / "centres").glob("*.ocr")) == []


def test_a_day_with_a_centre_agrees_the_night_after_it(there: OtherCity) -> None:
    run_night(there.engine, there.night())
    assert report_of(there, "peers.csv") == []
    second = run_night(there.engine, there.night(days=1))
    assert counts_of(second, "reconcile_peers") == {"centre_days_agreed": 1}
    (row,) = report_of(there, "peers.csv", NEXT)
    assert (row["peer"], row["outcome"], row["our yuan"], row["their yuan"]) == (
        KUNMING,
        "agrees",
        "5.30",
        "5.30",
    )
    with reading(there.engine) as conn:
        (total,) = night_summary(conn, NEXT).peers
    assert (total.peer, total.theirs_count, total.agrees) == (KUNMING, 3, True)


def test_a_guests_tap_that_its_centre_refuses_is_rejected_with_the_centres_code(there: OtherCity) -> None:
    there.centre.control("PUT", "/behaviour", {"refuse": {f"0209999{2:013d}": int(ResultCode.HOTLISTED)}})
    run_night(there.engine, there.night())
    second = run_night(there.engine, there.night(days=1))
    assert counts_of(second, "route")["taps_refused"] == 1
    assert [verdict for verdict, *_ in there.taps(*GUESTS)] == ["accepted", "issuer_refused", "price_differs"]
    assert there.balance_fen(f"city:{KUNMING}") == 330 and sound(there, NEXT)
    listed = {row["exception"]: row for row in report_of(there, "exceptions.csv", NEXT)}
    assert listed["issuer_refused"]["what"] == "KUNMING refused it: hotlisted (6)"
    assert (listed["issuer_refused"]["operator"], listed["issuer_refused"]["money"]) == ("BUS-1", "rejected")
    with reading(there.engine) as conn:
        (item,) = [one for one in items_of(conn) if one.kind == "issuer_refused"]
    assert "1 tap of BUS-1" in item.what and "1 by KUNMING: hotlisted" in item.what


def test_a_tap_that_its_centre_never_answers_waits_visibly_and_is_handed_over_once(there: OtherCity) -> None:
    there.centre.control("PUT", "/behaviour", {"silent": True})
    run_night(there.engine, there.night())
    for days in (1, 2):
        again = run_night(there.engine, there.night(days=days))
        assert counts_of(again, "route") == {} and counts_of(again, "collect")["retried"] == 2
    day = DAY + timedelta(days=2)
    (row,) = report_of(there, "peer_waiting.csv", day)
    assert (row["reference"], row["age days"], row["yuan"]) == (PRESENTED_NAME, "2", "5.30")
    routed = [row for row in report_of(there, "exceptions.csv", day) if row["exception"] == "routed"]
    assert [row["age days"] for row in routed] == ["2"] * 3
    with reading(there.engine) as conn:
        subjects = {one.subject for one in items_of(conn)}
    assert {f"taps BUS-1 routed {DAY}", f"{KUNMING} result"} <= subjects


def test_our_cards_taps_there_are_judged_answered_and_paid(there: OtherCity) -> None:
    with writing(there.engine) as conn:
        hotlist_card(conn, HotlistEntry(card_no(2), MORNING, MORNING, "lost"))
    good = abroad(3)
    forged = bytearray(abroad(5))
    forged[46] ^= 1
    there.ride_there(good, good, bytes(forged), abroad(2), abroad(99), abroad(4, amount_fen=100_001))
    first = run_night(there.engine, there.night())
    assert counts_of(first, "hear_centres") == {"files": 1}
    assert there.taps(KUNMING, 1) == [
        ("balance_gap", "paid", 333),  # the card rode here before, and what came between is not known
        ("duplicate", "none", 0),
        ("tac_wrong", "suspended", 0),
        ("hotlisted", "rejected", 0),
        ("card_unknown", "rejected", 0),
        ("amount_out_of_bounds", "rejected", 0),
    ]
    assert counts_of(first, "route")["taps_replied_to"] == 5
    said = {
        place: ResultCode(code).name
        for _, place, code in there.centre.control("GET", "/codes")["our_presentments"]
    }
    assert said == {
        0: "ACCEPTED", 1: "DUPLICATE", 3: "HOTLISTED", 4: "CARD_UNKNOWN", 5: "AMOUNT_OUT_OF_BOUNDS"
    }  # fmt: skip
    assert position(there, DAY) == (333, "netted")
    assert (there.balance_fen(f"city:{KUNMING}"), there.balance_fen(f"payable:{KUNMING}")) == (0, 333)
    with reading(there.engine) as conn:
        (paid,) = [one for one in night_summary(conn, DAY).operators if one.participant == KUNMING]
    assert paid.end_to_end_id == "20180901-KUNMING-01"
    assert sound(there, DAY)
    statements = there.home / "nights" / DAY.isoformat() / "out" / "statements"
    assert statement_fen(statements, KUNMING, f"{DAY:%Y%m%d}") == (333, 333)

    second = run_night(there.engine, there.night(days=1))
    assert counts_of(second, "reconcile_peers") == {"centre_days_agreed": 1}
    assert position(there, NEXT) == (-530, "carried"), "what the centre owes is carried until it earns it"


def test_what_a_centre_owes_is_set_off_against_what_it_is_owed(there: OtherCity) -> None:
    run_night(there.engine, there.night())
    there.ride_there(abroad(3, amount_fen=400), day=NEXT)
    run_night(there.engine, there.night(days=1))
    assert position(there, NEXT) == (-130, "carried")
    assert there.balance_fen(f"city:{KUNMING}") == 130
    statements = there.home / "nights" / NEXT.isoformat() / "out" / "statements"
    text = (statements / f"{KUNMING}-{NEXT:%Y%m%d}.csv").read_text(encoding="utf-8-sig")
    head = dict(line.split(",")[:2] for line in text.splitlines() if line.count(",") == 1)
    assert (
        fen_of(head["taps yuan"]) + fen_of(head["its cards here yuan"]) == fen_of(head["gross yuan"]) == -130
    )


def test_a_result_file_that_comes_twice_changes_nothing(there: OtherCity) -> None:
    run_night(there.engine, there.night())
    there.centre.control("POST", "/again/results/1")
    second = run_night(there.engine, there.night(days=1))
    assert counts_of(second, "route") == {"results": 1, "taps_accepted": 3, "accepted_fen": 530}
    third = run_night(there.engine, there.night(days=2))
    assert counts_of(third, "route") == {} and sound(there, DAY + timedelta(days=2))
    assert there.balance_fen(f"city:{KUNMING}") == 530


def test_other_content_under_an_old_number_is_an_error_and_is_kept(there: OtherCity) -> None:
    run_night(there.engine, there.night())
    run_night(there.engine, there.night(days=1))
    path = put_results(there.home / "inbox", there.hsm, [])
    third = run_night(there.engine, there.night(days=2))
    assert counts_of(third, "route") == {"results_rejected": 1}
    day = DAY + timedelta(days=2)
    (row,) = [row for row in report_of(there, "exceptions.csv", day) if row["exception"] == "file_rejected"]
    assert row["file"] == path.name and "number 1 of KUNMING is" in row["what"]
    assert there.balance_fen(f"city:{KUNMING}") == 530
    assert not path.exists()


def test_lines_that_fit_no_tap_are_kept_and_tried_again(there: OtherCity) -> None:
    """Another amount, a tap that nobody handed over, a code that nobody knows; and what is put right later."""
    there.centre.control("PUT", "/behaviour", {"silent": True})
    run_night(there.engine, there.night())
    said = [(1, 0, 161, 0), (1, 1, 200, 0), (1, 1, 200, 0), (1, 1, 200, 6), (1, 2, 170, 99), (7, 0, 160, 0)]
    there.centre.control("POST", "/results", {"business_date": str(DAY), "lines": said, "known": False})
    second = run_night(there.engine, there.night(days=1))
    assert counts_of(second, "route") == {
        "results": 1,
        "taps_accepted": 1,
        "accepted_fen": 200,
        "lines_odd": 4,
    }
    with reading(there.engine) as conn:
        assert [(one.line, one.why) for one in odd_lines(conn)] == [
            (0, "amount_differs"), (3, "answered"), (4, "code_unknown"), (5, "tap_unknown")
        ]  # fmt: skip
        (item,) = [one for one in items_of(conn) if one.subject == f"{KUNMING} result lines"]
    assert item.items == 4

    put_guests(there.home / "inbox", there.hsm, [guest(4)], sequence=4)
    right = [(1, 0, 160, 0), (1, 2, 170, 0)]
    there.centre.control("POST", "/results", {"business_date": str(NEXT), "lines": right})
    third = run_night(there.engine, there.night(days=2))
    assert counts_of(third, "route")["taps_accepted"] == 2
    assert [verdict for verdict, *_ in there.taps(*GUESTS)] == ["accepted", "price_differs", "price_differs"]
    with writing(there.engine) as conn:
        assert [one.line for one in odd_lines(conn)] == [3, 4, 5], "the first was answered so after all"
        assert settle_line(conn, KUNMING, 1, 3, by="li", why="sent by mistake", on=NEXT)
        assert not settle_line(conn, KUNMING, 1, 3, by="li", why="again", on=NEXT)
        assert [one.line for one in odd_lines(conn)] == [4, 5]
    assert sound(there, DAY + timedelta(days=2))


def test_differences_with_a_centre_are_shown_on_both_sides_until_they_are_gone(there: OtherCity) -> None:
    run_night(there.engine, there.night())
    day = {"business_date": str(DAY), "side": "your_presentments", "number": 1}
    for blunder in ({"place": 0}, {"place": 1, "amount_fen": 201}, {"place": 9, "amount_fen": 5}):
        there.centre.control("POST", "/blunders", day | blunder)
    second = run_night(there.engine, there.night(days=1))
    assert counts_of(second, "reconcile_peers") == {"centre_days_open": 1, "centre_lines_differing": 3}
    rows = report_of(there, "peer_differences.csv", NEXT)
    assert [(row["reference"], row["difference"], row["our yuan"], row["their yuan"]) for row in rows] == [
        ("here:1:0", "ours_only", "1.60", ""),
        ("here:1:1", "other_amount", "2.00", "2.01"),
        ("here:1:9", "theirs_only", "", "0.05"),
    ]
    there.centre.control("DELETE", "/blunders")
    third = run_night(there.engine, there.night(days=2))
    assert counts_of(third, "reconcile_peers") == {"centre_days_agreed": 2}


@pytest.mark.parametrize("fault", ["undone", "lost", "late", "garbage"])
def test_a_centre_that_does_not_answer_stops_no_night_and_is_asked_again(
    there: OtherCity, fault: str
) -> None:
    there.ride_there(abroad(3))
    for path in ("/files", "/presentments", "/results"):
        there.centre.control("POST", "/faults", {"path": path, "fault": fault, "times": 1, "late_s": 2.0})
    with HttpCentre(there.centre.url, timeout_s=0.3) as hurried:
        first = run_night(there.engine, there.night(peers=Peers(centres={KUNMING: hurried})))
    # Rubbish in the place of a file is a file that cannot be taken; in that of an answer it is none.
    heard = {"files": 2} if fault == "garbage" else {"silent": 2}
    assert counts_of(first, "hear_centres") == heard
    assert counts_of(first, "tell_centres") == {"files": 1, "silent": 1}
    assert waiting(there)[PRESENTED_NAME][0] == "receipt"

    there.centre.control("DELETE", "/faults")
    second = run_night(there.engine, there.night(days=1))
    assert counts_of(second, "tell_centres")["delivered"] >= 1
    third = run_night(there.engine, there.night(days=2))
    assert {verdict for verdict, *_ in there.taps(*GUESTS)} == {"accepted", "price_differs"}
    assert there.balance_fen(f"city:{KUNMING}") - there.balance_fen(f"payable:{KUNMING}") == 530 - 333
    assert counts_of(third, "tell_centres") == {} and sound(there, DAY + timedelta(days=2))


def test_a_night_killed_in_every_step_with_a_centre_ends_like_one_that_was_not(
    there: OtherCity, database_url: str, hsm_process: RunningHsm, hsm_address: str
) -> None:
    there.ride_there(abroad(3))
    centres = {KUNMING: there.centre.url}
    for name, _ in STEPS:
        for instant in instants(name):
            end = killed(hsm_process, database_url, there.home, name, instant, centres=centres)
            assert end == -signal.SIGKILL, (name, instant)
    report = run_night(there.engine, there.night())
    assert report.already_finished

    home = there.home / "undisturbed"
    unbroken = make_engine(f"sqlite:///{there.home / 'undisturbed.db'}")
    migrate(unbroken)
    guests = [guest(1), guest(2, amount_fen=200), guest(3, amount_fen=170)]
    with other_city(unbroken, there.hsm, hsm_address, home, guests) as calm:
        calm.ride_there(abroad(3))
        expected = run_night(unbroken, calm.night())
    assert report.steps == expected.steps
    found, wanted = everything(there.engine), everything(unbroken)
    unbroken.dispose()
    assert found == wanted
