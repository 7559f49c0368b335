"""A participant's bank account is changed by two people, and by no single one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import IntegrityError

from clearing.proposals import State
from ledger.db import reading, writing
from settlement.account_changes import (
    AccountChange,
    BankAccount,
    ChangeRefusal,
    ChangeRefused,
    account_changes,
    approve_account,
    end_change,
    propose_account,
)
from settlement.participants import correct_account, participants_of, register_participants
from settlement.tables import account_change
from settlement.two_people import DecisionRefusal, DecisionRefused, Word
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


def proposed(conn: Connection, to: BankAccount = NEW, by: str = "lin") -> AccountChange:
    change = propose_account(conn, WHO, to, by=by, reason="a letter", at=MORNING)
    assert isinstance(change, AccountChange), change
    return change


def refusal_of(answer: AccountChange | ChangeRefused | DecisionRefused) -> ChangeRefusal | DecisionRefusal:
    assert not isinstance(answer, AccountChange) and answer.message and answer.remedy
    return answer.refusal


def test_a_second_person_puts_the_account_in_force_and_what_was_is_kept(known: Engine) -> None:
    with writing(known) as conn:
        before = account_now(conn)
        change = proposed(conn)
        assert account_now(conn) == before and change.state is State.PROPOSED
        later = MORNING + timedelta(hours=1)
        done = approve_account(conn, Word(change.number, "wang", later))
        assert isinstance(done, AccountChange)
        assert (done.was, done.to, done.decided_by, done.decided_at) == (before, NEW, "wang", later)
        assert account_now(conn) == NEW
        assert approve_account(conn, Word(change.number, "wang", later)) == done
        assert list(account_changes(conn)) == [done] and not account_changes(conn, PARTICIPANTS[1].id)


def test_what_cannot_be_is_refused_with_what_to_do(known: Engine) -> None:
    def asked(to: BankAccount, who: str = WHO, reason: str = "a letter") -> ChangeRefusal | DecisionRefusal:
        with writing(known) as conn:
            return refusal_of(propose_account(conn, who, to, by="lin", reason=reason, at=MORNING))

    with reading(known) as conn:
        now = account_now(conn)
    assert asked(NEW, who="NOBODY") is ChangeRefusal.PARTICIPANT_UNKNOWN
    assert asked(NEW, reason=" ") is ChangeRefusal.REASON_UNFIT
    assert asked(BankAccount("888", "12", "工商银行")) is ChangeRefusal.ACCOUNT_UNFIT
    assert asked(BankAccount("", "102584000013", "工商银行")) is ChangeRefusal.ACCOUNT_UNFIT
    assert asked(now) is ChangeRefusal.NOTHING_CHANGES
    with writing(known) as conn:
        proposed(conn)
        unknown = approve_account(conn, Word(7, "wang", MORNING))
        assert refusal_of(unknown) is DecisionRefusal.PROPOSAL_UNKNOWN
        assert refusal_of(approve_account(conn, Word(1, "LIN ", MORNING))) is DecisionRefusal.SAME_PERSON
    assert asked(OTHER) is ChangeRefusal.ALREADY_PROPOSED


def test_a_change_is_void_where_the_account_is_another_since(known: Engine) -> None:
    with writing(known) as conn:
        change = proposed(conn)
        correct_account(conn, replace(participants_of(conn)[WHO], account_no="555"))
        assert refusal_of(approve_account(conn, Word(change.number, "wang", MORNING))) is DecisionRefusal.VOID
        assert account_now(conn).account_no == "555"
        assert [one.state for one in account_changes(conn)] == [State.VOID]


WORDS = {"approve": State.APPROVED, "refuse": State.TURNED_DOWN, "withdraw": State.WITHDRAWN}
runs = st.lists(
    st.tuples(st.sampled_from(["propose", *WORDS]), st.sampled_from(["lin", "wang"])), max_size=12
)


@given(words=runs)
@settings(max_examples=60)
def only_two_people_change_an_account(engine: Engine, words: list[tuple[str, str]]) -> None:
    with engine.connect() as conn:
        register_participants(conn, PARTICIPANTS, at=MORNING)
        account, waiting, number = account_now(conn), None, 0
        for said, who in words:
            if said == "propose":
                to = NEW if account != NEW else OTHER
                answer = propose_account(conn, WHO, to, by=who, reason="a letter", at=MORNING)
                assert isinstance(answer, AccountChange) is (waiting is None)
                if waiting is None:
                    waiting, number = (who, to), number + 1
            elif number:
                word = Word(number, who, MORNING, "no" if said == "refuse" else "")
                approves = said == "approve"
                decided = approve_account(conn, word) if approves else end_change(conn, word, WORDS[said])
                if waiting is not None and (who == waiting[0]) == (said == "withdraw"):
                    assert isinstance(decided, AccountChange) and decided.state is WORDS[said]
                    account, waiting = (waiting[1] if approves else account), None
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
        "proposed_by": "lin", "reason": "because", "proposed_at": datetime(2026, 3, 1, tzinfo=UTC),
        "decided_by": "lin", "decided_at": datetime(2026, 3, 1, tzinfo=UTC), "decided_why": "",
    }  # fmt: skip
    with pytest.raises(IntegrityError, match="two_people_decide"), writing(known) as conn:
        conn.execute(insert(account_change), row)
    with pytest.raises(IntegrityError), writing(known) as conn:
        waits = row | {"state": "proposed", "decided_by": None, "decided_at": None, "decided_why": None}
        conn.execute(insert(account_change), [waits, waits | {"number": 2}])
    with reading(known) as conn:
        assert conn.execute(select(account_change)).all() == []
