"""The work queue: raised once, cleared when its cause is gone, moved by people, and never overwritten."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import booleans, lists, sampled_from, tuples
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from card.hsm.client import Hsm
from ledger.db import reading, writing
from settlement.night import NightRefused, run_night
from settlement.work_queue import (
    Found,
    Happened,
    Item,
    Kind,
    QueueRefusal,
    QueueRefused,
    State,
    events_of,
    hand_over,
    item_of,
    items_of,
    move,
    refusal_to_move,
)
from tests.settlement.conftest import FinishedNight, PreparedDay
from tests.settlement.small_day import AT, DAY, night_of

MISSING = Found(Kind.FILE_MISSING, "BUS-1", DAY + timedelta(days=2), 1, 0, "batch 2 never came", "ask for it")
OPEN = Item(
    7, Kind.FILE_MISSING, "BUS-1", DAY, DAY, State.OPEN, 1, 0, "batch 2 never came", "ask", "night", AT, ""
)
TAKEN, DONE = replace(OPEN, state=State.TAKEN, who="Li"), replace(OPEN, state=State.DONE, who="Li")


def found_on(engine: Engine, found: Sequence[Found], day: date = DAY) -> None:
    with writing(engine) as conn:
        hand_over(conn, found, (Kind.FILE_MISSING,), day, at=AT)


def missing_on(day: date) -> Found:
    """The same file missing, as the night of a day finds it."""
    return replace(MISSING, due_on=day + timedelta(days=2))


def only_item(engine: Engine) -> tuple[Item, list[Happened]]:
    with reading(engine) as conn:
        (item,) = items_of(conn, tuple(State))
        return item, [event.happened for event in events_of(conn, item.number)]


def moved(engine: Engine, happened: Happened, who: str = "Li", note: str = "asked them") -> Item:
    with writing(engine) as conn:
        item = move(conn, 1, happened, who=who, note=note, at=AT)
    assert isinstance(item, Item)
    return item


def test_a_night_hands_over_everything_a_person_must_look_at(finished: FinishedNight) -> None:
    with reading(finished.engine) as conn:
        items = items_of(conn)
    assert {(item.kind, item.subject.split(" ")[0], item.items, item.amount_fen) for item in items} == {
        (Kind.FILE_REJECTED, "METRO-1-00000002.ocb", 1, 0),
        (Kind.FILE_MISSING, "BUS-1", 1, 0),
        (Kind.SUSPENDED, "taps", 1, 160),
    }
    suspended = {item.subject for item in items if item.kind is Kind.SUSPENDED}
    assert suspended == {f"taps BUS-1 device_unknown {DAY}", f"taps BUS-1 tac_wrong {DAY}"}
    # Only what no TAC has proved ends by itself; the tap of an unregistered terminal is paid however late.
    remedies = {item.subject.split(" ")[2]: item.remedy for item in items if item.kind is Kind.SUSPENDED}
    assert "within 30 days is not paid" in remedies["tac_wrong"]
    assert "is paid whenever it is settled" in remedies["device_unknown"]
    assert [item.due_on for item in items] == sorted(item.due_on for item in items)


def test_a_refused_night_is_an_item_until_a_night_is_finished(day: PreparedDay) -> None:
    silent = night_of(day.home, Hsm("127.0.0.1", 1, timeout_s=1.0))
    for _ in range(2):
        with pytest.raises(NightRefused):
            run_night(day.engine, silent)
    with reading(day.engine) as conn:
        (item,) = items_of(conn)
    assert (item.kind, item.subject, item.late_on(DAY + timedelta(days=2))) == (
        Kind.NIGHT_REFUSED, str(DAY), 2,
    )  # fmt: skip
    run_night(day.engine, day.night)
    with reading(day.engine) as conn:
        assert item_of(conn, item.number) not in items_of(conn)
        assert Kind.NIGHT_REFUSED not in {one.kind for one in items_of(conn)}


def test_what_is_found_again_is_raised_once_and_changed_only_where_it_changed(engine: Engine) -> None:
    found_on(engine, [MISSING])
    found_on(engine, [MISSING])
    found_on(engine, [replace(MISSING, items=2)])
    item, events = only_item(engine)
    assert (item.items, events) == (2, [Happened.RAISED, Happened.CHANGED])


def test_what_is_no_longer_found_is_cleared_and_comes_back_if_it_does(engine: Engine) -> None:
    found_on(engine, [MISSING])
    found_on(engine, [], DAY + timedelta(days=1))
    assert only_item(engine)[0].state is State.DONE
    found_on(engine, [replace(MISSING, items=3)], DAY + timedelta(days=2))
    item, events = only_item(engine)
    assert (item.state, events) == (State.OPEN, [Happened.RAISED, Happened.CLEARED, Happened.RAISED])


def test_what_a_night_had_cleared_comes_back_before_its_deadline_with_the_very_same_figures(
    engine: Engine,
) -> None:
    found_on(engine, [MISSING])
    found_on(engine, [], DAY + timedelta(days=1))
    found_on(engine, [MISSING], MISSING.due_on)
    item, events = only_item(engine)
    assert (item.state, events) == (State.OPEN, [Happened.RAISED, Happened.CLEARED, Happened.RAISED])


def test_what_recurs_after_a_night_had_cleared_it_is_due_anew_and_keeps_who_looked_at_it(
    engine: Engine,
) -> None:
    found_on(engine, [MISSING])
    moved(engine, Happened.TAKEN, note="asked them")
    found_on(engine, [], DAY + timedelta(days=1))
    again = DAY + timedelta(days=40)
    found_on(engine, [missing_on(again)], again)
    item, events = only_item(engine)
    assert (item.raised_on, item.due_on, item.late_on(again)) == (DAY, again + timedelta(days=2), 0)
    assert events == [Happened.RAISED, Happened.TAKEN, Happened.CLEARED, Happened.RAISED]
    with reading(engine) as conn:
        told = [(event.who, event.what, event.due_on) for event in events_of(conn, item.number)]
    assert told[1] == ("Li", "asked them", None)
    assert told[3] == (f"night {again}", MISSING.what, again + timedelta(days=2))
    moved(engine, Happened.DONE)
    found_on(engine, [missing_on(item.due_on)], item.due_on)
    assert only_item(engine)[0].state is State.DONE, "it rests until the deadline that it has now"
    late = item.due_on + timedelta(days=1)
    found_on(engine, [missing_on(late)], late)
    item, _ = only_item(engine)
    assert (item.state, item.late_on(late)) == (State.OPEN, 1), "called done and never gone: not due anew"


def test_what_belongs_to_a_night_is_due_anew_when_another_night_finds_its_like(engine: Engine) -> None:
    clone = Found(Kind.CLONE, "0310487", DAY + timedelta(days=1), 2, 320, "two taps", "find the card")
    found_on(engine, [clone])
    moved(engine, Happened.DONE)
    again = DAY + timedelta(days=40)
    found_on(engine, [replace(clone, due_on=again + timedelta(days=1))], again)
    item, events = only_item(engine)
    assert (item.due_on, item.late_on(again)) == (again + timedelta(days=1), 0)
    found_on(engine, [replace(clone, items=3, due_on=again + timedelta(days=2))], again + timedelta(days=1))
    assert only_item(engine)[0].due_on == item.due_on, "nobody has looked at it yet"
    assert events == [Happened.RAISED, Happened.DONE, Happened.RAISED]


@given(nights=lists(booleans(), min_size=1, max_size=8))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_deadline_counts_from_the_first_night_since_its_cause_was_last_gone(
    engine: Engine, nights: list[bool]
) -> None:
    with reading(engine) as conn:
        subject = f"BUS-{len(items_of(conn, tuple(State)))}"
    since: date | None = None
    for number, there in enumerate([*nights, True]):
        day = DAY + timedelta(days=number)
        found_on(engine, [replace(missing_on(day), subject=subject)] if there else [], day)
        since = (since or day) if there else None
    assert since is not None
    with reading(engine) as conn:
        (item,) = [one for one in items_of(conn) if one.subject == subject]
    assert item.due_on == since + timedelta(days=2)


def test_what_a_person_called_done_rests_until_its_deadline(engine: Engine) -> None:
    found_on(engine, [MISSING])
    moved(engine, Happened.DONE)
    found_on(engine, [MISSING], MISSING.due_on)
    assert only_item(engine)[0].state is State.DONE
    found_on(engine, [MISSING], MISSING.due_on + timedelta(days=1))
    item, _ = only_item(engine)
    assert (item.state, item.late_on(MISSING.due_on + timedelta(days=1))) == (State.OPEN, 1)


def test_who_took_it_when_and_what_they_said_is_kept(engine: Engine) -> None:
    found_on(engine, [MISSING])
    moved(engine, Happened.TAKEN, note="")
    moved(engine, Happened.BACK, who="Zhao", note="Li is ill")
    moved(engine, Happened.TAKEN, who="Zhao")
    item = moved(engine, Happened.DONE, who="Zhao", note="it comes tonight")
    assert (item.state, item.who, item.note, item.what) == (
        State.DONE, "Zhao", "it comes tonight", "batch 2 never came",
    )  # fmt: skip
    with reading(engine) as conn:
        assert [(event.happened, event.who) for event in events_of(conn, 1)] == [
            (Happened.RAISED, f"night {DAY}"), (Happened.TAKEN, "Li"), (Happened.BACK, "Zhao"),
            (Happened.TAKEN, "Zhao"), (Happened.DONE, "Zhao"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("item", "happened", "who", "note", "refusal"),
    [
        (None, Happened.DONE, "Li", "", QueueRefusal.ITEM_UNKNOWN),
        (DONE, Happened.DONE, "Wu", "", QueueRefusal.NOTE_MISSING),
        (DONE, Happened.TAKEN, "Wu", "", QueueRefusal.ALREADY_DONE),
        (TAKEN, Happened.DONE, "Wu", "why", QueueRefusal.TAKEN_BY_ANOTHER),
        (TAKEN, Happened.TAKEN, "Wu", "", QueueRefusal.TAKEN_BY_ANOTHER),
        (OPEN, Happened.BACK, "Wu", "why", QueueRefusal.NOTHING_TO_GIVE_BACK),
    ],
)
def test_a_move_is_refused_for_the_first_reason_that_applies(
    item: Item | None, happened: Happened, who: str, note: str, refusal: QueueRefusal
) -> None:
    answer = refusal_to_move(item, 7, happened, who, note)
    assert isinstance(answer, QueueRefused)
    assert answer.refusal is refusal


@given(
    moves=lists(
        tuples(
            sampled_from([Happened.TAKEN, Happened.DONE, Happened.BACK]), sampled_from(["Li", "Wu"]),
            sampled_from(["", "why"]),
        ),
        max_size=8,
    )
)  # fmt: skip
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_people_do_takes_an_event_away(
    engine: Engine, moves: list[tuple[Happened, str, str]]
) -> None:
    found_on(engine, [MISSING])
    before = only_item(engine)[1]
    made = []
    for happened, who, note in moves:
        with writing(engine) as conn:
            if isinstance(move(conn, 1, happened, who=who, note=note, at=AT), Item):
                made.append(happened)
    assert only_item(engine)[1] == [*before, *made]


def test_the_database_itself_refuses_to_rewrite_what_happened(engine: Engine) -> None:
    found_on(engine, [MISSING])
    for statement in ("UPDATE work_event SET who = 'nobody'", "DELETE FROM work_item"):
        with pytest.raises(DBAPIError, match="append-only"), writing(engine) as conn:
            conn.execute(text(statement))
    assert only_item(engine)[0].who == f"night {DAY}"
