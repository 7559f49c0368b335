"""Merchant-presented codes: EMVCo QR Code Specification for Payment Systems, Merchant-Presented Mode 1.1.

Two digits of id, two of length in characters, the value; a CRC over everything comes last.
"""

import re
from binascii import crc_hqx
from collections.abc import Sequence
from dataclasses import dataclass

MAX_TEXT = 512
"""Section 3.2: a payload is to have at most 512 characters."""
OUR_SCHEME = "city.onecard"
"""The reverse domain name that marks our merchant account information (section 4.7.1)."""
CURRENCY, COUNTRY = "156", "CN"
MAX_AMOUNT_FEN = 99_999_999

_FORMAT, _INITIATION, _CATEGORY, _CURRENCY, _AMOUNT = "00", "01", "52", "53", "54"
_COUNTRY, _NAME, _CITY, _ADDITIONAL, _CRC, _LANGUAGE = "58", "59", "60", "62", "63", "64"
_OURS = "26"
_ACCOUNT_TEMPLATES = range(26, 52)
_STATIC, _DYNAMIC = "11", "12"
_REQUIRED = (_FORMAT, _CATEGORY, _CURRENCY, _COUNTRY, _NAME, _CITY, _CRC)
_AMOUNT_TEXT = re.compile(r"(?P<yuan>[0-9]{1,10})(?:\.(?P<fen>[0-9]{0,2}))?")
_DIGITS = re.compile(r"[0-9]+")

DataObject = tuple[str, str]
"""Id of two digits, and value."""


class EmvcoError(Exception):
    """A payload that cannot be read or written: `field` holds `value`; `remedy` what to do."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field} is {value!r}: {remedy}")
        self.field, self.value, self.remedy = field, value, remedy


@dataclass(frozen=True, slots=True)
class MerchantCode:
    """A merchant's code in our scheme; without `amount_fen` the payer says how much.

    `merchant` is the participant, `code` the number of this code, 12 digits; `category` is the merchant
    category code (ISO 18245), `name_zh` the name in the alternate language.
    """

    merchant: str
    code: str
    name: str
    city: str
    category: str
    amount_fen: int | None = None
    one_time: bool = False
    name_zh: str = ""


def crc_of(text: str) -> str:
    """Give the CRC of a payload up to and with `6304`: CRC-16, polynomial 1021, initial FFFF (section 4.7.3)."""
    return f"{crc_hqx(text.encode('utf-8'), 0xFFFF):04X}"


def write_objects(objects: Sequence[DataObject]) -> str:
    """Write data objects one after the other; raises EmvcoError for one that does not fit its form."""
    for number, value in objects:
        if not re.fullmatch(r"[0-9]{2}", number):
            raise EmvcoError("id", number, "it must be two digits")
        if not 1 <= len(value) <= 99:
            raise EmvcoError(f"object {number}", value, "it must have 1 to 99 characters")
    return "".join(f"{number}{len(value):02d}{value}" for number, value in objects)


def read_objects(text: str) -> tuple[DataObject, ...]:
    """Read data objects to the end of the text, each id once; raises EmvcoError."""
    objects: dict[str, str] = {}
    at = 0
    while at < len(text):
        number, length = text[at : at + 2], text[at + 2 : at + 4]
        if not _are_digits(number, 2) or not _are_digits(length, 2):
            raise EmvcoError(
                f"character {at}", text[at : at + 4], "an id and a length of two digits begin here"
            )
        value = text[at + 4 : at + 4 + int(length)]
        if not value or len(value) != int(length):
            raise EmvcoError(f"object {number}", value, f"it must have {length} characters, at least one")
        if number in objects:
            raise EmvcoError(f"object {number}", value, "it may come once")
        objects[number] = value
        at += 4 + int(length)
    return tuple(objects.items())


def write_payload(objects: Sequence[DataObject]) -> str:
    """Write a payload: the objects as given, the format indicator first, and the CRC put at the end."""
    if not objects or objects[0] != (_FORMAT, "01"):
        raise EmvcoError("object 00", objects[:1], "the payload format indicator 01 must come first")
    text = write_objects(objects) + _CRC + "04"
    if len(text) + 4 > MAX_TEXT:
        raise EmvcoError("length", len(text) + 4, f"a payload has at most {MAX_TEXT} characters")
    return text + crc_of(text)


def read_payload(text: str) -> tuple[DataObject, ...]:
    """Read a payload of any scheme, its CRC checked; raises EmvcoError."""
    if len(text) > MAX_TEXT:
        raise EmvcoError("length", len(text), f"a payload has at most {MAX_TEXT} characters")
    if not text.startswith("000201"):
        raise EmvcoError("the beginning", text[:6], "the payload format indicator 01 must come first")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise EmvcoError("text", ascii(text[:20]), "it must be characters")
    objects = read_objects(text)
    if objects[-1][0] != _CRC or len(objects[-1][1]) != 4:
        raise EmvcoError("object 63", objects[-1], "the CRC of four characters must come last")
    if (right := crc_of(text[:-4])) != text[-4:].upper():
        raise EmvcoError("CRC", text[-4:], f"it should be {right}; scan the code again")
    found = dict(objects)
    for number in _REQUIRED:
        if number not in found:
            raise EmvcoError(f"object {number}", None, "it is required")
    return objects


def write_merchant_code(code: MerchantCode) -> str:
    """Write a merchant's code; raises EmvcoError for a value that has no place in it."""
    _check(code)
    account = write_objects((("00", OUR_SCHEME), ("01", code.merchant), ("02", code.code)))
    objects = [(_FORMAT, "01"), (_INITIATION, _DYNAMIC if code.one_time else _STATIC), (_OURS, account)]
    objects += [(_CATEGORY, code.category), (_CURRENCY, CURRENCY)]
    if code.amount_fen is not None:
        objects.append((_AMOUNT, f"{code.amount_fen // 100}.{code.amount_fen % 100:02d}"))
    objects += [(_COUNTRY, COUNTRY), (_NAME, code.name), (_CITY, code.city)]
    objects.append((_ADDITIONAL, write_objects((("05", code.code),))))
    if code.name_zh:
        objects.append((_LANGUAGE, write_objects((("00", "ZH"), ("01", code.name_zh)))))
    return write_payload(objects)


