"""The terminal is killed (SIGKILL, a real process) at every step and every statement: nothing is lost or paid twice."""

import signal
from datetime import timedelta
from pathlib import Path

import pytest

from card.hsm.client import Hsm
from city.drawer import Chip
from city.factory import Factory
from city.processes import RunningHsm
from terminals.outbox import Outbox
from tests.terminals.depot import AT, ISSUER, Depot
from tests.terminals.faults import POWER, Fault, assert_agreement
from tests.terminals.killed_tap import KillingOutbox, Place, put_card, tapped
from tests.terminals.test_tap_faults import STEPS

KILLED = -signal.SIGKILL
CARD = "03104870000000004321"
GATE_OPENS = len(STEPS) - 2
STATEMENTS = 17
"""Of the outbox in one tap: three looks, a number, the pending debit, the record, the passage."""


@pytest.fixture(scope="module")
def chip(hsm: Hsm, hsm_process: RunningHsm) -> Chip:
    factory = Factory(hsm, hsm_process.transport_key_file)
    made = factory.personalise(CARD, issuer=ISSUER, holder_class=1, balance_fen=10000)
    return Chip(CARD, made.state, made.wrapped_keys)


@pytest.fixture
def place(tmp_path: Path, hsm_process: RunningHsm, chip: Chip) -> Place:
    place = Place(tmp_path, hsm_process.port, hsm_process.transport_key_file)
    put_card(place, [chip])
    with Outbox(place.outbox):
        return place


def assert_comes_home(place: Place, depot: Depot, chip: Chip, *, twice: int = 0) -> int:
    """Tap again, with power: everything agrees. How many rides were paid."""
    assert tapped(place, AT + timedelta(seconds=30)) == 0
    drawer = place.drawer()
    (after,) = drawer.chips()
    card = Factory(depot.hsm, place.transport_key_file).awaken(after)
    drawer.close()
    with Outbox(place.outbox) as outbox:
        assert_agreement(
            depot, outbox, card, place.opened(), twice=twice, first_counter=0,
            first_balance_fen=chip.state.purse.balance_fen,
        )  # fmt: skip
        return len(outbox.records())


@pytest.mark.parametrize("kind", POWER)
@pytest.mark.parametrize("step", range(len(STEPS)), ids=[f"{n}-{s.__name__}" for n, s in enumerate(STEPS)])
def test_killed_at_any_step_the_ride_is_paid_once_and_the_gate_opens_for_it(
    place: Place, depot: Depot, chip: Chip, step: int, kind: str
) -> None:
    assert tapped(place, AT, fault=Fault(step, kind)) == KILLED
    # Only a terminal that had noted the passage takes the next tap for another ride.
    noted = (step, kind) == (len(STEPS) - 1, "dark after")
    passed = len(place.opened())
    assert assert_comes_home(place, depot, chip, twice=passed) == 1 + noted
    assert len(place.opened()) == 1 + passed


@pytest.mark.parametrize("statement", range(STATEMENTS))
def test_killed_before_any_statement_of_the_outbox_purse_record_and_gate_agree(
    place: Place, depot: Depot, chip: Chip, statement: int
) -> None:
    assert tapped(place, AT, statement=statement) == KILLED
    passed = len(place.opened())
    assert assert_comes_home(place, depot, chip, twice=passed) == 1


def test_no_statement_of_the_outbox_is_left_out_of_the_killing(place: Place) -> None:
    assert tapped(place, AT, statement=STATEMENTS) == 0
    with KillingOutbox(place.outbox, None) as outbox:
        assert len(outbox.records()) == outbox.statements == 1
