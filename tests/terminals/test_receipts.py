"""Receipts: 32 columns whatever is in them, no whole card number, and the same words on paper and page."""

from hypothesis import given
from hypothesis import strategies as st

from terminals.counter_texts import CounterText
from terminals.receipts import CARD_NUMBER, COLUMNS, Receipt, as_html, as_text, masked_card, width
from tests.terminals.depot import AT, CARD_NO

AMOUNT = CounterText("金额", "Amount")
RECEIPT = Receipt(
    "518000000000-1", CounterText("充值", "Load"), AT, "518000000000", "ann",
    [(CARD_NUMBER, masked_card(CARD_NO)), (AMOUNT, "50.00 元")],
)  # fmt: skip


def test_a_receipt_says_what_was_done_when_where_and_by_whom() -> None:
    text = as_text(RECEIPT)
    assert [part in text for part in ("充值", "50.00 元", "2026-01-31 16:43:29", "518000000000", "ann")] == [
        True
    ] * 5
    assert CARD_NO not in text and "031048**********1234" in text
    assert [line for line in text.splitlines() if width(line) > COLUMNS] == []


def test_the_page_says_what_the_paper_says() -> None:
    page = as_html(RECEIPT)
    assert [part in page for part in ("50.00 元", "031048**********1234", "Keep".lower())] == [True] * 3


@given(st.text("金a<&9 ", max_size=30), st.text("元b>0", max_size=30))
def test_whatever_is_on_a_receipt_is_on_it_whole(label: str, value: str) -> None:
    receipt = Receipt("1", AMOUNT, AT, "T", "c", [(CounterText(label, ""), value)])
    assert label.strip() in as_text(receipt) and value in as_text(receipt)
    assert "<&" not in as_html(receipt)
