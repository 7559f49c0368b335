"""Merchants' codes: EMVCo's own sample and others', the round trip, and what no text may do."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearing.wire.emvco import (
    MAX_AMOUNT_FEN,
    EmvcoError,
    MerchantCode,
    crc_of,
    read_merchant_code,
    read_objects,
    read_payload,
    write_merchant_code,
    write_objects,
    write_payload,
)

SAMPLE = (
    "00020101021229300012D156000000000510A93FO3230Q31280012D15600000001030812345678520441115802CN5914BEST TRANSPORT"
    "6007BEIJING64200002ZH0104最佳运输0202北京540523.7253031565502016233030412340603***0708A60086670902ME"
    "91320016A0112233449988770708123456786304A13A"
)
"""EMVCo QR Code Specification, Merchant-Presented Mode, the sample payload; its lengths count characters."""
CODE = MerchantCode("SHOP-1", "000000000018", "Best Noodles", "Kunming", "5812", 1234, True, "最佳面馆")


def test_the_check_value_of_the_crc_is_the_published_one() -> None:
    """CRC-16/IBM-3740 (CCITT-FALSE): 29B1 over 123456789."""
    assert crc_of("123456789") == "29B1"


def test_the_specifications_sample_is_read_as_it_is_meant() -> None:
    objects = dict(read_payload(SAMPLE))
    assert (objects["01"], objects["54"], objects["53"], objects["59"]) == (
        "12",
        "23.72",
        "156",
        "BEST TRANSPORT",
    )
    assert read_objects(objects["64"]) == (("00", "ZH"), ("01", "最佳运输"), ("02", "北京"))
    assert read_objects(objects["29"]) == (("00", "D15600000000"), ("05", "A93FO3230Q"))


def test_the_specifications_sample_is_written_to_the_letter() -> None:
    assert write_payload(read_payload(SAMPLE)[:-1]) == SAMPLE


def test_another_countrys_published_payload_is_read_too() -> None:
    """A payload of another country's scheme, as its library documents it."""
    payload = (
        "00020101021252044131153137210116372101160123456789ABCDE6016Banteay Meanchey5913Kuntheas Shop"
        "5802KH540510.005303840621201081234567863041FF2"
    )
    assert dict(read_payload(payload))["59"] == "Kuntheas Shop"


def test_a_code_of_ours_is_the_text_that_is_documented() -> None:
    assert write_merchant_code(CODE).startswith(
        "00020101021226420012city.onecard0106SHOP-10212000000000018520458125303156540512.345802CN5912Best Noodles"
        "6007Kunming62160512000000000018"
    )


@given(
    merchant=st.from_regex(r"[A-Z0-9][A-Z0-9-]{0,15}", fullmatch=True),
    number=st.from_regex(r"[0-9]{12}", fullmatch=True),
    amount_fen=st.none() | st.integers(1, MAX_AMOUNT_FEN),
    one_time=st.booleans(),
    name=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=25),
    name_zh=st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=25),
)
@settings(max_examples=60)
def test_what_is_written_is_read_again_fen_for_fen(
    merchant: str, number: str, amount_fen: int | None, one_time: bool, name: str, name_zh: str
) -> None:
    once = one_time and amount_fen is not None
    code = MerchantCode(merchant, number, name, "Kunming", "5812", amount_fen, once, name_zh)
    assert read_merchant_code(write_merchant_code(code)) == code


@given(place=st.integers(0, 140), character=st.characters(min_codepoint=32, max_codepoint=126))
@settings(max_examples=150)
def test_no_character_of_a_code_can_be_changed(place: int, character: str) -> None:
    text = write_merchant_code(CODE)
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    if changed.lower() == text.lower():
        return
    with pytest.raises(EmvcoError):
        read_merchant_code(changed)


@given(
    text=st.text(max_size=80)
    | st.from_regex(r"000201([0-9]{2}02[a-z0-9]{2}){0,8}6304[0-9A-F]{4}", fullmatch=True)
)
@settings(max_examples=200)
def test_whatever_the_text_only_the_modules_own_error_comes_out(text: str) -> None:
    try:
        read_payload(text)
    except EmvcoError:
        return
    assert crc_of(text[:-4]) == text[-4:]


@given(st.lists(st.tuples(st.from_regex(r"[0-9]{2}", fullmatch=True), st.text(min_size=1, max_size=99)),
                unique_by=lambda one: one[0], max_size=6))  # fmt: skip
@settings(max_examples=50)
def test_objects_are_written_and_read_alike(objects: list[tuple[str, str]]) -> None:
    assert read_objects(write_objects(objects)) == tuple(objects)


def with_crc(text: str) -> str:
    return text + "6304" + crc_of(text + "6304")


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ("", "the beginning"),
        ("000202", "the beginning"),
        (with_crc("000201"), "object 52"),
        (with_crc("0002010002015204581253031565802CN5901A6001B"), "object 00"),
        (with_crc("0002015204581253031565800"), "object 58"),
        (SAMPLE[:-1] + "B", "CRC"),
        (SAMPLE + "0", "character 248"),
        (SAMPLE, "merchant account"),
        (with_crc("00020126200012city.onecard0100" + "5204581253031565802CN5901A6001B"), "object 01"),
        (with_crc("00020126160012city.onecard" + "5204581253038405802CN5901A6001B"), "object 53"),
        (with_crc("00020126160012city.onecard" + "520458125303156540412.x5802CN5901A6001B"), "object 54"),
        (with_crc("00020126160012city.onecard" + "5204581253031565802CN5901A6001B"), "merchant"),
    ],
)
def test_a_wrong_payload_is_refused_by_its_field(payload: str, field: str) -> None:
    with pytest.raises(EmvcoError) as refused:
        read_merchant_code(payload)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("text", "amount_fen"), [("12", 1_200), ("12.", 1_200), ("12.3", 1_230), ("0.03", 3)]
)
def test_an_amount_may_have_fewer_decimals(text: str, amount_fen: int) -> None:
    """Merchants of other software leave zeros out."""
    account = "26420012city.onecard0106SHOP-10212000000000018"
    payload = with_crc(f"000201{account}520458125303156540{len(text)}{text}5802CN5901A6001B")
    assert read_merchant_code(payload).amount_fen == amount_fen


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"merchant": "shop"}, "merchant"),
        ({"code": "1"}, "code"),
        ({"category": "58"}, "category"),
        ({"name": "面馆"}, "name"),
        ({"city": ""}, "city"),
        ({"amount_fen": 0}, "amount_fen"),
        ({"amount_fen": None}, "amount_fen"),
        ({"name_zh": "面\n馆"}, "name_zh"),
    ],
)
def test_a_code_that_cannot_be_is_not_written(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(EmvcoError) as refused:
        write_merchant_code(replace(CODE, **wrong))  # type: ignore[arg-type]
    assert refused.value.field == field
