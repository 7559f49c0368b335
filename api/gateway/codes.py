"""Field 39: what the gateway answers, in one table."""

from enum import StrEnum


class Code(StrEnum):
    """Response codes, in the order in which they are asked: the first that applies is the answer.

    FORMAT_ERROR is asked first of bytes that cannot be read, and again, after NOT_SUPPORTED, of the fields
    that a request needs. The codes are those of ISO 8583:1987 as terminals in China know them; `A0` and `97`
    are theirs.
    """

    FORMAT_ERROR = "30"
    TERMINAL_UNKNOWN = "97"
    TERMINAL_WITHDRAWN = "58"
    MAC_WRONG = "A0"
    NOT_SUPPORTED = "40"
    INVALID_TRANSACTION = "12"
    AMOUNT_INVALID = "13"
    MERCHANT_WRONG = "03"
    DUPLICATE_DIFFERS = "94"
    CARD_UNKNOWN = "14"
    CARD_LOST = "41"
    ORIGINAL_UNKNOWN = "25"
    REVERSED_BEFORE = "21"
    INSUFFICIENT = "51"
    ABOVE_ORIGINAL = "61"
    NOT_NOW = "96"
    APPROVED = "00"
