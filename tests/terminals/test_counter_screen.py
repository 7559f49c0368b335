"""The counter's screen, by keys alone: nothing is done that was not confirmed, and both languages say the same."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.card_service import Service
from terminals.counter import LoadRefusal
from terminals.counter_forms import FORMS, NAMES, Action, Field, Sort, typed_fen
from terminals.counter_lines import ACTIONS_WITH_A_KEY, lines_of
from terminals.counter_screen import BACK, ENTER, ESC, Language, Order, Screen, SeenCard, View, press, told
from terminals.counter_texts import REFUSED, CounterText
from terminals.loads import Waiting

CARD_NO = "03104870000000000100"
WAITING = tuple(
    Waiting(f"{CARD_NO}:{number}", CARD_NO, amount_fen, "agent:A", bytes.fromhex("20260302090000"), number)
    for number, amount_fen in enumerate((5_000, 700))
)
CARD = SeenCard(CARD_NO, 1_234, "active", WAITING)
GOOD = CounterText("好", "good", good=True)
WITH_CARD = told(Screen(), GOOD, CARD)


def typed(screen: Screen, *keys: str) -> tuple[Screen, list[Order]]:
    """Press keys; a text is its characters, ENTER, ESC and BACK are themselves."""
    orders = []
    for word in keys:
        for key in [word] if word in (ENTER, ESC, BACK) else word:
            screen, order = press(screen, key)
            if order is not None:
                orders.append(order)
    return screen, orders


def said(screen: Screen) -> str:
    return "\n".join(lines_of(screen))


def test_an_empty_reader_says_what_to_do_and_reads_on_enter() -> None:
    assert "Put a card on the reader" in said(Screen())
    assert typed(Screen(), ENTER)[1] == [Order(Action.READ)]


def test_a_card_is_shown_with_balance_state_and_what_waits() -> None:
    shown = said(WITH_CARD)
    assert [part in shown for part in (CARD_NO, "12.34", "正常", "in use", "2 waiting, ¥57.00")] == [True] * 5


def test_a_load_is_ordered_after_the_amount_is_confirmed() -> None:
    form, orders = typed(WITH_CARD, "1", "507", BACK, ".5")
    assert (orders, form.typed, form.view) == ([], "50.5", View.FORM)
    confirm, orders = typed(form, ENTER)
    assert (orders, confirm.view) == ([], View.CONFIRM)
    assert "50.5" in said(confirm) and "Enter does it" in said(confirm)
    assert typed(confirm, ENTER)[1] == [Order(Action.LOAD, ("50.5",))]
    assert typed(confirm, "x7?", ESC)[1] == []


def test_an_escape_leaves_a_form_without_a_trace() -> None:
    back, orders = typed(WITH_CARD, "1", "50", ESC)
    assert (orders, back.view, back.action, back.typed) == ([], View.CARD, None, "")


@pytest.mark.parametrize("text", ["", "0", "-5", "5,5", "1.234", "x", "1" * 7])
def test_an_amount_that_is_none_stays_typed_with_the_remedy(text: str) -> None:
    screen, orders = typed(WITH_CARD, "1", text, ENTER)
    assert (orders, screen.view, screen.typed) == ([], View.FORM, text)
    assert "type 50 or 12.50" in said(screen)


@pytest.mark.parametrize(
    ("sort", "text", "remedy"),
    [(Sort.CARD, "12", "20 digits, not 2"), (Sort.NUMBER, "x", "receipt"), (Sort.WORDS, "", "Say why")],
)
def test_a_field_that_is_wrong_says_what_to_type(sort: Sort, text: str, remedy: str) -> None:
    flaw = Field(sort, GOOD).flaw(text)
    assert flaw is not None and remedy in flaw.english


def test_a_waiting_load_is_picked_and_completed_or_returned() -> None:
    listed, _ = typed(WITH_CARD, "2")
    assert listed.view is View.WAITING and "¥7.00" in said(listed)
    assert typed(listed, "c", ENTER)[1] == []  # two wait: one must be picked
    assert typed(listed, "2", "c", ENTER)[1] == [Order(Action.COMPLETE, (WAITING[1].reference,))]
    assert typed(listed, "1", "T", ENTER)[1] == [Order(Action.GIVE_BACK, (WAITING[0].reference,))]
    assert typed(listed, "9", ESC)[0].view is View.CARD


def test_a_list_without_loads_says_so() -> None:
    empty, _ = typed(told(Screen(), GOOD, SeenCard(CARD_NO, 0, "active")), "2")
    assert "No load waits" in said(empty)


def test_the_result_stays_until_it_is_left_and_is_printed_on_demand() -> None:
    confirm, _ = typed(WITH_CARD, "1", "50", ENTER)
    result = told(confirm, CounterText("已充值", "Loaded", good=True), CARD, has_receipt=True)
    assert result.view is View.RESULT and "✓" in said(result) and "P print" in said(result)
    assert typed(result, "p")[1] == [Order(Action.PRINT)]
    left, _ = typed(result, ENTER)
    assert (left.view, left.message) == (View.CARD, None)
    assert told(confirm, GOOD, None).card is None


def test_a_refusal_is_marked_as_one() -> None:
    confirm, _ = typed(WITH_CARD, "1", "50", ENTER)
    assert "✗" in said(told(confirm, REFUSED[LoadRefusal.TORN], CARD))


def test_the_language_that_comes_first_is_the_clerks_choice() -> None:
    other, _ = typed(WITH_CARD, "l")
    assert other.language is Language.ENGLISH
    assert lines_of(other)[0].startswith("City one card")
    assert typed(other, "l")[0] == WITH_CARD


def test_help_opens_over_any_menu_and_goes_back_to_it() -> None:
    helped, _ = typed(WITH_CARD, "?")
    assert "A load counts when the card proves it" in said(helped)
    assert typed(helped, "x")[0].view is View.CARD


def test_every_action_has_a_key_a_name_and_a_form() -> None:
    every = {*Action, *Service}
    assert every - {Action.READ, Action.PRINT} == ACTIONS_WITH_A_KEY
    assert set(NAMES) == set(FORMS) == every
    assert set(REFUSED) == set(LoadRefusal)


@pytest.mark.parametrize("text", [*NAMES.values(), *REFUSED.values()])
def test_every_text_is_in_both_languages(text: CounterText) -> None:
    assert re.search("[一-鿿]", text.chinese)
    assert re.search("[a-zA-Z]", text.english) and not re.search("[一-鿿]", text.english)


@given(st.integers(0, 99_999_999))
def test_an_amount_typed_as_yuan_is_read_to_the_fen(amount_fen: int) -> None:
    assert typed_fen(f"{amount_fen // 100}.{amount_fen % 100:02d}") == amount_fen


@given(
    st.lists(st.sampled_from([*"1234567890.lprqntgfxmuc?水", ENTER, ESC, BACK]), max_size=60), st.booleans()
)
def test_whatever_keys_come_money_moves_only_after_a_confirmation(keys: list[str], with_card: bool) -> None:
    screen = WITH_CARD if with_card else Screen()
    for key in keys:
        before = screen
        screen, order = press(screen, key)
        assert lines_of(screen)
        if order is not None and order.action not in (Action.READ, Action.PRINT):
            assert (before.view, key) == (View.CONFIRM, ENTER)
            assert all(
                asked.flaw(value) is None
                for asked, value in zip(FORMS[order.action], order.values, strict=False)
            )
            screen = told(screen, GOOD, screen.card)
