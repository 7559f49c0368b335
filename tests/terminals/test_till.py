"""Sales out of the chip's purse at a counter: as safe as a ride, whatever is torn at whatever step."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from card.chip.applet import VirtualCard
from card.chip.records import Kind
from clearing.wire.batch import Ride, TapRecord
from terminals.actions import Action, AskCard, AskSam, OpenGate, Recall, Remember, Settle, Take
from terminals.asking import run
from terminals.counter import MOST_FEN
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox
from terminals.outcome import Outcome, Refusal
from terminals.sam import HsmSam
from terminals.till import sale, shown_sale, till
from tests.terminals.depot import AT, CARD_NO, GATE, PUBLIC, Depot, PowerLoss
from tests.terminals.faults import Fault, FaultyHands, assert_agreement, faults_of

STEPS: list[type[Action]] = [
    AskCard, Recall, AskCard, AskCard, AskSam, Remember, AskCard, AskSam, Take, OpenGate, Settle,
]  # fmt: skip
"""SELECT; GET BALANCE, INITIALIZE FOR PURCHASE; MAC1; DEBIT; MAC2; and what is kept in between."""


@dataclass(slots=True)
class Shop:
    """One till through its power failures, and one customer's card."""

    depot: Depot
    path: Path
    card: VirtualCard
    sold: list[TapRecord] = field(default_factory=list)
    unnoted: int = 0
    minute: int = 0

    def sell(self, amount_fen: int, fault: Fault | None = None) -> tuple[Outcome | None, list[Action]]:
        """A sale at a till just switched on; no outcome where it went dark."""
        self.card.reset()
        at = AT + timedelta(seconds=10 * self.minute)
        self.minute += 1
        with Outbox(self.path, "off") as outbox:
            made = till(GATE, HsmSam(GATE, self.depot.hsm, outbox), outbox, Hotlist(7))
            made._gate = self.sold.append
            hands = FaultyHands(made, self.card, fault)
            try:
                outcome = run(made.begin(sale(amount_fen), at=at), hands.perform)
            except PowerLoss:
                self.unnoted += hands.passed_unnoted
                return None, hands.done
        return outcome, hands.done

    def assert_all_home(self) -> None:
        with Outbox(self.path, "off") as outbox:
            assert_agreement(self.depot, outbox, self.card, self.sold, twice=self.unnoted)


@pytest.fixture
def shop(depot: Depot, tmp_path: Path) -> Shop:
    return Shop(depot, tmp_path / "till.db", depot.card())


def test_a_sale_is_a_purchase_of_the_purse_and_writes_no_trip(shop: Shop) -> None:
    outcome, actions = shop.sell(1_250)
    assert outcome is not None and outcome.record is not None
    assert [type(action) for action in actions] == STEPS
    record = outcome.record
    assert (record.ride, record.kind, record.amount_fen, record.list_fare_fen, record.full_fare) == (
        Ride.PURCHASE, Kind.PURCHASE, 1_250, 1_250, True,
    )  # fmt: skip
    assert TapRecord.unpack(record.pack()) == record
    assert (outcome.balance_fen, shop.card.state.purse.balance_fen) == (8_750, 8_750)
    assert shown_sale(outcome).english == "Paid ¥12.50. Balance ¥87.50"
    shop.assert_all_home()


@pytest.mark.parametrize("algorithm", [0, 1])
@pytest.mark.parametrize("holder_class", [1, 3, 200])
def test_a_card_of_either_suite_and_any_class_pays_the_price_as_typed(
    depot: Depot, tmp_path: Path, algorithm: int, holder_class: int
) -> None:
    card = depot.card(replace(PUBLIC, holder_class=holder_class), algorithm=algorithm)
    shop = Shop(depot, tmp_path / "till.db", card)
    outcome, _ = shop.sell(700)
    assert outcome is not None and outcome.record is not None
    assert (outcome.record.amount_fen, card.state.purse.balance_fen) == (700, 9_300)
    shop.assert_all_home()


@pytest.mark.parametrize(
    ("amount_fen", "refusal"), [(MOST_FEN + 1, Refusal.FARE_OUT_OF_BOUNDS), (10_001, Refusal.INSUFFICIENT)]
)
def test_a_sale_that_cannot_be_leaves_the_purse_and_says_why(
    shop: Shop, amount_fen: int, refusal: Refusal
) -> None:
    outcome, _ = shop.sell(amount_fen)
    assert outcome is not None
    assert (outcome.refusal, shop.card.state.purse.balance_fen, shop.sold) == (refusal, 10_000, [])
    assert not shown_sale(outcome).good


@pytest.mark.parametrize("amount_fen", [0, -1])
def test_nothing_is_sold_for_nothing(amount_fen: int) -> None:
    with pytest.raises(ValueError, match=f"amount is {amount_fen} fen; sell for at least one"):
        sale(amount_fen)


def test_a_sale_stopped_at_any_step_and_tried_again_is_paid_once(depot: Depot, tmp_path: Path) -> None:
    _, actions = Shop(depot, tmp_path / "whole.db", depot.card()).sell(500)
    for number, fault in enumerate(faults_of(actions)):
        shop = Shop(depot, tmp_path / f"till{number}.db", depot.card())
        first, _ = shop.sell(500, fault)
        again = first is None or not first.opened
        outcome, _ = shop.sell(500) if again else (first, [])
        assert outcome is not None and outcome.opened, fault
        noted = shop.unnoted  # goods went over the counter and the power failed: that sale was over
        assert shop.card.state.purse.balance_fen in ((9_500, 9_000) if noted else (9_500,)), fault
        shop.assert_all_home()


def test_a_torn_sale_of_another_amount_is_recorded_and_told_with_the_next(shop: Shop) -> None:
    debit = max(at for at, step in enumerate(STEPS) if step is AskCard)
    torn, _ = shop.sell(500, Fault(debit, "torn after"))
    assert torn is not None and torn.refusal is Refusal.TORN
    outcome, _ = shop.sell(700)
    assert outcome is not None and outcome.record is not None and outcome.recovered is not None
    assert (outcome.recovered.amount_fen, outcome.record.amount_fen) == (500, 700)
    assert "an earlier one of ¥5.00 was paid" in shown_sale(outcome).english
    with Outbox(shop.path, "off") as outbox:
        assert [record.amount_fen for record in outbox.records()] == [500, 700]
    assert shop.card.state.purse.balance_fen == 8_800


POWER_FAULTS = st.builds(
    Fault, st.integers(0, len(STEPS) - 1), st.sampled_from(["dark before", "dark after"])
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sales=st.lists(st.tuples(st.sampled_from([100, 250]), st.none() | POWER_FAULTS), max_size=6))
def test_whatever_fails_purse_and_records_agree_after_one_clean_sale(
    depot: Depot, tmp_path_factory: pytest.TempPathFactory, sales: list[tuple[int, Fault | None]]
) -> None:
    shop = Shop(depot, tmp_path_factory.mktemp("till") / "till.db", depot.card())
    for amount_fen, fault in sales:
        shop.sell(amount_fen, fault)
    outcome, _ = shop.sell(50)
    assert outcome is not None and outcome.opened
    with Outbox(shop.path, "off") as outbox:
        assert (outbox.pendings(), outbox.owed_to(CARD_NO)) == ([], None)
        records = outbox.records()
        assert all(depot.tac_holds(record) for record in records)
    assert 10_000 - shop.card.state.purse.balance_fen == sum(record.amount_fen for record in records)
