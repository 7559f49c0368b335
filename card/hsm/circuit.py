"""When an HSM that has failed is left alone, and when it is tried again: a circuit breaker without a clock."""

from dataclasses import dataclass, replace
from enum import StrEnum

OPENS_AFTER = 3
"""Failures in a row after which an HSM is not asked at all until its rest is over."""
FIRST_REST_S = 0.5
LONGEST_REST_S = 8.0


class Phase(StrEnum):
    """What may be asked of an HSM at a moment."""

    CLOSED = "closed"
    """Anything: it answered last time."""
    SHAKY = "shaky"
    """Only what no other can be asked: it has failed, and its rest is not over."""
    OPEN = "open"
    """Nothing: it has failed time and again, and its rest is not over."""
    HALF_OPEN = "half-open"
    """One thing, which tells whether it is back: its rest is over."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """Failures in a row, how many rests they have led to, and until when the last one lasts.

    Moments are seconds of one steady clock. `trying` while one request finds out whether the HSM is back.
    """

    failures: int = 0
    rests: int = 0
    rests_until_s: float = 0.0
    trying: bool = False

    def phase(self, now_s: float) -> Phase:
        """What may be asked now."""
        if not self.failures:
            return Phase.CLOSED
        if now_s >= self.rests_until_s:
            return Phase.HALF_OPEN
        return Phase.SHAKY if self.failures < OPENS_AFTER else Phase.OPEN

    def failed(self, now_s: float) -> "Circuit":
        """After one failure more: each rest is twice as long as the one before, up to a bound.

        What was asked during a rest, since no other could be asked, counts but makes no longer rest of it.
        """
        if self.failures and now_s < self.rests_until_s and not self.trying:
            return replace(self, failures=self.failures + 1)
        # The exponent is bounded as well, or a night of failures would make a number of it.
        rest_s = min(FIRST_REST_S * 2 ** min(self.rests, 10), LONGEST_REST_S)
        return Circuit(self.failures + 1, self.rests + 1, now_s + rest_s)

    def tried(self, now_s: float) -> "Circuit":
        """While one request finds out whether it is back, the others are to leave it alone."""
        return replace(self, rests_until_s=now_s + LONGEST_REST_S, trying=True)

    def rest_s(self, now_s: float) -> float:
        """How much of its rest is left."""
        return max(0.0, self.rests_until_s - now_s) if self.failures else 0.0


ANSWERED = Circuit()
"""The circuit of an HSM that has answered: all is forgiven."""
