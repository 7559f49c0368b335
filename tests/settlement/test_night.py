"""The night: resumed from anywhere to the same books, never twice, never two at once."""

import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from filelock import FileLock
from sqlalchemy import event, func, select, text

from card.hsm.client import Hsm
from city.home import CITY_ZONE
from city.processes import RunningHsm
from clearing.context import Night, StepResult
from clearing.tables import tap
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.day import DayState, current_day, day_state
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from ledger.tables import entry
from ledger.verify import verify_books
from settlement.night import STEPS, NightRefused, run_night
from settlement.night_lock import LOCK_FILE, NIGHT_LOCK
from settlement.night_log import recorded_steps, run_of
from settlement.reports import night_summary
from tests.settlement.conftest import FinishedNight, PreparedDay
from tests.settlement.killed_night import instants, killed
from tests.settlement.small_day import AT, DAY, night_of
from tests.support.night_books import contents, everything

NAMES = [name for name, _ in STEPS]


def test_the_steps_are_those_of_the_design_in_their_order() -> None:
    assert NAMES == [
        "check_books_before", "ask_insurer", "withdraw_claims", "tell_billers", "close_day", "hear_centres",
        "collect", "verify", "match", "price", "post", "route", "tell_centres", "net", "instruct", "report",
        "reconcile_peers", "reconcile", "hand_over", "check_books_after", "seal",
    ]  # fmt: skip


def test_a_night_killed_in_every_step_ends_like_one_that_was_not(
    day: PreparedDay, hsm_process: RunningHsm, finished: FinishedNight
) -> None:
    """Killed before and after each commit. The unbroken night ran on SQLite, so both databases keep one book."""
    for done, step in enumerate(NAMES):
        for instant in instants(step):
            assert killed(hsm_process, day.database_url, day.home, step, instant) == -signal.SIGKILL
            with reading(day.engine) as conn:
                assert len(recorded_steps(conn, DAY)) == done + (instant == "done")
    report = run_night(day.engine, day.night)
    assert report.already_finished
    assert report.steps == finished.report.steps
    assert everything(day.engine) == everything(finished.engine)
    assert contents(day.night.folder) == contents(finished.night.folder)


def test_each_step_writes_and_is_recorded_in_one_transaction(day: PreparedDay) -> None:
    commits: list[str] = []
    running = ""

    def observe(step: str, _state: str, _result: StepResult | None) -> None:
        nonlocal running
        running = step

    event.listen(day.engine, "commit", lambda _conn: commits.append(running))
    run_night(day.engine, day.night, observe=observe)
    expected = list(NAMES)
    expected.insert(NAMES.index("post"), "post")  # the accounts for its taps, as the city has none yet
    if day.engine.dialect.name == "postgresql":
        expected.insert(NAMES.index("post"), "post")  # the taps, a moment before their lines
    assert [step for step in commits if step] == expected


@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
def test_a_night_killed_as_it_had_kept_its_taps_books_them_when_it_goes_on(
    day: PreparedDay, hsm_process: RunningHsm, finished: FinishedNight
) -> None:
    assert killed(hsm_process, day.database_url, day.home, "post", "kept") == -signal.SIGKILL
    with reading(day.engine) as conn:
        assert conn.scalar(select(func.count()).select_from(tap)) != 0
        assert len(recorded_steps(conn, DAY)) == NAMES.index("post")
        assert conn.scalar(select(func.count()).where(entry.c.kind == "clearing")) == 0
    report = run_night(day.engine, day.night)
    assert report.steps == finished.report.steps
    assert everything(day.engine) == everything(finished.engine)
    assert contents(day.night.folder) == contents(finished.night.folder)