def read_merchant_code(text: str) -> MerchantCode:
    """Read a merchant's code of our scheme; raises EmvcoError, also for another scheme's code."""
    objects = dict(read_payload(text))
    account = _our_account(objects)
    if objects[_CURRENCY] != CURRENCY:
        raise EmvcoError("object 53", objects[_CURRENCY], f"we take {CURRENCY}, yuan")
    language = dict(read_objects(objects.get(_LANGUAGE, "")))
    code = MerchantCode(
        account.get("01", ""), account.get("02", ""), objects[_NAME], objects[_CITY], objects[_CATEGORY],
        _fen(objects[_AMOUNT]) if _AMOUNT in objects else None, objects.get(_INITIATION) == _DYNAMIC,
        language.get("01", "") if language.get("00") == "ZH" else "",
    )  # fmt: skip
    _check(code)
    return code


def _our_account(objects: dict[str, str]) -> dict[str, str]:
    for number in _ACCOUNT_TEMPLATES:
        if f"{number}" in objects:
            account = dict(read_objects(objects[f"{number}"]))
            if account.get("00") == OUR_SCHEME:
                return account
    raise EmvcoError("merchant account", None, f"the code is not of {OUR_SCHEME}; pay it in its own scheme")


def _check(code: MerchantCode) -> None:
    """What a code of ours may hold, the same for reader and writer."""
    if not re.fullmatch(r"[A-Z0-9][A-Z0-9-]{0,15}", code.merchant):
        raise EmvcoError("merchant", code.merchant, "it must be 1 to 16 capital letters, digits and hyphens")
    if not _are_digits(code.code, 12):
        raise EmvcoError("code", code.code, "it must be 12 digits")
    if not _are_digits(code.category, 4):
        raise EmvcoError("category", code.category, "it must be 4 digits")
    for field, most in (("name", 25), ("city", 15)):
        value = getattr(code, field)
        if not 1 <= len(value) <= most or not (value.isascii() and value.isprintable()):
            raise EmvcoError(field, value, f"it must be 1 to {most} plain characters")
    if len(code.name_zh) > 25 or not code.name_zh.isprintable():
        raise EmvcoError("name_zh", code.name_zh, "it must be at most 25 printable characters")
    if code.amount_fen is not None and not 1 <= code.amount_fen <= MAX_AMOUNT_FEN:
        raise EmvcoError("amount_fen", code.amount_fen, f"it must be 1 to {MAX_AMOUNT_FEN} fen")
    if code.one_time and code.amount_fen is None:
        raise EmvcoError("amount_fen", None, "a code for one payment names its amount")


def _fen(text: str) -> int:
    match = _AMOUNT_TEXT.fullmatch(text)
    if match is None or not text.isascii():
        raise EmvcoError("object 54", text, "it must be an amount with at most two decimals")
    return int(match["yuan"]) * 100 + int((match["fen"] or "").ljust(2, "0"))


def _are_digits(text: str, width: int) -> bool:
    return len(text) == width and _DIGITS.fullmatch(text) is not None
