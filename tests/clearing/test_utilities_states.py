"""The states of a bill's payment: every state with every happening, and where the money is."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearing.sectors.utilities.states import LIVE, MOVES, Act, Happening, Move, State, heard, move

P, W, V, B, R = State.PAID, State.WRITTEN_OFF, State.REVERSING, State.REVERSED, State.RETURNED
BACK = (State.REVERSED, State.RETURNED)
TABLE = {
    (P, Happening.WRITE_OFF_TAKEN): (W, False),
    (P, Happening.WRITE_OFF_REFUSED): (R, True),
    (P, Happening.REVERSAL_ASKED): (V, False),
    (W, Happening.WRITE_OFF_REFUSED): (R, True),
    (W, Happening.REVERSAL_ASKED): (V, False),
    (W, Happening.REVERSAL_TAKEN): (B, True),
    (V, Happening.REVERSAL_TAKEN): (B, True),
    (V, Happening.REVERSAL_REFUSED): (W, False),
}


@pytest.mark.parametrize(("state", "happening"), list(product(State, Happening)))
def test_every_state_answers_every_happening_as_the_table_says(state: State, happening: Happening) -> None:
    found = move(state, happening)
    assert (None if found is None else (found.state, found.money_back)) == TABLE.get((state, happening))


@pytest.mark.parametrize("found", list(MOVES.values()))
def test_money_goes_back_exactly_where_the_next_state_says_so(found: Move) -> None:
    assert found.money_back == (found.state in BACK)
    assert (found.notify is Act.REVERSE) == (found.state is State.REVERSING)


@given(st.lists(st.sampled_from(Happening)))
def test_money_goes_back_once_at_most_whatever_happens(happenings: list[Happening]) -> None:
    state, returns = State.PAID, 0
    for happening in happenings:
        found = move(state, happening)
        if found is not None:
            state, returns = found.state, returns + found.money_back
    assert returns == (state in BACK)


@pytest.mark.parametrize("state", BACK)
def test_nothing_happens_to_a_payment_whose_money_is_back(state: State) -> None:
    assert all(move(state, happening) is None for happening in Happening)
    assert state not in LIVE


@pytest.mark.parametrize(
    ("act", "taken", "expected"),
    [
        (Act.WRITE_OFF, True, Happening.WRITE_OFF_TAKEN),
        (Act.WRITE_OFF, False, Happening.WRITE_OFF_REFUSED),
        (Act.REVERSE, True, Happening.REVERSAL_TAKEN),
        (Act.REVERSE, False, Happening.REVERSAL_REFUSED),
    ],
)
def test_an_answer_means_what_its_notice_asked(act: Act, taken: bool, expected: Happening) -> None:
    assert heard(act, taken=taken) is expected
