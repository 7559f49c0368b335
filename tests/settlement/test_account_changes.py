"""A participant's bank account is changed by two people, and by no single one."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import IntegrityError

from ledger.db import reading, writing
from settlement.account_changes import (
    AccountChange,
    BankAccount,
    ChangeRefusal,
    ChangeRefused,
    ChangeState,
    account_changes,
    decide_account,
    propose_account,
)
from settlement.participants import participants_of, register_participants
from settlement.tables import account_change
from tests.settlement.small_day import MORNING, PARTICIPANTS

WHO = PARTICIPANTS[0].id
NEW = BankAccount("888", "102584000013", "工商银行")
OTHER = BankAccount("999", "308584000013", "招商银行")


@pytest.fixture
def known(engine: Engine) -> Engine:
    with writing(engine) as conn:
        register_participants(conn, PARTICIPANTS, at=MORNING)
    return engine


def account_now(conn: Connection) -> BankAccount:
    one = participants_of(conn)[WHO]
    return BankAccount(one.account_no, one.bank_code, one.bank_name)


def proposed(
    conn: Connection, to: BankAccount = NEW, by: str = "lin", why: str = "a letter"
) -> AccountChange:
    change = propose_account(conn, WHO, to, by=by, why=why, at=MORNING)
    assert isinstance(change, AccountChange), change
    return change


def refusal_of(answer: AccountChange | ChangeRefused) -> ChangeRefusal:
    assert isinstance(answer, ChangeRefused) and answer.message and answer.remedy
    return answer.refusal


def test_a_second_person_puts_the_account_in_force_and_what_was_is_kept(known: Engine) -> None:
    with writing(known) as conn:
        before = account_now(conn)
        change = proposed(conn)
        assert account_now(conn) == before and change.state is ChangeState.PROPOSED
        later = MORNING + timedelta(hours=1)
        done = decide_account(conn, change.number, approved=True, by="wang", at=later)
        assert isinstance(done, AccountChange)
        assert (done.was, done.to, done.decided_by, done.decided_at) == (before, NEW, "wang", later)
        assert account_now(conn) == NEW
        assert decide_account(conn, change.number, approved=True, by="wang", at=later) == done
        assert list(account_changes(conn)) == [done] and not account_changes(conn, PARTICIPANTS[1].id)


def test_what_cannot_be_is_refused_with_what_to_do(known: Engine) -> None:
    def asked(to: BankAccount, who: str = WHO, why: str = "a letter") -> ChangeRefusal:
        with writing(known) as conn:
            return refusal_of(propose_account(conn, who, to, by="lin", why=why, at=MORNING))

    with reading(known) as conn:
        now = account_now(conn)
    assert asked(NEW, who="NOBODY") is ChangeRefusal.PARTICIPANT_UNKNOWN
    assert asked(NEW, why=" ") is ChangeRefusal.NOT_POSSIBLE
    assert asked(BankAccount("888", "12", "工商银行")) is ChangeRefusal.NOT_POSSIBLE
    assert asked(BankAccount("", "102584000013", "工商银行")) is ChangeRefusal.NOT_POSSIBLE
    assert asked(now) is ChangeRefusal.NOTHING_CHANGES
    with writing(known) as conn:
        proposed(conn)
        assert (
            refusal_of(decide_account(conn, 7, approved=True, by="wang", at=MORNING))
            is ChangeRefusal.CHANGE_UNKNOWN
        )
    assert asked(OTHER) is ChangeRefusal.WAITS_ALREADY


@given(
    words=st.lists(
        st.tuples(st.sampled_from(["propose", "approve", "turn down"]), st.sampled_from(["lin", "wang"])),
        max_size=12,
    )
)
@settings(max_examples=60)
def only_two_people_change_an_account(engine: Engine, words: list[tuple[str, str]]) -> None:
    with engine.connect() as conn:
        register_participants(conn, PARTICIPANTS, at=MORNING)
        account, waiting, number = account_now(conn), None, 0
        for word, who in words:
            if word == "propose":
                to = NEW if account != NEW else OTHER
                answer = propose_account(conn, WHO, to, by=who, why="a letter", at=MORNING)
                assert isinstance(answer, AccountChange) is (waiting is None)
                if waiting is None:
                    waiting, number = (who, to), number + 1
            elif number:
                decided = decide_account(conn, number, approved=word == "approve", by=who, at=MORNING)
                if waiting is not None and (word == "turn down" or who != waiting[0]):
                    assert isinstance(decided, AccountChange)
                    account, waiting = (waiting[1] if word == "approve" else account), None
            assert account_now(conn) == account
        conn.rollback()


def test_no_run_of_words_lets_one_person_change_an_account(engine: Engine) -> None:
    only_two_people_change_an_account(engine)
    with reading(engine) as conn:
        assert not account_changes(conn)


def test_the_database_lets_one_person_approve_nothing_either(known: Engine) -> None:
    row = {
        "number": 1, "participant": WHO, "was_account_no": "1", "was_bank_code": "1" * 12, "was_bank_name": "A",
        "to_account_no": "2", "to_bank_code": "2" * 12, "to_bank_name": "B", "state": "approved",
        "proposed_by": "lin", "why": "because", "proposed_at": datetime(2026, 3, 1, tzinfo=UTC),
        "decided_by": "lin", "decided_at": datetime(2026, 3, 1, tzinfo=UTC),
    }  # fmt: skip
    with pytest.raises(IntegrityError, match="two_people"), writing(known) as conn:
        conn.execute(insert(account_change), row)
    with pytest.raises(IntegrityError), writing(known) as conn:
        waits = row | {"state": "proposed", "decided_by": None, "decided_at": None}
        conn.execute(insert(account_change), [waits, waits | {"number": 2}])
    with reading(known) as conn:
        assert conn.execute(select(account_change)).all() == []
