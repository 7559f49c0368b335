"""The bank's answers, from a payment that leaves to the line that paid it, and everything that goes wrong between."""

import multiprocessing
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from ledger.db import make_engine, reading, writing
from ledger.tables import entry
from settlement.bank.decisions import approve
from settlement.bank.proposals import Asked, Decision, Proposal, ProposalRefused, propose
from settlement.bank.taking import Took, take_file
from settlement.night import NightRefused
from settlement.two_people import DecisionRefused, Word
from settlement.work_queue import items_of
from tests.settlement.small_day import DAY
from tests.support.bank_days import AT, BUS, DEPOSIT_FEN, FIRST, METRO, BankedCity, banked_city, banked_url
from tests.support.killed_bank import killed_approving, killed_taking
from tests.support.night_books import csv_table, everything

NEXT = DAY + timedelta(days=1)
SECOND, THIRD = FIRST + timedelta(days=1), FIRST + timedelta(days=2)


database_url, city = banked_url, banked_city


def work(city: BankedCity) -> dict[str, str]:
    """What people have to do about the bank, by what it is about."""
    with reading(city.engine) as conn:
        return {one.subject: one.kind.value for one in items_of(conn) if one.kind.startswith("bank_")}


def test_a_payment_is_paid_by_a_line_of_a_statement_and_by_nothing_else(city: BankedCity) -> None:
    status, statement = city.first_day()
    (told,) = city.take([status])
    assert told.took is Took.TAKEN and "2 moved an instruction" in told.message
    assert {state for state, _ in city.states().values()} == {"accepted"}
    owed_fen = -city.held_fen("payable:METRO-1")
    assert owed_fen == city.amount_fen(METRO) > 0

    (told,) = city.take([statement])
    assert "2 paid, 1 in the books already" in told.message
    assert city.states() == {name: ("paid", city.amount_fen(name)) for name in (METRO, BUS)}
    assert city.held_fen("payable:METRO-1") == city.held_fen("payable:BUS-1") == 0
    paid_fen = city.amount_fen(METRO) + city.amount_fen(BUS)
    assert city.held_fen("bank:reserve") == DEPOSIT_FEN - paid_fen
    assert city.open() == {} and work(city) == {}
    city.night(NEXT)
    found = city.reserve(NEXT)
    assert (found.custodian_fen, found.rest_fen) == (found.books_fen, 0)
    assert [row for row in found.rows if row.part in ("unreached", "missing")] == [] and city.sound()


def test_the_same_files_again_change_nothing_and_say_so(city: BankedCity) -> None:
    files = city.first_day()
    city.take(files)
    before = everything(city.engine)
    for told in city.take(files):
        assert told.took is Took.REPEATED and "nothing changes" in told.message
    assert everything(city.engine) == before
    # Written otherwise, it is another file that says the same.
    rewritten = files[-1].with_name("rewritten.xml")
    rewritten.write_bytes(files[-1].read_bytes().replace(b"  <", b"<"))
    (told,) = city.take([rewritten])
    assert told.took is Took.TAKEN and "booked already" in told.message
    after = everything(city.engine)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"bank_file"}


def test_a_payment_that_is_rejected_is_paid_again_on_the_right_account_by_two_people(
    city: BankedCity,
) -> None:
    city.take(city.first_day("--reject", f"{METRO}=AC04"))
    assert city.states()[METRO] == ("rejected", 0) and city.states()[BUS][0] == "paid"
    assert city.open() == {METRO: "rejected"} and work(city) == {METRO: "bank_rejected"}
    assert "AC04" in city.points()[0].what
    assert -city.held_fen("payable:METRO-1") == city.amount_fen(METRO)

    done = city.decide(METRO, Decision.PAY_AGAIN, account_no="755900009999999", bank_code="102584002910")
    assert isinstance(done, Proposal) and done.made == "20180901-METRO-1-02"
    assert (done.account_no_before, done.account_no) == ("755912345678901", "755900009999999")
    assert city.open() == {} and work(city) == {}
    message = city.nights / "2018-09-02" / "out" / "bank" / "pain001-OC-20180902-02.xml"
    assert "755900009999999" in message.read_text(encoding="utf-8")

    city.take(city.bank(SECOND))
    again_fen = city.amount_fen(METRO)
    assert city.states()[done.made] == ("paid", again_fen) and city.held_fen("payable:METRO-1") == 0
    assert city.states()[METRO] == ("rejected", 0) and city.open() == {}
    city.night(NEXT)
    assert city.reserve(NEXT).rest_fen == 0 and city.sound()


