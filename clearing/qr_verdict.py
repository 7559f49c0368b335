"""The verdicts on a ride taken on a rider's code, in order of precedence, and what each does with the money."""

from enum import StrEnum
from types import MappingProxyType

from clearing.verdict import Money


class QrVerdict(StrEnum):
    """What became of a presented ride: the first that applies is recorded; ACCEPTED where none does.

    Nothing that a code says counts before its signatures hold, so they come before the holder.
    """

    MALFORMED = "malformed"
    DUPLICATE = "duplicate"
    DEVICE_UNKNOWN = "device_unknown"
    SIGNATURE_WRONG = "signature_wrong"
    EXPIRED = "expired"
    HOLDER_UNKNOWN = "holder_unknown"
    HOLDER_LOCKED = "holder_locked"
    REPLAYED = "replayed"
    TOO_LATE = "too_late"
    AMOUNT_OUT_OF_BOUNDS = "amount_out_of_bounds"
    PRICE_DIFFERS = "price_differs"
    ACCEPTED = "accepted"

    @property
    def money(self) -> Money:
        """Where a ride's money goes on this verdict."""
        return QR_MONEY[self]


QR_MONEY = MappingProxyType(
    {
        QrVerdict.MALFORMED: Money.NONE,
        QrVerdict.DUPLICATE: Money.NONE,
        QrVerdict.DEVICE_UNKNOWN: Money.SUSPENDED,
        # A validator checks both signatures and the life of a code by itself: the operator bears these.
        QrVerdict.SIGNATURE_WRONG: Money.REJECTED,
        QrVerdict.EXPIRED: Money.REJECTED,
        QrVerdict.HOLDER_UNKNOWN: Money.SUSPENDED,
        QrVerdict.HOLDER_LOCKED: Money.SUSPENDED,
        # No validator can know what another has taken; the holder showed one code and pays one ride.
        QrVerdict.REPLAYED: Money.SUSPENDED,
        QrVerdict.TOO_LATE: Money.REJECTED,
        QrVerdict.AMOUNT_OUT_OF_BOUNDS: Money.SUSPENDED,
        QrVerdict.PRICE_DIFFERS: Money.PAID,
        QrVerdict.ACCEPTED: Money.PAID,
    }
)
"""The money column of the table of verdicts."""

NOBODYS = (QrVerdict.DUPLICATE, QrVerdict.DEVICE_UNKNOWN, QrVerdict.SIGNATURE_WRONG)
"""Verdicts on rides that nobody proved to have taken: no holder is shown them."""
