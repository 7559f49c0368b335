"""Who pays what of a hospital bill: ten bills by hand, the identity for every bill, and a slow second opinion."""

import re
from collections.abc import Iterator
from dataclasses import astuple
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearing.sectors.healthcare.policy import (
    LEVELS,
    CatalogueClass,
    Category,
    Item,
    Part,
    Policy,
    Rates,
    Split,
    YearSoFar,
    split_bill,
)
from clearing.sectors.healthcare.policy_file import policy_on, read_policies

PAGE = (Path(__file__).parents[2] / "docs" / "healthcare.md").read_text(encoding="utf-8")
SHIPPED = read_policies()
FIELDS = {
    "total": "total_fen", "not covered": "not_covered_fen", "first share": "first_share_fen",
    "deductible": "deductible_fen", "fund": "fund_fen", "co-payment": "co_payment_fen",
    "above ceiling": "above_ceiling_fen", "account": "account_fen", "patient": "patient_fen",
}  # fmt: skip


class Worked(NamedTuple):
    """A bill of the page: what goes in, and the lines worked by hand."""

    title: str
    category: Category
    level: int
    treated_on: date
    used: YearSoFar
    account_fen: int
    items: tuple[Item, ...]
    lines: dict[str, str]


def fen(yuan: str) -> int:
    whole, cents = yuan.split(".")
    return int(whole) * 100 + int(cents)


def worked_bills() -> Iterator[Worked]:
    """The bills of the page, strictly: a line that cannot be read fails the test."""
    chapter = PAGE.split("## Ten bills by hand")[1].split("\n## ")[0]
    for section in chapter.split("\n### ")[1:]:
        title, rest = section.split("\n", 1)
        given_lines, block = rest.split("```\n")[0], rest.split("```\n")[1]
        first, *items = [line[2:] for line in given_lines.strip().splitlines()]
        told = re.fullmatch(
            r"(\w+), level (\d), treated on (\S+); used: deductible (\S+), fund (\S+); account holds (\S+)",
            first,
        )
        assert told, first
        used = YearSoFar(fen(told[4]), fen(told[5]))
        yield Worked(
            title, Category(told[1]), int(told[2]), date.fromisoformat(told[3]), used, fen(told[6]),
            tuple(item(line) for line in items), dict(line.split(" = ", 1) for line in block.splitlines()),
        )  # fmt: skip


def item(line: str) -> Item:
    told = re.fullmatch(r"([ABC]) (\S+?)(?:, first share (\d+) %)?", line)
    assert told, line
    return Item("X1", CatalogueClass(told[1]), fen(told[2]), int(told[3] or 0) * 100)


def value(expression: str) -> Fraction:
    """What a line of arithmetic comes to, exactly."""
    tokens = re.findall(r"\d+(?:\.\d+)?%?|[-+*()]", expression)
    assert "".join(tokens) == expression.replace(" ", ""), expression
    place = 0

    def factor() -> Fraction:
        nonlocal place
        token = tokens[place]
        place += 1
        if token == "(":
            inner = total()
            place += 1
            return inner
        return Fraction(token.rstrip("%")) / (100 if token.endswith("%") else 1)

    def product() -> Fraction:
        nonlocal place
        found = factor()
        while place < len(tokens) and tokens[place] == "*":
            place += 1
            found *= factor()
        return found

    def total() -> Fraction:
        nonlocal place
        found = product()
        while place < len(tokens) and tokens[place] in "+-":
            sign = 1 if tokens[place] == "+" else -1
            place += 1
            found += sign * product()
        return found

    found = total()
    assert place == len(tokens), expression
    return found


@pytest.mark.parametrize("worked", list(worked_bills()), ids=lambda worked: worked.title)
def test_every_bill_of_the_page_is_split_as_worked_by_hand(worked: Worked) -> None:
    policy = policy_on(SHIPPED, worked.treated_on)
    assert policy is not None
    split = split_bill(
        policy, worked.items, category=worked.category, level=worked.level, used=worked.used,
        account_fen=worked.account_fen,
    )  # fmt: skip
    by_hand = {name: fen(re.split(r" [=≈] ", line)[-1]) for name, line in worked.lines.items()}
    assert {name: getattr(split, field) for name, field in FIELDS.items()} == by_hand
    for line in worked.lines.values():
        exact, *rounded = line.split(" ≈ ")
        steps = [value(step) for step in exact.split(" = ")]
        assert len(set(steps)) == 1, line
        assert not rounded or abs(value(rounded[0]) - steps[0]) <= Fraction(5, 1000), line


