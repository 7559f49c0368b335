"""Lists in pages: whatever the size, and whatever comes meanwhile, every row is seen once and in order."""

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.cursors import cursor_of, place_of
from api.http.problems import Problem
from tests.api.http_doors import Doors

ROWS = 12


@pytest.fixture
def holder(doors: Doors) -> str:
    found = doors.enrol(1)
    for number in range(ROWS):
        doors.fund(f"wallet:{found}", 100 + number)
    return found


def all_pages(
    doors: Doors, path: str, limit: int, headers: dict[str, str], *, disturb: bool = False
) -> list[int]:
    """The amounts on every page, one after the other; disturbed, a new row comes before each next page."""
    seen: list[int] = []
    query: dict[str, str] = {}
    for turn in range(2 * ROWS):
        page = doors.client.get(path, params={"limit": str(limit), **query}, headers=headers).json()
        assert len(page["items"]) <= limit
        seen += [one["amount_fen"] for one in page["items"]]
        if page["next_cursor"] is None:
            return seen
        assert len(page["items"]) == limit
        query = {"cursor": page["next_cursor"]}
        if disturb:
            doors.fund(f"wallet:{doors.enrol(1)}", 1_000 + turn)
    raise AssertionError("the pages do not end")


def test_pages_of_any_size_show_every_row_once(doors: Doors, holder: str) -> None:
    path, me = "/v1/me/pockets/wallet/history", doors.session(holder)
    expected = [100 + number for number in reversed(range(ROWS))]
    for limit in (1, 2, 5, ROWS - 1, ROWS, ROWS + 1, 100):
        assert all_pages(doors, path, limit, me) == expected


def test_rows_that_come_meanwhile_shift_nothing(doors: Doors, holder: str) -> None:
    path, me = "/v1/me/pockets/wallet/history", doors.session(holder)
    expected = [100 + number for number in reversed(range(ROWS))]
    assert all_pages(doors, path, 5, me, disturb=True) == expected


def test_the_payments_of_a_merchant_come_in_pages(doors: Doors, holder: str) -> None:
    shop = doors.institution("SHOP-1")
    for number in range(1, 6):
        bill = {"reference": f"b{number}", "holder": holder, "amount_fen": number}
        doors.client.post("/v1/payments", json=bill, headers=shop | {"Idempotency-Key": f"k{number}"})
    path = "/v1/payments?business_date=2018-09-01"
    for limit in (1, 2, 5, 9):
        seen: list[int] = []
        cursor = ""
        while True:
            page = doors.client.get(f"{path}&limit={limit}{cursor}", headers=shop).json()
            seen += [one["amount_fen"] for one in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == [5, 4, 3, 2, 1]
    mine = all_pages(doors, "/v1/me/payments", 2, doors.session(holder))
    assert mine == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!!", "é", "d2FsbGV0Og", "d2FsbGV0Oi0x", cursor_of("medical", 1), "A" * 64]
)
def test_a_cursor_of_another_list_or_none_is_refused(standing_doors: Doors, cursor: str) -> None:
    path, me = "/v1/me/pockets/wallet/history", standing_doors.session(standing_doors.enrol(1))
    answer = standing_doors.client.get(path, params={"cursor": cursor}, headers=me)
    assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


@given(name=st.sampled_from(["wallet", "reads", "my-payments"]), row_id=st.integers(0, 10**18 - 1))
def test_a_cursor_says_where_it_stands(name: str, row_id: int) -> None:
    assert place_of(name, cursor_of(name, row_id)) == row_id


@given(text=st.text(max_size=64))
@hypothesis.example("d2FsbGV0OjE")
def test_any_text_is_a_cursor_or_a_problem(text: str) -> None:
    try:
        place = place_of("wallet", text)
    except Problem as refusal:
        assert refusal.code == "cursor_invalid"
    else:
        assert place is not None
        assert cursor_of("wallet", place) == text
