"""What a biller says over HTTP: read strictly, so that nothing half understood moves money."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearing.sectors.utilities.http_biller import read_account, read_answer
from clearing.sectors.utilities.peer import LONGEST_MESSAGE, Answer, Bill, BillerAccount, NoAnswer, Notice
from clearing.sectors.utilities.states import Act
from tests.support.utility_day import AT, DAY

BILL = {
    "bill_no": "B1",
    "period": "2018-08",
    "amount_fen": 3000,
    "open_fen": 1000,
    "due_on": "2018-09-20",
    "written_off": ["app:1"],
}
ACCOUNT = {"account_no": "A1", "customer": "张*", "bills": [BILL]}
NOTICE = Notice("app:1", Act.WRITE_OFF, "WATER-1", "A1", "B1", 3000, DAY, AT)
REVERSAL = Notice("app:1", Act.REVERSE, "WATER-1", "A1", "B1", 3000, DAY, AT)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["A1", "B1", "app:1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ACCOUNT, *BILL]), inner, max_size=6),
    max_leaves=12,
)  # fmt: skip


def test_an_account_is_read_as_it_was_said() -> None:
    bill = Bill("B1", "2018-08", 3000, 1000, date(2018, 9, 20), frozenset({"app:1"}))
    assert read_account(ACCOUNT, "A1") == BillerAccount("A1", "张*", (bill,))


@pytest.mark.parametrize(
    "change",
    [
        {"bill_no": "B 1"},
        {"bill_no": 1},
        {"bill_no": None},
        {"amount_fen": 999},  # less than is open
        {"amount_fen": 10**15},
        {"amount_fen": 3000.0},
        {"amount_fen": True, "open_fen": True},
        {"amount_fen": "3000"},
        {"open_fen": -1},
        {"open_fen": None},
        {"due_on": "2018-09-31"},
        {"due_on": 20180920},
        {"due_on": None},
        {"period": None},
        {"written_off": None},
        {"written_off": [1]},
        {"written_off": ["a|b"]},
    ],
)
def test_a_bill_that_is_not_possible_is_no_answer(change: dict[str, Any]) -> None:
    with pytest.raises(NoAnswer):
        read_account(ACCOUNT | {"bills": [BILL | change]}, "A1")


@pytest.mark.parametrize(
    "told",
    [
        {},
        ACCOUNT | {"account_no": "A2"},
        ACCOUNT | {"customer": None},
        ACCOUNT | {"bills": {}},
        ACCOUNT | {"bills": [BILL, BILL]},
        ACCOUNT | {"bills": ["B1"]},
    ],
)
def test_an_account_that_is_not_the_one_asked_for_is_no_answer(told: dict[str, Any]) -> None:
    with pytest.raises(NoAnswer):
        read_account(told, "A1")


@pytest.mark.parametrize(
    ("notice", "status", "told", "expected"),
    [
        (NOTICE, 200, {"status": "written_off"}, Answer(True)),
        (REVERSAL, 200, {"status": "reversed"}, Answer(True)),
        (NOTICE, 409, {"status": "refused", "reason": "already_paid"}, Answer(False, "already_paid")),
        (REVERSAL, 409, {"status": "refused", "message": "too\x00late"}, Answer(False, "", "too?late")),
        (NOTICE, 200, {"status": "reversed"}, None),
        (REVERSAL, 200, {"status": "written_off"}, None),
        (NOTICE, 200, {"status": "refused"}, None),
        (NOTICE, 409, {"status": "written_off"}, None),
        (NOTICE, 200, {"status": "written_off", "reference": "app:2"}, None),
        (NOTICE, 409, {"status": "refused", "reason": 7}, None),
        (NOTICE, 200, {}, None),
    ],
)
def test_only_an_answer_to_this_notice_is_one(
    notice: Notice, status: int, told: dict[str, Any], expected: Answer | None
) -> None:
    said = {"reference": "app:1"} | told
    if expected is None:
        with pytest.raises(NoAnswer):
            read_answer(said, notice, status)
    else:
        assert read_answer(said, notice, status) == expected


def test_a_long_story_is_cut_to_what_is_kept() -> None:
    told = {"reference": "app:1", "status": "refused", "reason": "r" * 9999}
    assert len(read_answer(told, NOTICE, 409).reason) == LONGEST_MESSAGE


@given(st.dictionaries(st.sampled_from([*ACCOUNT, "reference", "status"]), JSON, max_size=5))
def test_any_json_is_an_answer_or_none(told: dict[str, Any]) -> None:
    assert json.dumps(told)
    for read in (lambda: read_account(told, "A1"), lambda: read_answer(told, NOTICE, 409)):
        try:
            found = read()
        except NoAnswer as error:
            assert str(error)
        else:
            assert isinstance(found, BillerAccount | Answer)
