"""The counter's words: every result and every code that the gateway gives has some."""

from datetime import UTC, datetime

import pytest

from api.gateway.codes import Code
from terminals.pos import PosOutcome, Result
from terminals.pos_journal import Kind, State, Ticket
from terminals.pos_texts import DECLINED, shown

TICKET = Ticket(
    7, "000007", datetime(2026, 3, 2, tzinfo=UTC), Kind.PURCHASE, "0" * 20, 1_205, None, State.APPROVED
)


def test_every_code_of_the_gateway_that_declines_has_words_of_its_own() -> None:
    without_mac = {Code.TERMINAL_UNKNOWN, Code.TERMINAL_WITHDRAWN, Code.MAC_WRONG}
    not_for_people = without_mac | {Code.NOT_NOW, Code.APPROVED}
    assert set(DECLINED) == {code.value for code in Code if code not in not_for_people}


@pytest.mark.parametrize("result", Result)
def test_every_result_is_told_in_both_languages(result: Result) -> None:
    text = shown(PosOutcome(result, TICKET, "51"))
    assert text.chinese and text.english
    assert text.good == (result in (Result.APPROVED, Result.KEPT))


def test_amounts_are_read_in_yuan() -> None:
    assert shown(PosOutcome(Result.APPROVED, TICKET)).english == "Paid ¥12.05, ticket 7"
    assert shown(PosOutcome(Result.APPROVED, balance_fen=-5)).english == "Balance ¥-0.05"
    assert shown(PosOutcome(Result.DECLINED, code="77")).english == "Declined, code 77"
