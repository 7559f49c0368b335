"""Loss: reported in one place every face is locked at once, again changes nothing, lifted by an act of its own."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select

from card.holders import Enrolled, cards_of, enrol_all, forget, tie_card
from card.hotlist import HotlistEntry, hotlist_card, hotlisted
from card.loss import (
    HOTLIST_DEADLINE,
    LossLifted,
    LossRefusal,
    LossRefused,
    LossReported,
    is_locked,
    lift_loss,
    report_loss,
)
from card.registry import CardRecord, find, register
from card.tables import hotlist, loss, lost_card
from card.vault import Vault
from ledger.db import reading, writing
from tests.card.people import NOW, person

LATER, LATEST = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
A, B, C, NOBODYS = (f"0310487000000000{number:04d}" for number in range(4))


@dataclass(frozen=True, slots=True)
class Town:
    """Two holders, the first with cards A and B, the second with C; the fourth card is nobody's."""

    engine: Engine
    first: str
    second: str


@pytest.fixture
def town(engine: Engine, vault: Vault) -> Town:
    with writing(engine) as conn:
        register(
            conn, [CardRecord(card_no, "01011000", 1, 1, 0, NOW) for card_no in (A, B, C, NOBODYS)], at=NOW
        )
        first, second = (
            answer.holder
            for answer in enrol_all(conn, vault, [person(1), person(2)], at=NOW)
            if isinstance(answer, Enrolled)
        )
        for owner, card_no in ((first, A), (first, B), (second, C)):
            tie_card(conn, owner, card_no, at=NOW)
    return Town(engine, first, second)


def reason(answer: object) -> LossRefusal:
    assert isinstance(answer, LossRefused)
    return answer.reason


def statuses(conn: Connection) -> dict[str, str]:
    return {card_no: record.status for card_no in (A, B, C, NOBODYS) if (record := find(conn, card_no))}


def everything(conn: Connection) -> list[object]:
    tables = [
        conn.execute(select(table).order_by(*table.primary_key)).all() for table in (loss, lost_card, hotlist)
    ]
    return [*tables, statuses(conn)]


@pytest.mark.parametrize("by", ["holder", A, B])
def test_a_loss_reported_by_any_face_locks_every_face(town: Town, by: str) -> None:
    face = town.first if by == "holder" else by
    with writing(town.engine) as conn:
        assert report_loss(conn, face, at=LATER) == LossReported(town.first, (A, B), LATER, first_time=True)
    with reading(town.engine) as conn:
        assert is_locked(conn, town.first) and not is_locked(conn, town.second)
        assert statuses(conn) == {A: "lost", B: "lost", C: "active", NOBODYS: "active"}
        assert hotlisted(conn) == [HotlistEntry(no, LATER, LATER + HOTLIST_DEADLINE, "lost") for no in (A, B)]


def test_reported_again_by_any_face_it_changes_nothing(town: Town) -> None:
    with writing(town.engine) as conn:
        report_loss(conn, A, at=LATER)
        before = everything(conn)
        for face in (A, B, town.first):
            assert report_loss(conn, face, at=LATEST) == LossReported(
                town.first, (A, B), LATER, first_time=False
            )
        assert everything(conn) == before


def test_a_report_that_does_not_commit_locks_nothing(town: Town) -> None:
    with pytest.raises(ZeroDivisionError), writing(town.engine) as conn:
        report_loss(conn, A, at=LATER)
        raise ZeroDivisionError
    with reading(town.engine) as conn:
        assert not is_locked(conn, town.first)
        assert (set(statuses(conn).values()), hotlisted(conn)) == ({"active"}, [])


def test_lifting_unlocks_what_was_locked(town: Town) -> None:
    with writing(town.engine) as conn:
        report_loss(conn, town.first, at=LATER)
        assert lift_loss(conn, B, at=LATEST) == LossLifted(town.first, (A, B))
        assert not is_locked(conn, town.first)
        assert (set(statuses(conn).values()), hotlisted(conn)) == ({"active"}, [])
        assert reason(lift_loss(conn, B, at=LATEST)) is LossRefusal.NOT_REPORTED
        assert isinstance(report_loss(conn, A, at=LATEST), LossReported)
        assert is_locked(conn, town.first)


