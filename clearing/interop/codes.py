"""What the centres of other cities are told of their cards' taps."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from clearing.verdict import Verdict
from clearing.wire.result_code import ResultCode

CODES: Final[Mapping[Verdict, ResultCode]] = MappingProxyType(
    {
        Verdict.MALFORMED: ResultCode.MALFORMED,
        Verdict.DUPLICATE: ResultCode.DUPLICATE,
        Verdict.CARD_UNKNOWN: ResultCode.CARD_UNKNOWN,
        Verdict.TAC_WRONG: ResultCode.TAC_WRONG,
        Verdict.COUNTER_CONFLICT: ResultCode.COUNTER_CONFLICT,
        Verdict.HOTLISTED: ResultCode.HOTLISTED,
        Verdict.CARD_NOT_YET_VALID: ResultCode.CARD_NOT_YET_VALID,
        Verdict.CARD_EXPIRED: ResultCode.CARD_EXPIRED,
        Verdict.TOO_LATE: ResultCode.TOO_LATE,
        Verdict.AMOUNT_OUT_OF_BOUNDS: ResultCode.AMOUNT_OUT_OF_BOUNDS,
    }
)
"""What a centre is told of a tap that is not paid; whatever is paid is accepted."""
