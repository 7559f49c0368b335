"""Hospitals and covers: registered once, contradicted never, looked up by day."""

from datetime import date

import pytest
from sqlalchemy import Engine

from clearing.sectors.healthcare.policy import Category
from clearing.sectors.healthcare.registers import (
    Cover,
    Hospital,
    category_on,
    level_of,
    register_covers,
    register_hospitals,
)
from ledger.accounts import Conflict, find_accounts
from ledger.db import writing
from tests.support.hospital_day import EMPLOYEE, at

YEAR_18 = Cover(EMPLOYEE, Category.EMPLOYEE, date(2018, 1, 1), date(2018, 12, 31))
SINCE_19 = Cover(EMPLOYEE, Category.RETIRED, date(2019, 1, 1))


def test_a_hospital_is_registered_once_with_its_account(engine: Engine) -> None:
    with writing(engine) as conn:
        assert register_hospitals(conn, [Hospital("HOSP-1", 3), Hospital("HOSP-1", 3)], at=at(9)) == 1
        assert register_hospitals(conn, [Hospital("HOSP-1", 3)], at=at(9)) == 0
        assert (level_of(conn, "HOSP-1"), level_of(conn, "HOSP-2")) == (3, None)
        assert [one.code for one in find_accounts(conn, ["clearing:HOSP-1"])] == ["clearing:HOSP-1"]
        with pytest.raises(Conflict, match="hospital HOSP-1"):
            register_hospitals(conn, [Hospital("HOSP-1", 2)], at=at(9))
        with pytest.raises(ValueError, match="level 4"):
            register_hospitals(conn, [Hospital("HOSP-2", 4)], at=at(9))


def test_how_a_holder_is_insured_depends_on_the_day(engine: Engine) -> None:
    with writing(engine) as conn:
        assert register_covers(conn, [YEAR_18, SINCE_19, YEAR_18], at=at(9)) == 2
        assert register_covers(conn, [SINCE_19, YEAR_18], at=at(9)) == 0
        days = [date(2017, 12, 31), date(2018, 1, 1), date(2018, 12, 31), date(2019, 1, 1)]
        assert [category_on(conn, EMPLOYEE, day) for day in days] == [
            None, Category.EMPLOYEE, Category.EMPLOYEE, Category.RETIRED,
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("valid_from", "valid_to"),
    [
        (date(2018, 12, 31), None),
        (date(2017, 1, 1), date(2018, 1, 1)),
        (date(2017, 1, 1), None),
        (date(2018, 3, 1), date(2018, 3, 1)),
        (date(2020, 1, 1), date(2020, 1, 1)),
    ],
)
def test_covers_of_one_holder_never_overlap(engine: Engine, valid_from: date, valid_to: date | None) -> None:
    with writing(engine) as conn:
        register_covers(conn, [YEAR_18, SINCE_19], at=at(9))
        with pytest.raises(Conflict, match=f"cover of {EMPLOYEE}"):
            register_covers(conn, [Cover(EMPLOYEE, Category.RESIDENT, valid_from, valid_to)], at=at(9))