def test_a_payment_that_comes_back_is_owed_again_and_paid_again(city: BankedCity) -> None:
    city.take(city.first_day())
    city.take(city.bank(SECOND, "--send-back", METRO))
    assert city.states()[METRO] == ("returned", 0)
    assert -city.held_fen("payable:METRO-1") == city.amount_fen(METRO)
    assert city.open() == {METRO: "returned"} and "AC04" in city.points()[0].what
    done = city.decide(METRO, Decision.PAY_AGAIN)
    assert isinstance(done, Proposal)
    city.take(city.bank(THIRD))
    assert city.states()[done.made][0] == "paid" and city.held_fen("payable:METRO-1") == 0
    city.night(NEXT)
    assert city.sound() and city.reserve(NEXT).rest_fen == 0


def test_a_statement_that_is_missing_is_named_until_it_comes_out_of_order(city: BankedCity) -> None:
    first = city.first_day("--hold", METRO)
    second = city.bank(SECOND)
    third = city.bank(THIRD, "--send-back", BUS)
    city.take(first)
    city.take(third)
    assert city.open() == {"S2": "gap", BUS: "returned"} and work(city)["S2"] == "bank_file"
    (gap,) = [one for one in city.points() if one.id == "S2"]
    assert "statement 2 between" in gap.what and gap.amount_fen == city.amount_fen(METRO)
    (missing,) = [row for row in city.reserve(NEXT).rows if row.part == "missing"]
    assert missing.amount_fen == city.amount_fen(METRO) and city.reserve(NEXT).rest_fen == 0

    city.take(second)
    assert city.open() == {BUS: "returned"} and city.states()[METRO][0] == "paid"
    city.night(NEXT)
    assert city.sound() and city.reserve(NEXT).rest_fen == 0


def test_a_fen_less_stays_in_suspense_until_two_people_settle_it_and_the_rest_is_paid(
    city: BankedCity,
) -> None:
    city.take(city.first_day("--short", f"{METRO}=1"))
    whole_fen = city.amount_fen(METRO)
    ((name, kind),) = city.open().items()
    assert kind == "differs" and name.startswith("S1:") and work(city) == {name: "bank_differs"}
    assert city.states()[METRO] == ("accepted", 0)
    assert city.held_fen("suspense:bank") == whole_fen - 1 and -city.held_fen("payable:METRO-1") == whole_fen

    settled = city.decide(name, Decision.SETTLE)
    assert isinstance(settled, Proposal)
    assert city.states()[METRO] == ("paid", whole_fen - 1) and city.held_fen("suspense:bank") == 0
    assert city.open() == {METRO: "short"} and -city.held_fen("payable:METRO-1") == 1
    rest = city.decide(METRO, Decision.PAY_AGAIN)
    assert isinstance(rest, Proposal) and city.amount_fen(rest.made) == 1
    city.take(city.bank(SECOND))
    assert city.held_fen("payable:METRO-1") == 0 and city.open() == {}
    city.night(NEXT)
    assert city.sound() and city.reserve(NEXT).rest_fen == 0


