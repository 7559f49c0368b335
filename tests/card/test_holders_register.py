"""The register of holders: one identity one holder, nothing personal in the clear, erased without a trace."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from card.holders import (
    Enrolled,
    Forgotten,
    HolderRefusal,
    HolderRefused,
    MaskedPerson,
    Person,
    Tied,
    amend,
    cards_of,
    enrol,
    enrol_all,
    forget,
    holder_by_identity,
    holder_of,
    is_holder,
    masked,
    person_of,
    tie_card,
    untie_card,
)
from card.loss import report_loss
from card.registry import CardRecord, register
from card.tables import holder
from card.vault import SealBroken, Vault
from ledger.accounts import open_accounts
from ledger.balances import balances
from ledger.chart import account
from ledger.checks import check_books
from ledger.day import open_day
from ledger.db import reading, writing
from ledger.entry import Entry, Line
from ledger.post import post
from tests.card.people import NOW, identity, person

LATER = NOW + timedelta(days=1)
CARDS = [CardRecord(f"0310487000000000{n:04d}", "01011000", 1, 1, 0, NOW) for n in range(4)]


def enrolled(engine: Engine, vault: Vault, who: Person) -> str:
    with writing(engine) as conn:
        answer = enrol(conn, vault, who, at=NOW)
    assert isinstance(answer, Enrolled)
    return answer.holder


def reason(answer: object) -> HolderRefusal:
    assert isinstance(answer, HolderRefused)
    return answer.reason


def test_a_person_enrolled_twice_is_one_holder_with_pockets(engine: Engine, vault: Vault) -> None:
    with writing(engine) as conn:
        first = enrol(conn, vault, person(), at=NOW)
        assert isinstance(first, Enrolled) and first.first_time
        assert enrol(conn, vault, person(), at=LATER) == Enrolled(first.holder, first_time=False)
        spelt = replace(person(), identity_no=f" {person().identity_no.lower()} ", phone="")
        assert enrol(conn, vault, spelt, at=LATER) == Enrolled(first.holder, first_time=False)
        other = enrol(conn, vault, person(2), at=NOW)
        assert isinstance(other, Enrolled) and other.holder != first.holder
    with reading(engine) as conn:
        assert holder_by_identity(conn, vault, person().identity_no) == first.holder
        assert holder_by_identity(conn, vault, person(3).identity_no) is None
        pockets = {
            f"{kind}:{one.holder}" for kind in ("wallet", "medical", "subsidy") for one in (first, other)
        }
        assert {balance.code for balance in balances(conn)} == pockets


def test_many_persons_are_enrolled_in_one_call_and_ids_say_nothing(engine: Engine, vault: Vault) -> None:
    people = [person(serial) for serial in range(1, 301)]
    with writing(engine) as conn:
        answers = enrol_all(conn, vault, [*people, people[0], replace(people[1], name="")], at=NOW)
        ids = [answer.holder for answer in answers[:300] if isinstance(answer, Enrolled)]
        assert enrol_all(conn, vault, [], at=NOW) == []
    assert answers[300] == Enrolled(ids[0], first_time=False)
    assert reason(answers[301]) is HolderRefusal.NAME_MALFORMED
    assert len(set(ids)) == 300
    assert all(len(one) == 11 and one[0] == "H" and one[1:].isdigit() for one in ids)
    assert ids != sorted(ids)
    with reading(engine) as conn:
        assert conn.scalars(select(holder.c.number).order_by("number")).all() == list(range(1, 301))


REFUSALS = [
    (
        replace(person(), identity_no="530102199003071230", name="", phone="x"),
        HolderRefusal.IDENTITY_MALFORMED,
    ),
    (replace(person(), name=" ", phone="x"), HolderRefusal.NAME_MALFORMED),
    (replace(person(), name="张" * 61), HolderRefusal.NAME_MALFORMED),
    (replace(person(), name="张\n三"), HolderRefusal.NAME_MALFORMED),
    (replace(person(), phone="1380000123x"), HolderRefusal.PHONE_MALFORMED),
    (replace(person(), name="李四"), HolderRefusal.PERSON_DIFFERS),
    (replace(person(), phone="13900001234"), HolderRefusal.PERSON_DIFFERS),
]


@pytest.mark.parametrize(("who", "expected"), REFUSALS)
def test_the_first_refusal_that_applies_is_told_without_what_is_personal(
    engine: Engine, vault: Vault, who: Person, expected: HolderRefusal
) -> None:
    enrolled(engine, vault, person())
    with writing(engine) as conn:
        answer = enrol(conn, vault, who, at=NOW)
    assert reason(answer) is expected
    assert not [
        text for text in (who.identity_no, who.name, "13900001234") if text.strip() and text in str(answer)
    ]


def test_a_person_born_tomorrow_in_the_city_is_no_holder_today(engine: Engine, vault: Vault) -> None:
    born = Person(identity("53010220260303001"), "张小丰", "")
    evening = NOW.replace(hour=15, minute=59)
    with writing(engine) as conn:
        assert reason(enrol(conn, vault, born, at=evening)) is HolderRefusal.IDENTITY_MALFORMED
        assert isinstance(enrol(conn, vault, born, at=evening + timedelta(minutes=1)), Enrolled)


def test_who_a_holder_is_comes_back_masked_or_whole_and_can_be_amended(engine: Engine, vault: Vault) -> None:
    owner = enrolled(engine, vault, person())
    with writing(engine) as conn:
        assert masked(conn, vault, owner) == MaskedPerson(
            "530102********" + person().identity_no[-4:], "张**", "138****1234"
        )
        assert person_of(conn, vault, owner) == person()
        assert isinstance(amend(conn, vault, owner, name="李四", phone="13900005678", at=LATER), Enrolled)
        assert person_of(conn, vault, owner) == replace(person(), name="李四", phone="13900005678")
        assert reason(amend(conn, vault, owner, name="", phone="", at=LATER)) is HolderRefusal.NAME_MALFORMED
        assert reason(amend(conn, vault, "H0", name="A", phone="", at=LATER)) is HolderRefusal.HOLDER_UNKNOWN
        assert masked(conn, vault, "H0000000000") is None


def test_what_is_sealed_for_one_holder_does_not_open_as_anothers(engine: Engine, vault: Vault) -> None:
    mine, theirs = enrolled(engine, vault, person()), enrolled(engine, vault, person(2))
    with writing(engine) as conn:
        stolen = conn.scalars(select(holder.c.name_sealed).where(holder.c.id == theirs)).one()
        conn.execute(holder.update().where(holder.c.id == mine).values(name_sealed=stolen))
        with pytest.raises(SealBroken, match="changed or moved") as caught:
            person_of(conn, vault, mine)
    assert "张" not in str(caught.value)


@pytest.fixture
def tied(engine: Engine, vault: Vault) -> tuple[str, str]:
    """Two holders, the first with two cards of the four registered."""
    owner, other = enrolled(engine, vault, person()), enrolled(engine, vault, person(2))
    with writing(engine) as conn:
        register(conn, CARDS, at=NOW)
        for record in CARDS[:2]:
            assert tie_card(conn, owner, record.card_no, at=NOW) == Tied(
                owner, record.card_no, first_time=True
            )
    return owner, other


def test_a_card_is_one_holders_until_it_is_untied(engine: Engine, tied: tuple[str, str]) -> None:
    owner, other = tied
    card_no = CARDS[0].card_no
    with writing(engine) as conn:
        assert tie_card(conn, owner, card_no, at=LATER) == Tied(owner, card_no, first_time=False)
        assert [held.card_no for held in cards_of(conn, owner)] == [record.card_no for record in CARDS[:2]]
        assert {(held.tied_at, held.status, held.holder_class) for held in cards_of(conn, owner)} == {
            (NOW, "active", 1)
        }
        assert reason(tie_card(conn, other, card_no, at=NOW)) is HolderRefusal.CARD_TIED_ELSEWHERE
        assert untie_card(conn, card_no, at=LATER) and not untie_card(conn, card_no, at=LATER)
        assert holder_of(conn, card_no) is None
        assert isinstance(tie_card(conn, other, card_no, at=LATER), Tied)
        assert (holder_of(conn, card_no), holder_of(conn, CARDS[1].card_no)) == (other, owner)


def test_a_tie_is_refused_for_the_first_reason_that_applies(engine: Engine, tied: tuple[str, str]) -> None:
    owner, other = tied
    with writing(engine) as conn:
        report_loss(conn, CARDS[3].card_no, at=NOW)
        assert reason(tie_card(conn, "H1", "0" * 20, at=NOW)) is HolderRefusal.HOLDER_UNKNOWN
        assert reason(tie_card(conn, other, "0" * 20, at=NOW)) is HolderRefusal.CARD_UNKNOWN
        assert reason(tie_card(conn, other, CARDS[3].card_no, at=NOW)) is HolderRefusal.CARD_NOT_ACTIVE
        report_loss(conn, other, at=NOW)
        assert reason(tie_card(conn, other, "0" * 20, at=NOW)) is HolderRefusal.HOLDER_LOCKED
        report_loss(conn, owner, at=NOW)
        assert tie_card(conn, owner, CARDS[0].card_no, at=NOW) == Tied(
            owner, CARDS[0].card_no, first_time=False
        )


def test_a_forgotten_holder_is_nobody_and_the_books_are_as_they_were(
    engine: Engine, vault: Vault, tied: tuple[str, str]
) -> None:
    owner, _ = tied
    top_up = Entry("t", "topup", NOW.date(), NOW, (Line("agent:A", f"wallet:{owner}", 1_200),))
    with writing(engine) as conn:
        open_day(conn, NOW.date(), at=NOW)
        open_accounts(conn, [account("agent:A")], at=NOW)
        post(conn, [top_up], at=NOW)
        before = balances(conn)
        assert forget(conn, owner, at=LATER) == Forgotten(owner, first_time=True)
        assert forget(conn, owner, at=LATER) == Forgotten(owner, first_time=False)
        assert balances(conn) == before and check_books(conn) == []
        assert not is_holder(conn, owner)
        assert (masked(conn, vault, owner), cards_of(conn, owner)) == (None, [])
        assert holder_by_identity(conn, vault, person().identity_no) is None
        assert reason(tie_card(conn, owner, CARDS[2].card_no, at=LATER)) is HolderRefusal.HOLDER_UNKNOWN
        assert reason(forget(conn, "H0000000000", at=LATER)) is HolderRefusal.HOLDER_UNKNOWN
        again = enrol(conn, vault, person(), at=LATER)
        assert isinstance(again, Enrolled) and again.first_time and again.holder != owner


def test_nothing_personal_shows_in_the_database_or_in_values(
    engine: Engine, vault: Vault, tmp_path: Path
) -> None:
    who = Person(identity("53010219900307777"), "欧阳娜娜", "13877776666")
    owner = enrolled(engine, vault, who)
    texts = [who.identity_no, who.name, who.phone]
    with reading(engine) as conn:
        rows = repr(conn.execute(select(holder)).all()) + repr([who, person_of(conn, vault, owner)])
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("onecard.db*"))
    if engine.dialect.name == "sqlite":
        assert owner.encode() in stored
    assert not [text for text in texts if text in rows]
    assert not [
        text for text in texts for code in ("utf-8", "utf-16-le", "gb18030") if text.encode(code) in stored
    ]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 9), max_size=8), st.data())
def test_enrolling_is_the_same_one_by_one_and_all_at_once(
    engine: Engine, vault: Vault, serials: list[int], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(serials)))
    people = [person(serial) for serial in serials]
    with writing(engine) as conn:
        together = enrol_all(conn, vault, people[:cut], at=NOW)
        singly = [enrol(conn, vault, who, at=NOW) for who in people[cut:]]
        found = [holder_by_identity(conn, vault, who.identity_no) for who in people]
    answers = [*together, *singly]
    assert [answer.holder for answer in answers if isinstance(answer, Enrolled)] == found
    assert len(set(found)) == len(set(serials))
