"""The verdicts on an offline tap, in order of precedence, and what each does with the money."""

from enum import StrEnum
from types import MappingProxyType

WINDOW_DAYS = 30
"""Taps older than this when first presented are not paid; grey taps unproved for longer are rejected."""


class Money(StrEnum):
    """Where a tap's money goes."""

    PAID = "paid"
    SUSPENDED = "suspended"
    REJECTED = "rejected"
    NONE = "none"


class Verdict(StrEnum):
    """What became of a presented tap: the first that applies is recorded; ACCEPTED where none does.

    ROUTED waits for the centre that answers for the card; what that refuses is ISSUER_REFUSED, what it accepts is
    ACCEPTED, or PRICE_DIFFERS, as a card of ours would be.
    """

    MALFORMED = "malformed"
    DUPLICATE = "duplicate"
    DEVICE_UNKNOWN = "device_unknown"
    DEVICE_WITHDRAWN = "device_withdrawn"
    CARD_UNKNOWN = "card_unknown"
    TAC_WRONG = "tac_wrong"
    COUNTER_CONFLICT = "counter_conflict"
    HOTLISTED = "hotlisted"
    CARD_NOT_YET_VALID = "card_not_yet_valid"
    CARD_EXPIRED = "card_expired"
    HOTLISTED_GRACE = "hotlisted_grace"
    TOO_LATE = "too_late"
    AMOUNT_OUT_OF_BOUNDS = "amount_out_of_bounds"
    ROUTED = "routed"
    ISSUER_REFUSED = "issuer_refused"
    BALANCE_GAP = "balance_gap"
    PRICE_DIFFERS = "price_differs"
    ACCEPTED = "accepted"

    @property
    def money(self) -> Money:
        """Where a tap's money goes on this verdict."""
        return MONEY[self]


MONEY = MappingProxyType(
    {
        Verdict.MALFORMED: Money.NONE,
        Verdict.DUPLICATE: Money.NONE,
        Verdict.DEVICE_UNKNOWN: Money.SUSPENDED,
        Verdict.DEVICE_WITHDRAWN: Money.SUSPENDED,
        Verdict.CARD_UNKNOWN: Money.SUSPENDED,
        Verdict.TAC_WRONG: Money.SUSPENDED,
        Verdict.COUNTER_CONFLICT: Money.SUSPENDED,
        Verdict.HOTLISTED: Money.REJECTED,
        Verdict.CARD_NOT_YET_VALID: Money.REJECTED,
        Verdict.CARD_EXPIRED: Money.REJECTED,
        Verdict.HOTLISTED_GRACE: Money.PAID,
        Verdict.TOO_LATE: Money.REJECTED,
        Verdict.AMOUNT_OUT_OF_BOUNDS: Money.SUSPENDED,
        Verdict.ROUTED: Money.SUSPENDED,
        Verdict.ISSUER_REFUSED: Money.REJECTED,
        Verdict.BALANCE_GAP: Money.PAID,
        Verdict.PRICE_DIFFERS: Money.PAID,
        Verdict.ACCEPTED: Money.PAID,
    }
)
"""The money column of the table of verdicts."""