def test_a_payment_twice_is_undone_by_the_line_that_brings_it_back(city: BankedCity) -> None:
    city.take(city.first_day("--twice", BUS))
    ((out, kind),) = city.open().items()
    assert kind == "twice" and city.held_fen("suspense:bank") == city.amount_fen(BUS)
    # What comes back under its id may be the second payment's: nobody guesses.
    city.take(city.bank(SECOND, "--send-back", BUS))
    back = next(name for name in city.open() if name != out)
    assert city.open() == {out: "twice", back: "differs"} and city.states()[BUS][0] == "paid"
    done = city.decide(out, Decision.OFFSET, other=back)
    assert isinstance(done, Proposal) and city.open() == {} and city.held_fen("suspense:bank") == 0
    city.night(NEXT)
    assert city.sound() and city.reserve(NEXT).rest_fen == 0


def test_money_that_nobody_knows_is_booked_where_two_people_say(city: BankedCity) -> None:
    city.take(city.first_day("--deposit", "UNKNOWN-7=1234", "--deposit", "FEE-1=-50"))
    kinds = city.open()
    assert set(kinds.values()) == {"theirs_only"} and city.held_fen("suspense:bank") == 50 - 1234
    by_amount = {one.amount_fen: one.id for one in city.points()}
    city.decide(by_amount[1234], Decision.BOOK, account="agent:KIOSK-1")
    city.decide(by_amount[50], Decision.BOOK, account="expense:bank")
    assert city.held_fen("suspense:bank") == 0 and city.held_fen("expense:bank") == 50 and city.open() == {}
    city.night(NEXT)
    assert city.sound() and city.reserve(NEXT).rest_fen == 0


def test_a_payment_on_no_statement_is_found_by_its_age_and_paid_again_when_the_bank_denies_it(
    city: BankedCity,
) -> None:
    city.take(city.first_day("--hold", METRO))
    assert city.open() == {}
    city.today = FIRST + timedelta(days=3)
    assert city.open() == {METRO: "ours_only"} and city.points()[0].age_days(city.today) == 3
    denied = city.decide(METRO, Decision.REJECT)
    assert isinstance(denied, Proposal) and city.open() == {METRO: "rejected"}
    again = city.decide(METRO, Decision.PAY_AGAIN)
    assert isinstance(again, Proposal)
    # The bank pays both: the first contradicts what it said, and is not taken for the second.
    city.take(city.bank(THIRD))
    assert city.states()[again.made][0] == "paid" and city.held_fen("payable:METRO-1") == 0
    ((late, kind),) = city.open().items()
    assert kind == "contradicts" and city.held_fen("suspense:bank") == city.amount_fen(METRO)
    city.night(NEXT)
    assert city.sound() and late.startswith("S2:")


def test_what_the_bank_may_have_paid_after_all_is_not_paid_again_before_its_line_is_decided(
    city: BankedCity,
) -> None:
    city.take(city.first_day("--hold", METRO))
    city.today = FIRST + timedelta(days=3)
    city.decide(METRO, Decision.REJECT)
    city.take(city.bank(SECOND))
    line = next(name for name, kind in city.open().items() if kind == "contradicts")
    with writing(city.engine) as conn:
        made = propose(conn, Asked(METRO, Decision.PAY_AGAIN, "now", "lin", AT), city.today)
    assert isinstance(made, ProposalRefused) and f"{line} names {METRO}" in made.message
    assert isinstance(city.decide(line, Decision.SETTLE), Proposal)
    assert city.states()[METRO] == ("paid", city.amount_fen(METRO)) and city.open() == {} and city.sound()


def test_a_line_that_was_changed_in_the_database_stops_the_night(city: BankedCity) -> None:
    city.take(city.first_day("--twice", BUS))
    with writing(city.engine) as conn:
        conn.execute(text("UPDATE bank_line SET amount_fen = amount_fen + 1 WHERE fate <> 'known'"))
    with pytest.raises(NightRefused) as stopped:
        city.night(NEXT)
    assert stopped.value.step == "check_books_after" and "bank:reserve" in stopped.value.reason
    with writing(city.engine) as conn:
        conn.execute(text("UPDATE bank_line SET amount_fen = amount_fen - 1 WHERE fate <> 'known'"))
        conn.execute(text("UPDATE bank_line SET open_fen = open_fen - 1 WHERE open_fen > 0"))
    with pytest.raises(NightRefused, match="suspense:bank"):
        city.night(NEXT)


