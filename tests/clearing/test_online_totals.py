"""A participant's statement of a business date: every payment, refund and reversal booked on it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from clearing.online.payment import Channel, Leg, pay
from clearing.online.refund import Refund, refund
from clearing.online.reversal import Reversal, reverse
from clearing.online.totals import (
    Happening,
    ParticipantTotal,
    participant_lines,
    participant_totals,
)
from ledger.balances import balance_on
from ledger.day import begin_close
from ledger.db import reading, writing
from tests.support.clearing_day import DAY, at
from tests.support.online_books import ANNA, BILL, BO, CLINIC, ORDER, SHOP, furnish

NEXT = DAY + timedelta(days=1)
AT_BO = replace(
    ORDER,
    reference="qr:1",
    channel=Channel.QR,
    kind="qr_purchase",
    holder=BO,
    legs=(Leg(f"wallet:{BO}", 300),),
)


@pytest.fixture
def books(engine: Engine) -> Engine:
    """Two days: three payments and a refund on the first, the rest of it and a reversal on the second."""
    furnish(engine)
    with writing(engine) as conn:
        pay(conn, [BILL, ORDER, AT_BO], at=at(10))
        refund(conn, [Refund("back-1", ORDER.reference, 250, DAY, at(11))], at=at(11))
        reverse(conn, [Reversal("early", "never-paid", DAY, at(11))], at=at(11))
        begin_close(conn, DAY, at=at(23))
        refund(conn, [Refund("back-2", ORDER.reference, 1_000, NEXT, at(11, day=NEXT))], at=at(11, day=NEXT))
        reverse(conn, [Reversal("undo", BILL.reference, NEXT, at(12, day=NEXT))], at=at(12, day=NEXT))
    return engine


def test_a_line_is_what_was_booked_on_that_date(books: Engine) -> None:
    with reading(books) as conn:
        first = participant_lines(conn, SHOP, DAY)
        second = participant_lines(conn, SHOP, NEXT)
        clinic = participant_lines(conn, CLINIC, NEXT)
    assert [(one.happening, one.reference, one.net_fen, one.holder, one.event_at) for one in first] == [
        (Happening.PAYMENT, ORDER.reference, 1_250, ANNA, at(9)),
        (Happening.PAYMENT, "qr:1", 300, BO, at(9)),
        (Happening.REFUND, "back-1", -250, ANNA, at(11)),
    ]
    assert [(one.payment, one.kind, one.channel) for one in first] == [
        (ORDER.reference, "purchase", Channel.HTTP),
        ("qr:1", "qr_purchase", Channel.QR),
        (ORDER.reference, "purchase", Channel.HTTP),
    ]
    assert [(one.happening, one.reference, one.gross_fen, one.refunded_fen) for one in second] == [
        (Happening.REFUND, "back-2", 0, 1_000)
    ]
    assert [(one.happening, one.payment, one.net_fen) for one in clinic] == [
        (Happening.REVERSAL, BILL.reference, -10_000)
    ]


def test_totals_are_the_sums_of_the_lines_and_what_the_ledger_says(books: Engine) -> None:
    with reading(books) as conn:
        assert participant_totals(conn, DAY) == [
            ParticipantTotal(CLINIC, "hospital_bill", Channel.HTTP, 1, 0, 0, 10_000, 0),
            ParticipantTotal(SHOP, "purchase", Channel.HTTP, 1, 1, 0, 1_250, 250),
            ParticipantTotal(SHOP, "qr_purchase", Channel.QR, 1, 0, 0, 300, 0),
        ]
        assert participant_totals(conn, NEXT) == [
            ParticipantTotal(CLINIC, "hospital_bill", Channel.HTTP, 0, 0, 1, 0, 10_000),
            ParticipantTotal(SHOP, "purchase", Channel.HTTP, 0, 1, 0, 0, 1_000),
        ]
        for participant in (SHOP, CLINIC):
            owed_fen = 0
            for day in (DAY, NEXT):
                totals = [one for one in participant_totals(conn, day) if one.participant == participant]
                lines = participant_lines(conn, participant, day)
                assert sum(one.net_fen for one in totals) == sum(one.net_fen for one in lines)
                owed_fen += sum(one.net_fen for one in lines)
                assert balance_on(conn, f"clearing:{participant}", day).balance_fen == owed_fen


def test_a_day_on_which_nothing_happened_has_no_lines(books: Engine) -> None:
    with reading(books) as conn:
        assert participant_totals(conn, NEXT + timedelta(days=1)) == []
        assert participant_lines(conn, "SHOP-9", DAY) == []