@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
def test_others_post_while_the_night_writes_its_lines_and_the_night_records_its_own(
    day: PreparedDay, finished: FinishedNight
) -> None:
    booked: list[str] = []

    def progress(what: str, done: int, _total: int) -> None:
        # Told before the last of the taps is in, and so before the night asks for the writer's lock.
        if (what, booked) == ("rows", []) and done:
            with writing(day.engine) as conn:
                fees = Line("agent:A", "income:fee", 7)
                open_accounts(conn, [account(fees.debit), account(fees.credit)], at=AT)
                own = Entry("fees", "fee", current_day(conn), AT, (fees,))
                booked.extend(type(answer).__name__ for answer in post(conn, [own], at=AT))

    report = run_night(day.engine, replace(day.night, progress=progress))
    assert booked == ["Posted"]
    assert report.steps == finished.report.steps
    with reading(day.engine) as conn:
        assert conn.scalars(select(entry.c.business_date).where(entry.c.reference == "fees")).one() > DAY
        assert list(verify_books(conn)) == []


def test_booking_tells_how_far_it_is_up_to_the_last_row(day: PreparedDay) -> None:
    told: list[tuple[int, int]] = []
    running = ""

    def observe(step: str, _state: str, _result: StepResult | None) -> None:
        nonlocal running
        running = step

    def progress(what: str, done: int, total: int) -> None:
        if running == "post":
            assert what == "rows"
            told.append((done, total))

    run_night(day.engine, replace(day.night, progress=progress), observe=observe)
    (total,) = {total for _, total in told}
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1][0] == total > 0


def test_a_resumed_night_books_with_the_instant_of_its_first_start(
    day: PreparedDay, finished: FinishedNight
) -> None:
    class Stop(Exception):
        """Stands for a crash that Python survives."""

    def stop(step: str, state: str, _result: StepResult | None) -> None:
        if (step, state) == ("net", "started"):
            raise Stop

    with pytest.raises(Stop):
        run_night(day.engine, day.night, observe=stop)
    later = night_of(day.home, day.night.hsm, at=AT + timedelta(hours=3))
    report = run_night(day.engine, later)
    assert report.at == AT
    assert [record.digest for record in report.steps] == [record.digest for record in finished.report.steps]
    with reading(day.engine) as conn:
        assert set(
            conn.execute(text("SELECT DISTINCT posted_at FROM ledger_entry WHERE kind = 'net'"))
        ) == set(conn.execute(text("SELECT DISTINCT posted_at FROM ledger_entry WHERE kind = 'clearing'")))


