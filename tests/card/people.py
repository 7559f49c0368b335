"""People of the tests: made up, with identity numbers whose check digits fit."""

from datetime import UTC, datetime

from stdnum.cn import ric

from card.person import Person

NOW = datetime(2026, 3, 2, 4, tzinfo=UTC)


def identity(first_17: str) -> str:
    """The number of 18 that begins so."""
    number: str = first_17 + ric.calc_check_digit(f"{first_17}0")
    return number


def person(serial: int = 1, name: str = "张三丰", phone: str = "13800001234") -> Person:
    """Born in Kunming on 7 March 1990, by their order of birth there."""
    return Person(identity(f"53010219900307{serial:03d}"), name, phone)
