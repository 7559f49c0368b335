"""What of a link may be read for what, and when a reader may read it: tables and pure decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


class LinkKind(StrEnum):
    """What a link leads to."""

    IDENTITY = "identity"
    HEALTH_CARD = "health_card"
    SOCIAL_SECURITY = "social_security"


class Purpose(StrEnum):
    """What a reader reads a link for."""

    AUTHENTICATION = "authentication"
    TREATMENT = "treatment"
    SETTLEMENT = "settlement"
    CONTRIBUTION = "contribution"
    BENEFIT = "benefit"


class Disclosure(StrEnum):
    """How much a reader learns: that there is a link, the masked number, or the number."""

    EXISTS = "exists"
    MASKED = "masked"
    FULL = "full"


DISCLOSURES: Mapping[tuple[LinkKind, Purpose], Disclosure] = MappingProxyType(
    {
        (LinkKind.IDENTITY, Purpose.AUTHENTICATION): Disclosure.EXISTS,
        (LinkKind.IDENTITY, Purpose.TREATMENT): Disclosure.MASKED,
        (LinkKind.IDENTITY, Purpose.SETTLEMENT): Disclosure.MASKED,
        (LinkKind.IDENTITY, Purpose.CONTRIBUTION): Disclosure.FULL,
        (LinkKind.IDENTITY, Purpose.BENEFIT): Disclosure.FULL,
        (LinkKind.HEALTH_CARD, Purpose.AUTHENTICATION): Disclosure.EXISTS,
        (LinkKind.HEALTH_CARD, Purpose.TREATMENT): Disclosure.FULL,
        (LinkKind.HEALTH_CARD, Purpose.SETTLEMENT): Disclosure.MASKED,
        (LinkKind.SOCIAL_SECURITY, Purpose.AUTHENTICATION): Disclosure.EXISTS,
        (LinkKind.SOCIAL_SECURITY, Purpose.TREATMENT): Disclosure.MASKED,
        (LinkKind.SOCIAL_SECURITY, Purpose.SETTLEMENT): Disclosure.FULL,
        (LinkKind.SOCIAL_SECURITY, Purpose.CONTRIBUTION): Disclosure.FULL,
        (LinkKind.SOCIAL_SECURITY, Purpose.BENEFIT): Disclosure.FULL,
    }
)
"""What each purpose needs of each kind; what is not here cannot be granted."""


class LinkRefusal(StrEnum):
    """Why a link is not granted or not read, in order of precedence: the first that applies."""

    PURPOSE_NOT_FITTING = "purpose_not_fitting"
    HOLDER_UNKNOWN = "holder_unknown"
    HOLDER_LOCKED = "holder_locked"
    NUMBER_MALFORMED = "number_malformed"
    NUMBER_DIFFERS = "number_differs"
    NUMBER_TAKEN = "number_taken"
    EXPIRY_PAST = "expiry_past"
    NOT_GRANTED = "not_granted"
    PURPOSE_NOT_GRANTED = "purpose_not_granted"
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Grant:
    """A consent as it stands."""

    holder: str
    kind: LinkKind
    granted_to: str
    purpose: Purpose
    granted_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


def read_refusal(
    grants: Sequence[Grant], kind: LinkKind, purpose: Purpose, *, at: datetime, known: bool, locked: bool
) -> LinkRefusal | None:
    """Why not, given the consents of this reader for this kind, newest first; None where it may."""
    if (kind, purpose) not in DISCLOSURES:
        return LinkRefusal.PURPOSE_NOT_FITTING
    if not known:
        return LinkRefusal.HOLDER_UNKNOWN
    if locked:
        return LinkRefusal.HOLDER_LOCKED
    if not grants:
        return LinkRefusal.NOT_GRANTED
    newest = next((one for one in grants if one.purpose is purpose), None)
    if newest is None:
        return LinkRefusal.PURPOSE_NOT_GRANTED
    if newest.revoked_at is not None:
        return LinkRefusal.REVOKED
    return LinkRefusal.EXPIRED if newest.expires_at <= at else None