def test_a_card_still_lost_stays_locked_when_the_rest_is_lifted(town: Town) -> None:
    with writing(town.engine) as conn:
        report_loss(conn, town.first, at=LATER)
        assert reason(lift_loss(conn, town.first, at=LATEST, still_lost=[C])) is LossRefusal.CARD_NOT_OF_LOSS
        assert lift_loss(conn, town.first, at=LATEST, still_lost=[A]) == LossLifted(town.first, (B,))
        assert not is_locked(conn, town.first)
        assert statuses(conn) == {A: "lost", B: "active", C: "active", NOBODYS: "active"}
        assert [entry.card_no for entry in hotlisted(conn)] == [A]
        # Another loss of the same holder locks what is in use, and its lifting leaves the first card lost.
        assert report_loss(conn, B, at=LATEST) == LossReported(town.first, (B,), LATEST, first_time=True)
        assert lift_loss(conn, B, at=LATEST) == LossLifted(town.first, (B,))
        assert (statuses(conn)[A], [held.status for held in cards_of(conn, town.first)]) == (
            "lost",
            ["lost", "active"],
        )


def test_a_card_listed_for_another_reason_stays_listed(town: Town) -> None:
    listed = HotlistEntry(A, NOW, NOW, "counter_conflict")
    with writing(town.engine) as conn:
        hotlist_card(conn, listed)
        report_loss(conn, A, at=LATER)
        assert hotlisted(conn)[0] == listed
        lift_loss(conn, A, at=LATEST)
        assert hotlisted(conn) == [listed]


def test_a_card_that_is_nobodys_is_lost_alone(town: Town) -> None:
    with writing(town.engine) as conn:
        assert report_loss(conn, NOBODYS, at=LATER) == LossReported(None, (NOBODYS,), LATER, first_time=True)
        assert report_loss(conn, NOBODYS, at=LATEST) == LossReported(
            None, (NOBODYS,), LATER, first_time=False
        )
        assert not is_locked(conn, town.first) and not is_locked(conn, town.second)
        assert lift_loss(conn, NOBODYS, at=LATEST, still_lost=[NOBODYS]) == LossLifted(None, ())
        assert reason(report_loss(conn, NOBODYS, at=LATEST)) is LossRefusal.CARD_NOT_ACTIVE


def test_an_unknown_face_is_refused(town: Town) -> None:
    with writing(town.engine) as conn:
        for act in (report_loss, lift_loss):
            assert reason(act(conn, "H0000000000", at=NOW)) is LossRefusal.HOLDER_UNKNOWN
            assert reason(act(conn, "0" * 20, at=NOW)) is LossRefusal.CARD_UNKNOWN
        assert reason(lift_loss(conn, town.first, at=NOW)) is LossRefusal.NOT_REPORTED


def test_cards_of_a_forgotten_holder_stay_lost_and_can_be_found(town: Town) -> None:
    with writing(town.engine) as conn:
        report_loss(conn, town.first, at=LATER)
        forget(conn, town.first, at=LATER)
        assert statuses(conn)[A] == "lost"
        assert reason(report_loss(conn, town.first, at=LATER)) is LossRefusal.HOLDER_UNKNOWN
        assert lift_loss(conn, A, at=LATEST) == LossLifted(None, (A, B))
        assert statuses(conn)[A] == "active"


def test_a_lost_card_is_still_the_card_that_was_registered(town: Town) -> None:
    with writing(town.engine) as conn:
        report_loss(conn, A, at=LATER)
        assert register(conn, [CardRecord(A, "01011000", 1, 1, 0, NOW)], at=LATER) == 0
        assert statuses(conn)[A] == "lost"


Act = tuple[str, int]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["report", "lift"]), st.integers(0, 5)), max_size=8))
def test_a_holder_is_locked_exactly_while_the_last_act_was_a_report(town: Town, acts: list[Act]) -> None:
    faces = (town.first, A, B, town.second, C, NOBODYS)
    groups = {town.first: 0, A: 0, B: 0, town.second: 1, C: 1, NOBODYS: 2}
    with writing(town.engine) as conn:
        for face in (A, C, NOBODYS):
            lift_loss(conn, face, at=LATER)
        expected = [False, False, False]
        for act, which in acts:
            (report_loss if act == "report" else lift_loss)(conn, faces[which], at=LATER)
            expected[groups[faces[which]]] = act == "report"
        assert [is_locked(conn, town.first), is_locked(conn, town.second)] == expected[:2]
        assert statuses(conn) == {
            card_no: "lost" if expected[group] else "active"
            for card_no, group in groups.items()
            if card_no.isdigit()
        }
        assert {entry.card_no for entry in hotlisted(conn)} == {
            card_no for card_no, group in groups.items() if expected[group] and card_no.isdigit()
        }
