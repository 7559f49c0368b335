"""The register of centres: who answers for whose cards and when, and what it does not take."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine

from card.registry import CardRecord, register
from clearing.devices import Device, register_devices
from clearing.interop.centres import (
    Answers,
    Centre,
    CentreRefusal,
    CentreRefused,
    answer_for,
    answers_of,
    centres_of,
    end_answers,
    end_centre,
    register_centre,
)
from ledger.db import writing
from tests.support.clearing_day import ISSUER, at, card_no, terminal_no

FROM = at(0)
KUNMING = Centre("KUNMING", "Kunming Clearing", FROM)
CARDS = Answers("KUNMING", "02021000", FROM)


def refusal(answer: object) -> CentreRefusal:
    assert isinstance(answer, CentreRefused), answer
    return answer.refusal


def furnish(conn: Connection) -> None:
    """A card and an operator of ours, and the centre."""
    register(conn, [CardRecord(card_no(1), ISSUER, 1, 1, 0, FROM)], at=FROM)
    register_devices(conn, [Device(terminal_no(1), "BUS-1", FROM)])
    assert register_centre(conn, KUNMING, at=FROM) is True


def test_the_same_centre_and_the_same_answers_again_change_nothing(engine: Engine) -> None:
    with writing(engine) as conn:
        furnish(conn)
        assert register_centre(conn, KUNMING, at=at(9)) is False
        assert [answer_for(conn, CARDS), answer_for(conn, CARDS)] == [True, False]
        assert centres_of(conn) == {"KUNMING": KUNMING}
        assert answers_of(conn) == [CARDS]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (replace(KUNMING, code="kunming", max_amount_fen=0), CentreRefusal.CODE_MALFORMED),
        (replace(KUNMING, code="KUNMING-CITY"), CentreRefusal.CODE_MALFORMED),
        (replace(KUNMING, max_amount_fen=0, valid_until=FROM), CentreRefusal.LIMIT_IMPOSSIBLE),
        (replace(KUNMING, max_amount_fen=100_001), CentreRefusal.LIMIT_IMPOSSIBLE),
        (replace(KUNMING, code="BUS-1", valid_until=FROM), CentreRefusal.PERIOD_EMPTY),
        (replace(KUNMING, code="BUS-1"), CentreRefusal.CODE_OF_OPERATOR),
        (replace(KUNMING, name="Another"), CentreRefusal.CENTRE_DIFFERS),
    ],
)
def test_the_first_reason_against_a_centre_is_told(
    engine: Engine, given: Centre, expected: CentreRefusal
) -> None:
    with writing(engine) as conn:
        furnish(conn)
        assert refusal(register_centre(conn, given, at=FROM)) is expected
        assert centres_of(conn) == {"KUNMING": KUNMING}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (replace(CARDS, issuer="2021000", centre="NOBODY"), CentreRefusal.ISSUER_MALFORMED),
        (replace(CARDS, issuer="0202100a"), CentreRefusal.ISSUER_MALFORMED),
        (replace(CARDS, centre="NOBODY", valid_until=FROM), CentreRefusal.PERIOD_EMPTY),
        (replace(CARDS, centre="NOBODY", issuer=ISSUER), CentreRefusal.CENTRE_UNKNOWN),
        (replace(CARDS, issuer=ISSUER), CentreRefusal.ISSUER_OURS),
        (replace(CARDS, valid_from=FROM + timedelta(days=3)), CentreRefusal.ISSUER_TAKEN),
        (replace(CARDS, valid_from=FROM - timedelta(days=3)), CentreRefusal.ISSUER_TAKEN),
    ],
)
def test_the_first_reason_against_an_answer_is_told(
    engine: Engine, given: Answers, expected: CentreRefusal
) -> None:
    with writing(engine) as conn:
        furnish(conn)
        assert answer_for(conn, CARDS) is True
        assert refusal(answer_for(conn, given)) is expected
        assert answers_of(conn) == [CARDS]


def test_another_centre_may_answer_from_the_instant_at_which_the_first_ends(engine: Engine) -> None:
    noon = at(12)
    with writing(engine) as conn:
        furnish(conn)
        register_centre(conn, Centre("DALI", "Dali Clearing", FROM), at=FROM)
        answer_for(conn, CARDS)
        assert refusal(end_answers(conn, "DALI", CARDS.issuer, at=noon)) is CentreRefusal.NOT_IN_FORCE
        assert end_answers(conn, "KUNMING", CARDS.issuer, at=noon) is None
        assert answer_for(conn, Answers("DALI", CARDS.issuer, noon)) is True
        assert [(one.centre, one.valid_until) for one in answers_of(conn)] == [
            ("KUNMING", noon),
            ("DALI", None),
        ]


def test_a_centre_that_ends_takes_its_answers_with_it_and_cannot_end_twice(engine: Engine) -> None:
    noon = at(12)
    with writing(engine) as conn:
        furnish(conn)
        answer_for(conn, CARDS)
        assert end_centre(conn, "KUNMING", at=noon) == 1
        assert answers_of(conn) == [replace(CARDS, valid_until=noon)]
        assert centres_of(conn)["KUNMING"].valid_until == noon
        assert refusal(end_centre(conn, "KUNMING", at=at(13))) is CentreRefusal.NOT_IN_FORCE
        assert refusal(end_centre(conn, "NOBODY", at=noon)) is CentreRefusal.CENTRE_UNKNOWN