def test_a_night_ages_what_is_open_and_a_past_report_shows_what_it_showed(city: BankedCity) -> None:
    before = city.reserve(DAY)
    city.take(city.first_day("--reject", f"{METRO}=AC04"))
    city.night(NEXT)
    reports = city.nights / NEXT.isoformat() / "out" / "reports"
    (row,) = csv_table(reports / "bank.csv")
    assert (row["end-to-end id"], row["state"], row["paid yuan"]) == (METRO, "rejected", "0.00")
    assert "AC04" in row["what"]
    (point,) = csv_table(reports / "bank_points.csv")
    assert (point["id"], point["what is open"]) == (METRO, "rejected")
    assert [row["what"] for row in csv_table(reports / "reserve.csv") if row["part"] == "cover"] != []
    assert city.reserve(DAY) == before and before.statement is None
    unreached = [row.what for row in before.rows if row.part == "unreached"]
    assert unreached == ["agent_payment agent-pays:KIOSK-1:2018-09-01"]


def test_a_proposal_is_void_when_the_bank_has_settled_its_point_meanwhile(city: BankedCity) -> None:
    city.take(city.first_day("--hold", METRO))
    city.today = FIRST + timedelta(days=3)
    with writing(city.engine) as conn:
        made = propose(conn, Asked(METRO, Decision.REJECT, "the bank denies it", "lin", AT), city.today)
    assert isinstance(made, Proposal)
    city.take(city.bank(SECOND))
    answer = approve(city.engine, Word(made.number, "chen", AT), nights=city.nights, today=city.today)
    assert isinstance(answer, DecisionRefused) and "no longer ours only" in answer.message
    assert city.states()[METRO][0] == "paid"


def take_at_once(url: str, archive: Path, file: Path, today: date) -> str:
    """What a process of its own is told of a file."""
    engine = make_engine(url)
    try:
        return take_file(engine, archive, file.name, file.read_bytes(), at=AT, today=today).took.value
    finally:
        engine.dispose()


def test_of_two_processes_that_bring_one_statement_at_once_one_takes_it(
    city: BankedCity, database_url: str
) -> None:
    files = city.first_day()
    for file in files:
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            words = (database_url, city.home / "archive", file, city.today)
            assert sorted(pool.starmap(take_at_once, [words] * 2)) == ["repeated", "taken"]
    with reading(city.engine) as conn:
        payments = conn.scalar(select(func.count()).where(entry.c.kind == "bank_payment"))
    assert payments == 2 and city.states()[METRO][0] == "paid"


def test_who_is_killed_while_taking_a_file_has_taken_nothing_of_it(
    city: BankedCity, database_url: str
) -> None:
    for file in city.first_day():
        before = everything(city.engine)
        city.engine.dispose()
        assert killed_taking(database_url, city.home, file, city.today) == -9
        assert everything(city.engine) == before
        (told,) = city.take([file])
        assert told.took is Took.TAKEN
    assert city.states()[METRO][0] == "paid" and city.sound()


def test_a_message_that_its_approver_did_not_live_to_write_is_written_when_they_say_it_again(
    city: BankedCity, database_url: str
) -> None:
    city.take(city.first_day("--reject", f"{METRO}=AC04"))
    with writing(city.engine) as conn:
        made = propose(conn, Asked(METRO, Decision.PAY_AGAIN, "right now", "lin", AT), city.today)
    assert isinstance(made, Proposal)
    city.engine.dispose()
    assert killed_approving(database_url, city.home, made.number, city.today) == -9
    message = city.nights / "2018-09-02" / "out" / "bank" / "pain001-OC-20180902-02.xml"
    assert not message.exists() and city.open() == {}
    word = Word(made.number, "chen", AT)
    for _ in range(2):
        done = approve(city.engine, word, nights=city.nights, today=city.today)
        assert isinstance(done, Proposal) and done.made in message.read_text(encoding="utf-8")
    assert list(message.parent.glob("*.xml")) == [message]
