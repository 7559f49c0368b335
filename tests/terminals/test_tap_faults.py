"""Every fault at every step of a tap, followed by every fault at every step of the next: all comes home."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from card.chip.applet import VirtualCard
from clearing.wire.batch import TapRecord
from terminals.actions import Action, AskCard, AskSam, OpenGate, Recall, Remember, Settle, Take
from terminals.asking import run
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox
from terminals.outcome import Outcome
from terminals.sam import HsmSam
from terminals.standing import RideFacts
from terminals.trip import Identity
from terminals.validator import Validator
from tests.terminals.depot import AT, BUS, EXIT, GATE, TARIFF, Depot, PowerLoss
from tests.terminals.faults import DARK_AFTER, Fault, FaultyHands, assert_agreement, faults_of

STEPS: list[type[Action]] = [
    AskCard, Recall, AskCard, AskCard, AskSam, AskCard, AskCard, Remember, AskCard, AskSam, Take, OpenGate,
    Settle,
]  # fmt: skip
"""SELECT; GET BALANCE, INITIALIZE; MAC1; UPDATE CAPP DATA CACHE twice; DEBIT; MAC2; and what is kept in between."""


@dataclass(slots=True)
class Post:
    """One gate through its power failures, and one rider's card."""

    depot: Depot
    path: Path
    card: VirtualCard
    opened: list[TapRecord] = field(default_factory=list)
    unnoted: int = 0
    minute: int = 0

    def tap(self, ride: RideFacts, fault: Fault | None = None) -> tuple[Outcome | None, list[Action]]:
        """A tap of a terminal just switched on; no outcome where it went dark."""
        self.card.reset()
        at = AT + timedelta(seconds=10 * self.minute)
        self.minute += 1
        openings = len(self.opened)
        with Outbox(self.path, "off") as outbox:
            validator = Validator(
                Identity(GATE), HsmSam(GATE, self.depot.hsm, outbox), outbox, TARIFF, Hotlist(7),
                gate=self.opened.append,
            )  # fmt: skip
            hands = FaultyHands(validator, self.card, fault)
            try:
                outcome = run(validator.begin(ride, at=at), hands.perform)
            except PowerLoss:
                self.unnoted += hands.passed_unnoted
                return None, hands.done
        assert outcome.opened == (len(self.opened) > openings)
        return outcome, hands.done

    def assert_all_home(self) -> None:
        with Outbox(self.path, "off") as outbox:
            assert_agreement(self.depot, outbox, self.card, self.opened, twice=self.unnoted)


@pytest.fixture
def post(depot: Depot, tmp_path: Path) -> Post:
    return Post(depot, tmp_path / "gate.db", depot.card())


def test_a_tap_that_goes_well_takes_these_steps_in_this_order(post: Post) -> None:
    outcome, actions = post.tap(EXIT)
    assert outcome is not None
    assert outcome.opened
    assert [type(action) for action in actions] == STEPS
    assert actions.index(OpenGate(post.opened[0])) > actions.index(Take(post.opened[0], passage=True))
    post.assert_all_home()


FIRST_FAULTS = [
    Fault(at, kind)
    for at, step in enumerate(STEPS)
    for kind in ("dark before", "dark after", *(("torn before", "torn after", "cut short") if step is AskCard else ()))
]  # fmt: skip


@pytest.mark.parametrize("fault", FIRST_FAULTS, ids=lambda fault: f"{fault.at}-{fault.kind}")
def test_two_faults_at_any_two_steps_leave_purse_record_and_gate_in_agreement(
    depot: Depot, tmp_path: Path, fault: Fault
) -> None:
    def after_the_first(name: str) -> Post:
        post = Post(depot, tmp_path / f"{name}.db", depot.card())
        post.tap(EXIT, fault)
        return post

    _, actions = after_the_first("whole").tap(EXIT)
    for number, second in enumerate(faults_of(actions)):
        post = after_the_first(f"gate{number}")
        post.tap(EXIT, second)
        outcome, _ = post.tap(EXIT)
        assert outcome is not None
        assert outcome.opened, (second, outcome)
        post.assert_all_home()


@pytest.mark.parametrize("at", range(len(STEPS)))
def test_a_rider_who_gives_up_and_rides_a_bus_later_has_paid_for_every_record(post: Post, at: int) -> None:
    post.tap(EXIT, Fault(at, DARK_AFTER))
    outcome, _ = post.tap(BUS)
    assert outcome is not None
    assert outcome.opened
    with Outbox(post.path, "off") as outbox:
        assert outbox.owed_to(outcome.record.card_no if outcome.record else "") is None
        assert outbox.pendings() == []
        records = outbox.records()
    assert [record.counter for record in records] == list(range(0x36, 0x36 + len(records)))
    assert 10000 - post.card.state.purse.balance_fen == sum(record.amount_fen for record in records)


def test_an_owed_gate_opens_for_the_card_that_paid_and_not_for_another_of_its_number(post: Post) -> None:
    post.tap(EXIT, Fault(STEPS.index(Take), DARK_AFTER))
    paid = post.card
    post.card = post.depot.card(purchase_sequence=0x37)  # shows the same number, and has no such proof
    outcome, actions = post.tap(EXIT)
    assert outcome is not None
    assert outcome.record is not None
    assert Settle(outcome.record.card_no) in actions[:-1]
    assert (outcome.record.counter, paid.state.purse.purchase_sequence) == (0x37, 0x37)
