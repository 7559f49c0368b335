"""The night's steps from presented to cleared, each `(engine, night) -> StepResult`.

The institutions are heard and told while the day is still open, so that what they say is booked and netted on it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from clearing import booking, matching, pricing, verification
from clearing.context import Night, StepRefused, StepResult
from clearing.engine.rules import EngineFailed, TacEngine
from clearing.intake import collect
from clearing.qr_booking import clear_qr
from clearing.qr_intake import clear_qr_inbox
from clearing.sectors.healthcare.asking import ask_insurer, withdraw_claims
from clearing.sectors.utilities.sending import tell_billers
from clearing.spread_verification import verify_spread

__all__ = [
    "ask_insurer", "collect", "match", "post", "price", "tell_billers", "verify", "withdraw_claims",
]  # fmt: skip


def verify(engine: Engine, night: Night) -> StepResult:
    """Ask the HSM about every TAC: the machines of the night's engine do where it has some, else this process."""
    with _refused("verify"):
        if isinstance(night.rules, TacEngine):
            return verify_spread(engine, night, night.rules)
        return verification.verify(engine, night)


def match(engine: Engine, night: Night) -> StepResult:
    """Judge every tap (see matching); an engine that fails refuses the step."""
    with _refused("match"):
        return matching.match(engine, night)


def price(engine: Engine, night: Night) -> StepResult:
    """Price every tap (see pricing); an engine that fails refuses the step."""
    with _refused("price"):
        return pricing.price(engine, night)


@contextmanager
def _refused(step: str) -> Iterator[None]:
    try:
        yield
    except EngineFailed as failed:
        raise StepRefused(step, failed.reason, failed.remedy) from failed


def post(engine: Engine, night: Night) -> StepResult:
    """Book the night's taps, and take in, judge and book its rides on riders' codes, in one transaction.

    Rides come in files of their own and are few beside the taps, so they have no steps of their own.
    """
    clear_qr_inbox(engine, night)
    taps, rides = booking.post(engine, night), clear_qr(engine, night)

    def write(conn: Connection) -> None:
        taps.write(conn)
        rides.write(conn)

    return StepResult({**taps.counts, **rides.counts}, (*taps.files, *rides.files), write)