def test_the_page_has_ten_bills() -> None:
    assert [worked.title.split(".")[0] for worked in worked_bills()] == [str(n) for n in range(1, 11)]


shares_bp = st.integers(0, 10_000)
amounts_fen = st.one_of(st.integers(1, 300), st.integers(1, 2_000_000))


@st.composite
def items(draw: st.DrawFn) -> Item:
    kind = draw(st.sampled_from(CatalogueClass))
    return Item("X1", kind, draw(amounts_fen), draw(shares_bp) if kind is CatalogueClass.B else 0)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    rates = Rates(
        draw(st.integers(0, 50_000)), draw(st.integers(0, 1_000_000)),
        {level: draw(shares_bp) for level in LEVELS}, draw(st.frozensets(st.sampled_from(Part))),
    )  # fmt: skip
    return Policy("any", 1, "POOL", date(2018, 1, 1), None, dict.fromkeys(Category, rates))


bills = st.lists(items(), min_size=1, max_size=8)
years = st.builds(YearSoFar, st.integers(0, 60_000), st.integers(0, 1_200_000))


def split(policy: Policy, bill: list[Item], level: int, used: YearSoFar, account_fen: int) -> Split:
    return split_bill(
        policy, bill, category=Category.EMPLOYEE, level=level, used=used, account_fen=account_fen
    )


@given(policies(), bills, st.sampled_from(LEVELS), years, st.integers(0, 500_000))
def test_the_payers_and_the_parts_make_the_total_to_the_fen(
    policy: Policy, bill: list[Item], level: int, used: YearSoFar, account_fen: int
) -> None:
    found = split(policy, bill, level, used, account_fen)
    rates = policy.rates[Category.EMPLOYEE]
    assert min(astuple(found)) >= 0
    assert found.total_fen == sum(one.amount_fen for one in bill)
    assert found.total_fen == found.fund_fen + found.account_fen + found.patient_fen
    parts_fen = {part: getattr(found, f"{part.value}_fen") for part in Part}
    assert found.total_fen == found.fund_fen + sum(parts_fen.values())
    assert found.account_fen <= min(account_fen, sum(parts_fen[part] for part in rates.account_pays))
    assert used.fund_fen + found.fund_fen <= max(rates.ceiling_fen, used.fund_fen)
    assert used.deductible_fen + found.deductible_fen <= max(rates.deductible_fen, used.deductible_fen)


def half_up(exact: Fraction) -> int:
    return (exact + Fraction(1, 2)).__floor__()


@given(policies(), bills, st.sampled_from(LEVELS), years, st.integers(0, 500_000))
def test_a_split_agrees_with_exact_fractions_rounded_where_the_page_says(
    policy: Policy, bill: list[Item], level: int, used: YearSoFar, account_fen: int
) -> None:
    rates = policy.rates[Category.EMPLOYEE]
    not_covered = sum(one.amount_fen for one in bill if one.catalogue_class is CatalogueClass.C)
    first_share = sum(half_up(Fraction(one.amount_fen * one.first_share_bp, 10_000)) for one in bill)
    eligible = sum(one.amount_fen for one in bill) - not_covered - first_share
    left = rates.deductible_fen - used.deductible_fen
    deductible = sorted((0, eligible, left))[
        1
    ]  # what is left, but neither less than nothing nor more than there is
    granted = half_up(Fraction((eligible - deductible) * rates.fund_pay_bp[level], 10_000))
    fund = (
        granted if used.fund_fen + granted <= rates.ceiling_fen else max(0, rates.ceiling_fen - used.fund_fen)
    )
    found = split(policy, bill, level, used, account_fen)
    assert (found.not_covered_fen, found.first_share_fen, found.deductible_fen) == (
        not_covered, first_share, deductible,
    )  # fmt: skip
    assert (found.fund_fen, found.above_ceiling_fen) == (fund, granted - fund)
    assert found.co_payment_fen == eligible - deductible - granted


@given(policies(), bills, years, st.integers(0, 500_000), st.integers(1, 1_000))
def test_more_in_the_account_moves_fen_from_the_patient_and_touches_nothing_else(
    policy: Policy, bill: list[Item], used: YearSoFar, account_fen: int, more_fen: int
) -> None:
    less, more = (split(policy, bill, 2, used, fen) for fen in (account_fen, account_fen + more_fen))
    moved_fen = more.account_fen - less.account_fen
    assert 0 <= moved_fen <= more_fen
    assert less.patient_fen - more.patient_fen == moved_fen
    assert more.fund_fen == less.fund_fen
