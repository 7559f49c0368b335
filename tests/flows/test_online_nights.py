"""Online money at night: merchants are paid what they took less what went back, beside the day's taps."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from card.hsm.client import Hsm
from clearing.online.payment import Approved, Leg, pay
from clearing.online.refund import Refund, Refunded, refund
from clearing.online.reversal import Reversal, Reversed, reverse
from clearing.online.topup import TopUp, TopUpAccepted, confirm_topup, order_topup
from clearing.online.totals import participant_totals
from clearing.online.wallet_load import LoadReturn, WalletLoad, order_wallet_loads, return_loads
from ledger.accounts import open_accounts
from ledger.balances import balance
from ledger.chart import account
from ledger.checks import check_books
from ledger.db import reading, writing
from settlement.agreements import Agreement, register_agreements
from settlement.night import run_night, unobserved
from settlement.participants import Participant, register_participants
from settlement.positions import positions_of
from tests.settlement.small_day import AT, DAY, MORNING, card_no, night_of, prepare
from tests.support.night_books import statement_fen
from tests.support.online_books import ANNA, ORDER, SHOP

NEXT = DAY + timedelta(days=1)
AFTER = DAY + timedelta(days=2)
WALLET = f"wallet:{ANNA}"
COFFEE = replace(ORDER, business_date=DAY, event_at=MORNING, legs=(Leg(WALLET, 2_000),))


def taken_in(engine: Engine) -> None:
    """A shop that pays one percent, a wallet with 100 yuan, and a day of payments, refunds and loads."""
    with writing(engine) as conn:
        shop = Participant(SHOP, "Corner Shop", "755900000000077", "308584000013", "Custodian Bank")
        register_participants(conn, [shop], at=MORNING)
        register_agreements(conn, [Agreement(SHOP, 100, date(2018, 1, 1))], at=MORNING)
        open_accounts(conn, [account(code) for code in (WALLET, f"clearing:{SHOP}")], at=MORNING)
        answers: list[object] = [order_topup(conn, TopUp("t", ANNA, "PAY", 10_000, MORNING), at=MORNING)]
        answers.append(
            confirm_topup(
                conn, "t", channel_id="PAY", channel_reference="c", amount_fen=10_000, business_date=DAY,
                event_at=MORNING, at=MORNING,
            )
        )  # fmt: skip
        answers += pay(conn, [COFFEE, replace(COFFEE, reference="undone")], at=MORNING)
        answers += reverse(conn, [Reversal("undo", "undone", DAY, MORNING)], at=MORNING)
        answers += refund(conn, [Refund("back", COFFEE.reference, 500, DAY, MORNING)], at=MORNING)
        loads = [WalletLoad(one, ANNA, card_no(1), 1_000, DAY, MORNING) for one in ("waits", "returned")]
        answers += order_wallet_loads(conn, loads, at=MORNING)
        answers += return_loads(conn, [LoadReturn("returned", DAY, MORNING)], at=MORNING)
    assert all(getattr(answer, "first_time", False) for answer in answers), answers
    assert {type(answer) for answer in answers} > {Approved, Reversed, Refunded, TopUpAccepted}


def statements(home: Path, day: date = DAY) -> Path:
    """Where a night leaves them."""
    return home / "nights" / day.isoformat() / "out" / "statements"


@pytest.fixture
def home(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> Path:
    prepare(engine, city_hsm, tmp_path)
    taken_in(engine)
    return tmp_path


def test_the_night_pays_merchants_what_statements_say_and_carries_what_they_owe(
    engine: Engine, city_hsm: Hsm, home: Path
) -> None:
    run_night(engine, night_of(home, city_hsm), observe=unobserved)
    with reading(engine) as conn:
        (total,) = [one for one in participant_totals(conn, DAY) if one.participant == SHOP]
        (position,) = [one for one in positions_of(conn, DAY) if one.party == SHOP]
        assert (total.gross_fen, total.refunded_fen, total.net_fen) == (4_000, 2_500, 1_500)
        assert (position.gross_fen, position.fee_fen, position.position_fen) == (1_500, 15, 1_485)
        assert balance(conn, WALLET).balance_fen == 10_000 - 1_500 - 1_000
        assert check_books(conn) == []
    assert statement_fen(statements(home), SHOP, f"{DAY:%Y%m%d}") == (1_500, 1_500)

    with writing(engine) as conn:
        rest = Refund("rest", COFFEE.reference, 1_500, NEXT, AT)
        assert refund(conn, [rest], at=AT) == [Refunded("rest", COFFEE.reference, 1_500, first_time=True)]
    run_night(engine, night_of(home, city_hsm, NEXT, AT + timedelta(days=1)), observe=unobserved)
    with reading(engine) as conn:
        (position,) = [one for one in positions_of(conn, NEXT) if one.party == SHOP]
        assert (position.position_fen, position.standing) == (-1_500, "carried")
        assert balance(conn, f"clearing:{SHOP}").balance_fen == -1_500
        assert balance(conn, WALLET).balance_fen == 9_000
        assert check_books(conn) == []
    assert statement_fen(statements(home, NEXT), SHOP, f"{NEXT:%Y%m%d}") == (-1_500, -1_500)

    with writing(engine) as conn:
        meal = replace(COFFEE, reference="meal", business_date=AFTER, event_at=AT, legs=(Leg(WALLET, 4_000),))
        assert pay(conn, [meal], at=AT) == [Approved("meal", first_time=True)]
    run_night(engine, night_of(home, city_hsm, AFTER, AT + timedelta(days=2)), observe=unobserved)
    # What the shop owed is in the next statement, beside the line that makes it good.
    assert statement_fen(statements(home, AFTER), SHOP, f"{AFTER:%Y%m%d}") == (2_500, 2_500)
