"""Citizens' and residents' identity numbers (GB 11643), and what of a person's data an answer may show."""

from datetime import date
from enum import StrEnum

from stdnum import numdb
from stdnum.cn import ric
from stdnum.exceptions import InvalidComponent

DIGITS = 18
_RESIDENCE_PERMITS = {"81", "82", "83"}
"""Residents from Hong Kong, Macao and Taiwan (居民居住证)."""
_FOREIGN = "9"
"""Begins a foreigner's permanent residence number (永久居留身份证, 2023); the place's province follows."""


class IdentityFlaw(StrEnum):
    """Why a text is no identity number, in order of precedence; each says it in words."""

    LENGTH = "it does not have 18 characters"
    NOT_DIGITS = "it holds something other than digits and a last X"
    CHECK_DIGIT = "its check digit does not fit"
    BIRTH_DATE = "its birth date is none, or has not come yet"
    PLACE = "its first digits name no province"


def normal_identity(text: str) -> str:
    """The number as it is written without separators, its X a capital."""
    compacted: str = ric.compact(text)
    return compacted


def identity_flaw(number: str, today: date) -> IdentityFlaw | None:
    """What is wrong with a number in its normal form, or None.

    Of the place only the province is judged: a person keeps the number of a county founded after the birth,
    which stdnum's own `validate` refuses.
    """
    if len(number) != DIGITS:
        return IdentityFlaw.LENGTH
    if not number.isascii() or not number[:-1].isdigit() or not (number[-1].isdigit() or number[-1] == "X"):
        return IdentityFlaw.NOT_DIGITS
    if number[-1] != ric.calc_check_digit(number):
        return IdentityFlaw.CHECK_DIGIT
    try:
        born: date = ric.get_birth_date(number)
    except InvalidComponent:
        return IdentityFlaw.BIRTH_DATE
    if born > today:
        return IdentityFlaw.BIRTH_DATE
    province = number[1:3] if number.startswith(_FOREIGN) else number[:2]
    if province not in _RESIDENCE_PERMITS and not _is_province(province):
        return IdentityFlaw.PLACE
    return None


def mask_identity(number: str) -> str:
    """Place and last four characters: `530102********1234`."""
    return number[:6] + "*" * (len(number) - 10) + number[-4:]


def mask_name(name: str) -> str:
    """The first character only: `张*`."""
    return name[:1] + "*" * (len(name) - 1) if len(name) > 1 else "*" * len(name)


def mask_phone(phone: str) -> str:
    """The first three and last four digits of a mobile number: `138****1234`; of a shorter one the last two."""
    if len(phone) < 11:
        return "*" * (len(phone) - 2) + phone[-2:]
    return phone[:3] + "*" * (len(phone) - 7) + phone[-4:]


def mask_number(number: str) -> str:
    """The last four characters of a card's or record's number; none of one that is shorter than eight."""
    shown = 4 if len(number) >= 8 else 0
    return "*" * (len(number) - shown) + number[len(number) - shown :]


def _is_province(digits: str) -> bool:
    return any("province" in known for _, known in numdb.get("cn/loc").info(digits + "0101"))
