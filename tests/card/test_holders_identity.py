"""Identity numbers: whose are taken, what is wrong with the others; and masks that show what they may."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card.identity import (
    IdentityFlaw,
    identity_flaw,
    mask_identity,
    mask_name,
    mask_number,
    mask_phone,
    normal_identity,
)
from tests.card.people import identity

TODAY = date(2026, 3, 2)


@pytest.mark.parametrize(
    "first_17",
    [
        "53010219900307123",
        "11010119300101001",
        # Born before Chongqing's and Chenggong's codes, which they were given later.
        "50010219600307123",
        "53011419500101123",
        # Residents from Hong Kong and Taiwan, a foreigner with a residence permit of Yunnan.
        "81000019900307123",
        "83000019900307123",
        "95315619900307123",
    ],
)
def test_numbers_of_people_who_live_here_are_taken(first_17: str) -> None:
    assert identity_flaw(identity(first_17), TODAY) is None


@pytest.mark.parametrize(
    ("number", "flaw"),
    [
        ("", IdentityFlaw.LENGTH),
        ("530102900307123", IdentityFlaw.LENGTH),
        ("53010219900307123A", IdentityFlaw.NOT_DIGITS),
        ("5301021990030712²8", IdentityFlaw.NOT_DIGITS),
        ("X30102199003071238", IdentityFlaw.NOT_DIGITS),
        ("530102199003071239", IdentityFlaw.CHECK_DIGIT),
        (identity("53010219901307123"), IdentityFlaw.BIRTH_DATE),
        (identity("53010219900230123"), IdentityFlaw.BIRTH_DATE),
        (identity("53010220260303123"), IdentityFlaw.BIRTH_DATE),
        (identity("00010119900307123"), IdentityFlaw.PLACE),
        (identity("90015619900307123"), IdentityFlaw.PLACE),
    ],
)
def test_the_first_flaw_that_applies_is_the_one_told(number: str, flaw: IdentityFlaw) -> None:
    assert identity_flaw(number, TODAY) is flaw


@given(st.text(max_size=20) | st.from_regex(r"[0-9]{17}[0-9X]", fullmatch=True))
def test_any_text_has_a_flaw_or_is_a_number(text: str) -> None:
    number = normal_identity(text)
    flaw = identity_flaw(number, TODAY)
    assert flaw is not None or (len(number) == 18 and number[:17].isdigit())


@given(st.integers(0, 17), st.integers(1, 9))
def test_a_single_digit_wrong_is_always_noticed(place: int, by: int) -> None:
    number = identity("53010219900307125")
    digits = number[:-1] + ("0" if number[-1] == "X" else number[-1])
    wrong = digits[:place] + str((int(digits[place]) + by) % 10) + digits[place + 1 :]
    assert wrong == number or identity_flaw(wrong, TODAY) is not None


def test_a_number_written_with_blanks_and_a_small_x_is_the_same() -> None:
    assert normal_identity(" 11010119300101123x ") == "11010119300101123X"


def test_masks_show_what_they_may_and_no_more() -> None:
    assert mask_identity("530102199003071238") == "530102********1238"
    assert [mask_name(name) for name in ("张三", "张三丰", "张", "")] == ["张*", "张**", "*", ""]
    assert [mask_phone(phone) for phone in ("13800001234", "65312345", "", "+8613800001234")] == [
        "138****1234", "******45", "", "+86*******1234",
    ]  # fmt: skip
    assert [mask_number(number) for number in ("A12345678", "A123456")] == ["*****5678", "*******"]