def test_a_resumed_night_writes_the_same_files_whatever_zone_its_start_was_given_in(
    day: PreparedDay, finished: FinishedNight
) -> None:
    """Its own start's instant comes from the caller, a resumed one's from the books, which keep UTC."""

    def stop(step: str, state: str, _result: StepResult | None) -> None:
        if (step, state) == ("report", "started"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_night(day.engine, night_of(day.home, day.night.hsm, at=AT.astimezone(CITY_ZONE)), observe=stop)
    run_night(day.engine, day.night)
    assert contents(day.night.folder) == contents(finished.night.folder)


def test_a_night_that_is_not_resumed_writes_the_same_files_in_any_zone(
    day: PreparedDay, finished: FinishedNight
) -> None:
    report = run_night(day.engine, night_of(day.home, day.night.hsm, at=AT.astimezone(CITY_ZONE)))
    assert (report.at, report.steps) == (finished.report.at, finished.report.steps)
    assert contents(day.night.folder) == contents(finished.night.folder)


def test_a_finished_night_run_again_changes_nothing_and_says_so(day: PreparedDay) -> None:
    first = run_night(day.engine, day.night)
    rows, files = everything(day.engine), contents(day.home)
    seen: list[tuple[str, str]] = []
    again = run_night(
        day.engine,
        night_of(day.home, day.night.hsm, at=AT + timedelta(days=1)),
        observe=lambda step, state, _result: seen.append((step, state)),
    )
    assert (first.already_finished, again.already_finished) == (False, True)
    assert (again.at, again.steps) == (first.at, first.steps)
    assert seen == [(name, "already") for name in NAMES]
    assert (everything(day.engine), contents(day.home)) == (rows, files)


def test_two_nights_never_run_at_once(day: PreparedDay) -> None:
    refusals: list[NightRefused] = []

    def second_night(step: str, state: str, _result: StepResult | None) -> None:
        if (step, state) == ("verify", "started"):
            with pytest.raises(NightRefused) as refused:
                run_night(day.engine, night_of(day.home, day.night.hsm, DAY + timedelta(days=1)))
            refusals.append(refused.value)

    assert not run_night(day.engine, day.night, observe=second_night).already_finished
    assert [(one.step, "already running" in one.reason) for one in refusals] == [("start", True)]


def test_a_night_on_another_machine_is_seen_through_the_database(day: PreparedDay) -> None:
    """Another machine has another file system: only the database, or on SQLite the lock file, can tell."""
    if day.engine.dialect.name == "postgresql":
        with day.engine.connect() as other:
            other.execute(text(f"SELECT pg_advisory_lock({NIGHT_LOCK})"))
            with pytest.raises(NightRefused, match="database's lock"):
                run_night(day.engine, day.night)
            other.execute(text(f"SELECT pg_advisory_unlock({NIGHT_LOCK})"))
    else:
        day.night.folder.parent.mkdir(parents=True)
        with (
            FileLock(day.night.folder.parent / LOCK_FILE),
            pytest.raises(NightRefused, match="already running"),
        ):
            run_night(day.engine, day.night)
    assert run_night(day.engine, day.night).steps


def unknown_day(day: PreparedDay) -> Night:
    return night_of(day.home, day.night.hsm, date(2030, 1, 1))


def skipped_day(day: PreparedDay) -> Night:
    """The day after, while this one is still open."""
    with writing(day.engine) as conn:
        conn.execute(
            text("INSERT INTO ledger_day (business_date, state, opened_at) VALUES (:day, 'open', :at)"),
            {"day": "2018-09-02", "at": AT.isoformat()},
        )
    return night_of(day.home, day.night.hsm, DAY + timedelta(days=1))


def foreign_participant(day: PreparedDay) -> Night:
    with writing(day.engine) as conn:
        conn.execute(text("DELETE FROM settlement_agreement"))
        conn.execute(text("DELETE FROM settlement_participant WHERE id = 'BUS-1'"))
    return day.night


def missing_agreement(day: PreparedDay) -> Night:
    with writing(day.engine) as conn:
        conn.execute(text("DELETE FROM settlement_agreement WHERE participant = 'METRO-1'"))
    return day.night


def no_account_to_pay_from(day: PreparedDay) -> Night:
    with writing(day.engine) as conn:
        conn.execute(text("DELETE FROM settlement_participant WHERE id = 'SCHEME'"))
    return day.night


def silent_hsm(day: PreparedDay) -> Night:
    return night_of(day.home, Hsm("127.0.0.1", 1, timeout_s=1.0))


def books_that_do_not_agree(day: PreparedDay) -> Night:
    with writing(day.engine) as conn:
        conn.execute(
            text(
                "UPDATE ledger_total SET debits_posted_fen = debits_posted_fen + 1"
                " WHERE account_id IN (SELECT id FROM ledger_account WHERE segment = 'agent')"
            )
        )
    return day.night


@pytest.mark.parametrize(
    ("spoil", "step", "reason", "remedy"),
    [
        (unknown_day, "start", "2030-01-01 was never opened", "give a business date that is open"),
        (skipped_day, "start", "2018-09-01 is not closed yet", "run the night of 2018-09-01 first"),
        (books_that_do_not_agree, "check_books_before", "0.01", "by reversal, never by overwriting"),
        (silent_hsm, "collect", "MACs cannot be checked", "run again"),
        (foreign_participant, "net", "BUS-1 has a balance to be netted", "register it with its bank account"),
        (missing_agreement, "net", "METRO-1 has no agreement", "register one that covers"),
        (no_account_to_pay_from, "instruct", "no bank account to pay from", "register a participant SCHEME"),
    ],
)
def test_a_refused_night_names_step_reason_and_remedy(
    day: PreparedDay, spoil: Callable[[PreparedDay], Night], step: str, reason: str, remedy: str
) -> None:
    night = spoil(day)
    with pytest.raises(NightRefused) as refused:
        run_night(day.engine, night)
    assert refused.value.step == step
    assert reason in refused.value.reason
    assert remedy in refused.value.remedy
    with reading(day.engine) as conn:
        run = run_of(conn, night.business_date)
        if step == "start":
            assert run is None
        else:
            assert run is not None
            assert (run.state, run.refused_step) == ("refused", step)
            assert reason in night_summary(conn, night.business_date).refused


def test_a_refused_night_goes_on_after_the_remedy(day: PreparedDay, finished: FinishedNight) -> None:
    with pytest.raises(NightRefused):
        run_night(day.engine, silent_hsm(day))
    report = run_night(day.engine, day.night)
    assert report.steps == finished.report.steps


def test_a_later_night_waits_for_one_that_stopped(day: PreparedDay) -> None:
    with pytest.raises(NightRefused):
        run_night(day.engine, silent_hsm(day))
    with pytest.raises(NightRefused, match="night of 2018-09-01 was started and is not finished"):
        run_night(day.engine, night_of(day.home, day.night.hsm, DAY + timedelta(days=1)))


def test_a_work_file_changed_between_two_runs_stops_the_night(day: PreparedDay) -> None:
    def spoil(step: str, state: str, _result: StepResult | None) -> None:
        if (step, state) == ("price", "done"):
            with (day.night.work / "verdicts.parquet").open("ab") as file:
                file.write(b"\0")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_night(day.engine, day.night, observe=spoil)
    with pytest.raises(
        NightRefused, match=r"verdicts\.parquet is not the file that this step left"
    ) as refused:
        run_night(day.engine, day.night)
    assert refused.value.step == "match"


def test_the_next_day_trades_while_this_one_is_closed(day: PreparedDay, finished: FinishedNight) -> None:
    """What is booked on the next day between any two steps changes neither this day's figures nor its files."""
    tomorrow = DAY + timedelta(days=1)

    def trade(step: str, state: str, _result: StepResult | None) -> None:
        if state != "done" or NAMES.index(step) < NAMES.index("close_day"):
            return
        with writing(day.engine) as conn:
            open_accounts(conn, [account("wallet:H1"), account("clearing:METRO-1")], at=AT)
            line = Line("agent:KIOSK-1", "wallet:H1", 700), Line("wallet:H1", "clearing:METRO-1", 300)
            entry = Entry(f"online:{step}", "online", tomorrow, AT, line)
            assert isinstance(post(conn, [entry], at=AT)[0], Posted)

    run_night(day.engine, day.night, observe=trade)
    assert contents(day.night.folder / "out") == contents(finished.out)
    with reading(day.engine) as conn:
        assert list(verify_books(conn)) == []


def test_money_owed_that_no_payment_explains_stops_the_next_night(settled: PreparedDay) -> None:
    tomorrow = DAY + timedelta(days=1)
    with writing(settled.engine) as conn:
        assert day_state(conn, DAY) is DayState.CLOSED
        open_accounts(conn, [account("wallet:H1")], at=AT)
        lines = Line("agent:KIOSK-1", "wallet:H1", 1_000), Line("wallet:H1", "clearing:METRO-1", 500)
        refund = Line("clearing:BUS-1", "wallet:H1", 90)
        post(conn, [Entry("online:1", "online", tomorrow, AT, (*lines, refund))], at=AT)
    with pytest.raises(NightRefused, match=r"online: 0\.00 yuan expected, 4\.10 found") as refused:
        run_night(settled.engine, night_of(settled.home, settled.night.hsm, tomorrow, AT + timedelta(days=1)))
    assert refused.value.step == "check_books_after"
    with reading(settled.engine) as conn:
        second = night_summary(conn, tomorrow)
    assert {(row.party, row.position_fen, row.standing) for row in second.positions} == {
        ("BUS-1", -90, "carried"),
        ("METRO-1", 497, "netted"),
        ("SCHEME", 3, "counterpart"),
        ("wallet", -410, "counterpart"),
    }
    assert second.seal is None
