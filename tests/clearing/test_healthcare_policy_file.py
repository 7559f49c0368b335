"""Policy files: shipped ones hold, and a wrong one is refused by the path of its field."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clearing.sectors.healthcare.policy import Category, Part
from clearing.sectors.healthcare.policy_file import (
    FOLDER,
    PolicyError,
    parse_policy,
    policy_on,
    read_policies,
)
from tests.support.changed_json import changed_json

TEXT = (FOLDER / "city-outpatient-1.json").read_text(encoding="utf-8")


def changed(*path: str | int, to: Any) -> str:
    """The first policy with one member changed (or, where `to` is ..., left out)."""
    return changed_json(TEXT, *path, to=to)


def test_the_day_of_treatment_chooses_the_version() -> None:
    policies = read_policies()
    days = [date(2017, 12, 31), date(2018, 1, 1), date(2025, 12, 31), date(2026, 1, 1)]
    found = [policy_on(policies, day) for day in days]
    assert [policy and policy.version for policy in found] == [None, 1, 1, 2]


def test_a_policy_is_read_as_it_is_written() -> None:
    policy = parse_policy(TEXT)
    rates = policy.rates[Category.RETIRED]
    assert (policy.pool, policy.version, policy.valid_to) == ("MED-POOL", 1, date(2025, 12, 31))
    assert (rates.deductible_fen, rates.ceiling_fen, rates.fund_pay_bp) == (
        20_000, 800_000, {1: 7000, 2: 6500, 3: 6000},
    )  # fmt: skip
    assert rates.account_pays == frozenset(Part) - {Part.NOT_COVERED}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "line 1"),
        ("[]", "the file"),
        ("[" * 100_000, "the file"),
        ("1" * 5000, "the file"),
        (changed("version", to=...), "version"),
        (changed("version", to=0), "version"),
        (changed("version", to=True), "version"),
        (changed("version", to="1"), "version"),
        (changed("name", to=" "), "name"),
        (changed("pool", to="med pool"), "pool"),
        (changed("pool", to="A" * 17), "pool"),
        (changed("valid_from", to="2018-02-30"), "valid_from"),
        (changed("valid_from", to="20180101"), "valid_from"),
        (changed("valid_from", to=1), "valid_from"),
        (changed("valid_to", to="2017-12-31"), "the file"),
        (changed("categories", "student", to={}), "categories.student"),
        (changed("categories", "resident", to=...), "categories.resident"),
        (changed("categories", "resident", "deductible_fen", to=-1), "categories.resident.deductible_fen"),
        (changed("categories", "resident", "ceiling_fen", to=1.5), "categories.resident.ceiling_fen"),
        (
            changed("categories", "retired", "fund_pay_bp", "level_4", to=1),
            "categories.retired.fund_pay_bp.level_4",
        ),
        (
            changed("categories", "retired", "fund_pay_bp", "level_3", to=10_001),
            "categories.retired.fund_pay_bp.level_3",
        ),
        (
            changed("categories", "employee", "account_pays", to=["drinks"]),
            "categories.employee.account_pays.0",
        ),
        (changed("discount", to=1), "discount"),
        ('{"name": "a", "name": "b"}', "name"),
    ],
)
def test_a_wrong_policy_file_is_refused_by_the_path_of_its_field(text: str, field: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy(text)
    assert refused.value.field == field
    assert field in str(refused.value)


def test_two_policies_in_force_on_one_day_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(TEXT)
    (tmp_path / "b.json").write_text(changed("valid_from", to="2025-12-31"))
    with pytest.raises(PolicyError, match="end city-outpatient version 1 before 2025-12-31"):
        read_policies(tmp_path)
