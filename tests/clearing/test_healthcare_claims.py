"""The life of a bill: the table of the page is the table of the code, and no way leads around it."""

import re
from pathlib import Path

import pytest

from clearing.sectors.healthcare.bills import BillRefusal
from clearing.sectors.healthcare.claims import COUNTED, OPEN, TABLE, Event, State, advance

PAGE = (Path(__file__).parents[2] / "docs" / "healthcare.md").read_text(encoding="utf-8")
PAIRS = [(state, event) for state in State for event in Event]


def test_the_page_and_the_code_have_the_same_table() -> None:
    table = PAGE[PAGE.index("| state |") :].split("\n\n")[0]
    head, _rule, *rows = table.splitlines()
    events = [Event(cell.strip()) for cell in head.strip("|").split("|")[1:]]
    told: dict[tuple[State, Event], str] = {}
    for row in rows:
        first, *cells = [cell.strip() for cell in row.strip("|").split("|")]
        told |= {(State(first.strip("`")), event): cell for event, cell in zip(events, cells, strict=True)}
    assert told == {pair: advance(*pair) or "–" for pair in PAIRS}


def test_the_page_lists_the_refusals_in_the_order_of_precedence() -> None:
    listed = PAGE.split("## Why a bill is refused")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", listed, re.MULTILINE) == [reason.value for reason in BillRefusal]


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_money_that_has_moved_goes_back_only_through_a_cancellation(state: State, event: Event) -> None:
    after = advance(state, event)
    if state is State.PAID:
        assert after in (None, State.PAID, State.CANCELLING)
    if state is State.CANCELLING:
        assert (after is State.CANCELLED) == (event is Event.WITHDRAWN)


@pytest.mark.parametrize("event", Event)
def test_a_bill_that_has_ended_stays_as_it_ended(event: Event) -> None:
    assert advance(State.CANCELLED, event) is State.CANCELLED
    assert advance(State.REFUSED, event) in (None, State.REFUSED)


def test_only_an_approval_pays_and_every_waiting_bill_can_be_ended() -> None:
    paying = {
        event for (state, event) in PAIRS if state is not State.PAID and advance(state, event) is State.PAID
    }
    assert paying == {Event.APPROVED}
    for state in OPEN:
        withdrawn = advance(advance(state, Event.CANCEL_ASKED) or state, Event.WITHDRAWN)
        assert withdrawn is State.CANCELLED
    assert set(TABLE) == set(State) and set(COUNTED) == set(State) - {State.REFUSED, State.CANCELLED}
