"""The pages that move money, as a visitor meets them: pay code, top-ups, utility bills."""

import re

import pytest

from tests.api.page_visitor import Visitor, said, tree_of


def test_the_pay_code_is_a_symbol_that_pays_once_and_renews(visitor: Visitor) -> None:
    holder = visitor.sign_in()
    visitor.doors.fund(f"wallet:{holder}", 5_000)
    page = visitor.get("/me/pay")
    tree = tree_of(page)
    (symbol,) = tree.xpath("//*[@role='img']")
    assert symbol.xpath(".//svg") and symbol.get("aria-label")
    assert tree.xpath("//noscript/meta[@http-equiv='refresh']") and tree.xpath("//*[@data-life='60']")
    digits = re.sub(r"\s", "", str(tree.xpath("//*[@class='digits']")[0].text_content()))
    shop = visitor.doors.institution("SHOP-1") | {"Idempotency-Key": "q"}
    order = {"reference": "q1", "code": digits, "amount_fen": 1_200}
    charged = visitor.doors.client.post("/v1/qr/charges", json=order, headers=shop)
    assert charged.status_code == 201 and visitor.wallet_fen(holder) == 3_800
    fragment = visitor.get("/me/pay/code")
    assert fragment.status_code == 200 and "<html" not in fragment.text
    assert digits not in re.sub(r"\s", "", said(fragment))


def test_a_form_sent_twice_orders_one_topup(visitor: Visitor) -> None:
    visitor.sign_in()
    form = visitor.get("/me/topup")
    first = visitor.send(form, "/me/topup", amount="1,050.5")
    again = visitor.send(form, "/me/topup", amount="1,050.5")
    other = visitor.send(form, "/me/topup", amount="7")
    assert "Ordered as me-" in said(first) and said(first) == said(again)
    assert other.status_code == 409 and "sent before with other content" in other.text
    lines = tree_of(visitor.get("/me/topup")).xpath("//ul[@class='lines']/li")
    assert len(lines) == 1 and "¥ 1,050.50" in str(lines[0].text_content())


@pytest.mark.parametrize("amount", ["", "0", "-5", "1.234", "fifty", "9" * 11, "\x00"])
def test_an_amount_that_is_none_is_said_so_and_kept_in_the_form(visitor: Visitor, amount: str) -> None:
    visitor.sign_in()
    page = visitor.send(visitor.get("/me/topup"), "/me/topup", amount=amount)
    assert page.status_code == 422 and "such as 50 or 50.25" in page.text
    assert "No top-up yet" in page.text


def test_an_open_bill_is_asked_for_and_paid_from_the_wallet(visitor: Visitor) -> None:
    holder = visitor.sign_in()
    visitor.doors.fund(f"wallet:{holder}", 4_000)
    asked = visitor.get("/me/bills?biller=WATER-1&account=A1")
    assert "Open in all: ¥ 50.00" in said(asked)
    paid = visitor.send(asked, "/me/bills")
    assert "The biller is told" in paid.text and visitor.wallet_fen(holder) == 1_000
    assert "paid, the biller is being told" in said(paid)
    visitor.send(asked, "/me/bills")
    assert visitor.wallet_fen(holder) == 1_000
    short = visitor.send(visitor.get("/me/bills?biller=WATER-1&account=A1"), "/me/bills", place=0)
    assert short.status_code == 409 and "not enough money" in short.text
    part = visitor.send(visitor.get("/me/bills?biller=GAS-1&account=A1"), "/me/bills", amount="2.50")
    assert "The biller is told" in part.text and visitor.wallet_fen(holder) == 750


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("biller=NOBODY&account=A1", 404, "no such biller"),
        ("biller=WATER-1&account=A9", 404, "no such account"),
        ("biller=WATER-1&account=a%00b", 422, "account number is not possible"),
        ("biller=%00&account=A1", 404, "no such biller"),
        ("biller=WATER-1&account=A3", 200, "paid"),
    ],
)
def test_a_bill_that_cannot_be_shown_says_why(visitor: Visitor, query: str, status: int, says: str) -> None:
    visitor.sign_in()
    page = visitor.get(f"/me/bills?{query}")
    assert page.status_code == status and says in page.text
