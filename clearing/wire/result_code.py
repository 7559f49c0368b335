"""What an issuer says of another city's tap, by the byte that says so (docs/formats/interop.md)."""

from enum import IntEnum


class ResultCode(IntEnum):
    """What an issuer says of a tap: taken, or the reason why not."""

    ACCEPTED = 0
    MALFORMED = 1
    DUPLICATE = 2
    CARD_UNKNOWN = 3
    TAC_WRONG = 4
    COUNTER_CONFLICT = 5
    HOTLISTED = 6
    CARD_NOT_YET_VALID = 7
    CARD_EXPIRED = 8
    TOO_LATE = 9
    AMOUNT_OUT_OF_BOUNDS = 10
