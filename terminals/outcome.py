"""What came of a tap: the gate opens, or the first reason why not."""

from dataclasses import dataclass
from enum import StrEnum

from clearing.wire.batch import TapRecord
from clearing.wire.journey import Finding


class Refusal(StrEnum):
    """Why the gate stays shut, in order of precedence: the first that applies is the outcome.

    Up to INSUFFICIENT nothing has been asked of the purse; later ones leave it undebited, but for TORN,
    MAC_WRONG and UNPROVEN, where the card may have been debited and the terminal remembers the ride.
    """

    UNREADABLE = "unreadable"
    OUTBOX_FULL = "outbox_full"
    CLOCK_WRONG = "clock_wrong"
    TARIFF_NOT_IN_FORCE = "tariff_not_in_force"
    HOTLISTED = "hotlisted"
    NOT_VALID = "not_valid"
    ISSUER_UNKNOWN = "issuer_unknown"
    CLASS_UNKNOWN = "class_unknown"
    ALREADY_INSIDE = "already_inside"
    FARE_OUT_OF_BOUNDS = "fare_out_of_bounds"
    INSUFFICIENT = "insufficient"
    SAM_UNAVAILABLE = "sam_unavailable"
    KEY_UNKNOWN = "key_unknown"
    CARD_REFUSED = "card_refused"
    COUNTER_REUSED = "counter_reused"
    TORN = "torn"
    MAC_WRONG = "mac_wrong"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The gate's decision. Where it opens, `record` is the ride it opens for, and that record is durable.

    `recovered` is an earlier ride, torn then, that this tap has brought home; it may be the same one.
    `balance_fen` is what the card holds now, where it is known; `finding` what it said of its journey.
    """

    refusal: Refusal | None
    record: TapRecord | None = None
    recovered: TapRecord | None = None
    balance_fen: int | None = None
    finding: Finding = Finding.COMPLETE

    @property
    def opened(self) -> bool:
        """Whether the rider may pass."""
        return self.refusal is None
