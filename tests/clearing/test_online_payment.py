"""Payments online: booked whole, once, and declined for the first reason that applies."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, event, inspect, update
from sqlalchemy.exc import IntegrityError

import clearing.online.tables as tables
from clearing.online.payment import (
    Approved,
    Decline,
    Declined,
    Leg,
    PaymentOrder,
    decide,
    flaw,
    pay,
    payment_of,
    payments_of_holder,
    payments_of_merchant,
)
from clearing.online.payment import Facts as PaymentFacts
from clearing.online.refund import Refund, Refunded, refund
from clearing.online.reversal import Reversal, Reversed, reverse
from clearing.tables import chip_load
from ledger.accounts import close_account, open_accounts
from ledger.chart import account
from ledger.checks import check_books
from ledger.day import begin_close, finish_close
from ledger.db import metadata, migrate, reading, writing
from ledger.entry import Entry
from ledger.history import history
from tests.support.clearing_day import DAY, at
from tests.support.online_books import ANNA, BILL, BO, FUND, ORDER, SHOP, furnish, lock, moved_fen

OURS = {
    table.name
    for table in (
        tables.payment, tables.payment_leg, tables.payment_reversal, tables.payment_refund, tables.topup,
        tables.stray_confirmation, chip_load,
    )
}  # fmt: skip
WALLET = f"wallet:{ANNA}"


@pytest.fixture
def books(engine: Engine) -> Engine:
    furnish(engine)
    return engine


def paid(engine: Engine, *orders: PaymentOrder) -> list[Approved | Declined]:
    with writing(engine) as conn:
        return pay(conn, orders, at=at(10))


def reason(answer: object) -> Decline:
    assert isinstance(answer, Declined)
    return answer.reason


def test_a_payment_moves_money_from_the_wallet_to_what_the_merchant_is_owed(books: Engine) -> None:
    assert paid(books, ORDER) == [Approved(ORDER.reference, first_time=True)]
    assert moved_fen(books) == {"clearing:SHOP-1": 1_250, WALLET: -1_250}
    with reading(books) as conn:
        (newest, _) = history(conn, WALLET)
        record = payment_of(conn, ORDER.reference)
        assert check_books(conn) == []
    assert (newest.kind, newest.reference, newest.item) == ("purchase", "pay:http:SHOP-1:1", ORDER.reference)
    assert record is not None
    assert (record.entry_id, record.legs, record.standing_fen) == (newest.entry_id, ORDER.legs, 1_250)


def test_every_leg_of_a_bill_is_paid_from_its_own_pocket(books: Engine) -> None:
    assert paid(books, BILL) == [Approved(BILL.reference, first_time=True)]
    assert moved_fen(books) == {
        "clearing:CLINIC-1": 10_000, FUND: 6_000, f"medical:{ANNA}": -3_000, WALLET: -1_000,
    }  # fmt: skip


def test_a_bill_that_one_pocket_cannot_pay_is_paid_from_none(books: Engine) -> None:
    dear = replace(BILL, legs=(Leg(FUND, 6_000), Leg(f"medical:{ANNA}", 10_001), Leg(WALLET, 1_000)))
    (answer,) = paid(books, dear)
    assert isinstance(answer, Declined)
    assert (answer.reason, answer.account, answer.amount_fen) == (Decline.INSUFFICIENT, f"medical:{ANNA}", 1)
    assert "lacks 1 fen; top it up" in answer.message
    assert moved_fen(books) == {}
    with reading(books) as conn:
        assert payment_of(conn, dear.reference) is None


def test_the_same_order_again_is_approved_again_and_paid_once(books: Engine) -> None:
    later = replace(ORDER, event_at=at(11), business_date=DAY + timedelta(days=1))
    assert [answer.first_time for answer in paid(books, ORDER, ORDER, later) if isinstance(answer, Approved)] == [
        True, False, False,
    ]  # fmt: skip
    with writing(books) as conn:
        lock(conn, ANNA)
        begin_close(conn, DAY, at=at(23))
        finish_close(conn, DAY, at=at(23))
    assert paid(books, ORDER) == [Approved(ORDER.reference, first_time=False)]
    assert moved_fen(books) == {"clearing:SHOP-1": 1_250, WALLET: -1_250}


def test_orders_of_one_call_spend_what_those_before_them_left(books: Engine) -> None:
    orders = [
        replace(ORDER, reference=f"r{n}", legs=(Leg(WALLET, amount_fen),))
        for n, amount_fen in enumerate((6_000, 4_001, 4_000, 1))
    ]
    answers = paid(books, *orders)
    assert [isinstance(answer, Approved) for answer in answers] == [True, False, True, False]
    assert [answer.amount_fen for answer in answers if isinstance(answer, Declined)] == [1, 1]
    assert moved_fen(books) == {"clearing:SHOP-1": 10_000, WALLET: -10_000}


def test_a_declined_reference_stays_free(books: Engine) -> None:
    dear = replace(ORDER, legs=(Leg(WALLET, 10_001),))
    assert [isinstance(answer, Approved) for answer in paid(books, dear, ORDER, dear)] == [False, True, False]
    assert reason(paid(books, dear)[0]) is Decline.REFERENCE_TAKEN


FACTS = PaymentFacts({}, frozenset(), frozenset(("clearing:SHOP-1", WALLET)), frozenset(), frozenset())
SUBSIDISED = (Leg(f"subsidy:{ANNA}", 5), Leg(WALLET, 5))
PRECEDENCE: list[tuple[Decline, dict[str, Any], dict[str, Any]]] = [
    (Decline.MALFORMED, {"narrative": "a\nb"}, {}),
    (Decline.AMOUNT_NOT_POSITIVE, {"legs": (Leg("purse:1", 0),)}, {}),
    (Decline.LEG_NOT_PAYABLE, {"legs": (Leg("purse:1", 5),)}, {}),
    (Decline.MERCHANT_UNKNOWN, {}, {"open_codes": frozenset()}),
    (Decline.HOLDER_UNKNOWN, {}, {"open_codes": frozenset(("clearing:SHOP-1",))}),
    (Decline.HOLDER_LOCKED, {}, {"locked": frozenset((ANNA,))}),
    (Decline.SUBSIDY_NOT_ACCEPTED, {"legs": SUBSIDISED}, {}),
    (Decline.REVERSED_BEFORE, {}, {"reversed_before": frozenset((ORDER.reference,))}),
]


@pytest.mark.parametrize("first", range(len(PRECEDENCE)))
def test_of_several_reasons_the_first_is_given(first: int) -> None:
    """Each reason together with all those after it; a later one never hides an earlier one."""
    order, facts = ORDER, FACTS
    for _, in_order, in_facts in reversed(PRECEDENCE[first:]):
        order, facts = replace(order, **in_order), replace(facts, **in_facts)
    assert reason(decide(order, facts)) is PRECEDENCE[first][0]


@pytest.mark.parametrize(
    ("legs", "takers"),
    [
        (ORDER.legs, frozenset()),
        (ORDER.legs, frozenset((SHOP,))),
        (SUBSIDISED, frozenset((SHOP,))),
        ((Leg(FUND, 5), *SUBSIDISED), frozenset((SHOP, "CLINIC-1"))),
    ],
)
def test_an_order_without_a_reason_against_it_is_an_entry(
    legs: tuple[Leg, ...], takers: frozenset[str]
) -> None:
    assert isinstance(decide(replace(ORDER, legs=legs), replace(FACTS, subsidy_takers=takers)), Entry)


UNPAYABLE = [
    (replace(ORDER, reference=""), Decline.MALFORMED),
    (replace(ORDER, reference="x" * 129), Decline.MALFORMED),
    (replace(ORDER, reference="nul\0"), Decline.MALFORMED),
    (replace(ORDER, reference="\ud800"), Decline.MALFORMED),
    (replace(ORDER, kind="net"), Decline.MALFORMED),
    (replace(ORDER, kind="Purchase"), Decline.MALFORMED),
    (replace(ORDER, legs=()), Decline.MALFORMED),
    (replace(ORDER, legs=(Leg(WALLET, -5),)), Decline.AMOUNT_NOT_POSITIVE),
    (replace(ORDER, legs=(Leg(WALLET, 5), Leg(FUND, 0))), Decline.AMOUNT_NOT_POSITIVE),
    (replace(ORDER, legs=(Leg(f"wallet:{BO}", 5),)), Decline.LEG_NOT_PAYABLE),
    (replace(ORDER, legs=(Leg("bank:reserve", 5),)), Decline.LEG_NOT_PAYABLE),
    (replace(ORDER, legs=(Leg("fund:a\0b", 5),)), Decline.LEG_NOT_PAYABLE),
    (replace(ORDER, merchant="SHOP-9"), Decline.MERCHANT_UNKNOWN),
    (replace(ORDER, merchant="\ud800"), Decline.MERCHANT_UNKNOWN),
    (replace(ORDER, holder="H9", legs=(Leg("wallet:H9", 5),)), Decline.HOLDER_UNKNOWN),
    (replace(ORDER, holder="\0", legs=(Leg("wallet:\0", 5),)), Decline.HOLDER_UNKNOWN),
    (replace(ORDER, legs=SUBSIDISED), Decline.SUBSIDY_NOT_ACCEPTED),
    (replace(ORDER, merchant="CLINIC-1", legs=(Leg(f"subsidy:{ANNA}", 1),)), Decline.SUBSIDY_NOT_ACCEPTED),
    (replace(ORDER, legs=(Leg(WALLET, 10_001),)), Decline.INSUFFICIENT),
    (replace(ORDER, legs=(Leg("fund:NONE", 5),)), Decline.LEDGER_REFUSES),
    (replace(ORDER, legs=(Leg(WALLET, 10**15),)), Decline.LEDGER_REFUSES),
    (replace(ORDER, business_date=DAY - timedelta(days=1)), Decline.LEDGER_REFUSES),
]


def test_an_order_that_cannot_be_paid_changes_nothing_and_sinks_no_other(books: Engine) -> None:
    answers = paid(books, *(order for order, _ in UNPAYABLE), ORDER)
    assert [reason(answer) for answer in answers[:-1]] == [expected for _, expected in UNPAYABLE]
    assert all(";" in answer.message for answer in answers if isinstance(answer, Declined))
    assert isinstance(answers[-1], Approved)
    assert moved_fen(books) == {"clearing:SHOP-1": 1_250, WALLET: -1_250}


OTHERS: list[dict[str, Any]] = [
    {"legs": (Leg(WALLET, 1_251),)},
    {"legs": (Leg(f"medical:{ANNA}", 1_250),)},
    {"merchant": "CLINIC-1"},
    {"holder": BO, "legs": (Leg(f"wallet:{BO}", 1_250),)},
    {"kind": "utility_bill"},
    {"narrative": "another"},
]


def test_a_reference_cannot_be_two_payments(books: Engine) -> None:
    paid(books, ORDER)
    others = [replace(ORDER, **change) for change in OTHERS]
    assert {reason(answer) for answer in paid(books, *others, *others)} == {Decline.REFERENCE_TAKEN}
    assert moved_fen(books) == {"clearing:SHOP-1": 1_250, WALLET: -1_250}


def test_a_locked_holder_and_a_closed_merchant_take_part_in_nothing(books: Engine) -> None:
    with writing(books) as conn:
        lock(conn, ANNA)
        open_accounts(conn, [account("clearing:GONE")], at=at(1))
        close_account(conn, "clearing:GONE", at=at(2))
    gone = replace(ORDER, reference="gone", merchant="GONE")
    assert [reason(one) for one in paid(books, ORDER, gone)] == [
        Decline.HOLDER_LOCKED,
        Decline.MERCHANT_UNKNOWN,
    ]
    assert moved_fen(books) == {}


def test_a_reversed_payment_is_not_approved_again(books: Engine) -> None:
    paid(books, ORDER)
    with writing(books) as conn:
        reverse(conn, [Reversal("undo", ORDER.reference, DAY, at(11))], at=at(11))
    assert reason(paid(books, ORDER)[0]) is Decline.REVERSED_BEFORE
    assert moved_fen(books) == {}


def test_payments_are_listed_page_by_page_and_by_merchant(books: Engine) -> None:
    orders = [replace(ORDER, reference=f"r{n}", legs=(Leg(WALLET, n),)) for n in range(1, 8)]
    paid(books, *orders, BILL, replace(ORDER, reference="bo", holder=BO, legs=(Leg(f"wallet:{BO}", 1),)))
    seen: list[str] = []
    before: int | None = None
    with reading(books) as conn:
        while page := payments_of_holder(conn, ANNA, limit=3, before=before):
            seen += [record.reference for record in page]
            before = page[-1].entry_id
        in_shop = [record.reference for record in payments_of_merchant(conn, SHOP, DAY)]
        assert payments_of_merchant(conn, SHOP, DAY - timedelta(days=1)) == []
    assert seen == [BILL.reference, *(f"r{n}" for n in range(7, 0, -1))]
    assert in_shop == [*(f"r{n}" for n in range(1, 8)), "bo"]


def test_the_database_itself_holds_refunds_within_the_payment(books: Engine) -> None:
    paid(books, BILL)
    for table in (tables.payment, tables.payment_leg):
        with pytest.raises(IntegrityError), writing(books) as conn:
            conn.execute(update(table).values(refunded_fen=table.c.amount_fen + 1))
    with pytest.raises(IntegrityError), writing(books) as conn:
        conn.execute(update(tables.payment).values(refunded_fen=1, reversed_by="x"))


def test_what_is_wrong_with_an_order_is_said_with_field_and_remedy() -> None:
    declined = flaw(replace(ORDER, reference="nul\0"))
    assert declined is not None
    assert declined.message == "reference 'nul\\x00' holds a character that cannot be printed; take it out"


def test_the_migration_makes_the_tables_as_they_are_defined(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in OURS

    with engine.connect() as conn:
        options = {"include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
    migrate(engine, "base")
    assert not OURS & set(inspect(engine).get_table_names())
    migrate(engine)
    assert set(inspect(engine).get_table_names()) >= OURS


def test_the_number_of_statements_does_not_depend_on_the_number_of_payments(books: Engine) -> None:
    def statements(name: str, count: int) -> int:
        numbered = [f"{name}:{number}" for number in range(count)]
        seen: list[str] = []

        def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
            seen.append(statement)

        event.listen(books, "before_cursor_execute", note)
        with writing(books) as conn:
            orders = [replace(BILL, reference=one, legs=(Leg(FUND, 5), Leg(WALLET, 1))) for one in numbered]
            answers: list[object] = [*pay(conn, orders, at=at(10))]
            answers += refund(conn, [Refund(one, one, 2, DAY, at(10)) for one in numbered[::2]], at=at(10))
            answers += reverse(conn, [Reversal(one, one, DAY, at(10)) for one in numbered[1::2]], at=at(10))
        event.remove(books, "before_cursor_execute", note)
        assert all(isinstance(one, Approved | Refunded | Reversed) and one.first_time for one in answers)
        return len(seen)

    assert statements("few", 2) == statements("many", 300)
