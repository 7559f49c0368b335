"""The night's steps from presented to cleared, each `(engine, night) -> StepResult`.

The institutions are heard and told while the day is still open, so that what they say is booked and netted on it.
Other cities' centres are heard before files are collected, and told when the night's taps are booked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

from sqlalchemy import Connection, Engine

from clearing import booking, intake, matching, pricing, verification
from clearing.context import Night, StepRefused, StepResult
from clearing.drop_folder import Round, deliver, sweep
from clearing.engine.rules import EngineFailed, TacEngine
from clearing.interop.hearing import hear_centres
from clearing.interop.routing import route
from clearing.interop.sending import tell_centres
from clearing.landing import Landing
from clearing.qr_booking import clear_qr
from clearing.qr_intake import clear_qr_inbox
from clearing.sectors.healthcare.asking import ask_insurer, withdraw_claims
from clearing.sectors.utilities.sending import tell_billers
from clearing.spread_verification import verify_spread
from clearing.terminal_gaps import count_terminals
from ledger.sharing import Alone

__all__ = [
    "ask_insurer", "collect", "hear_centres", "match", "post", "price", "route", "tell_billers", "tell_centres",
    "verify", "withdraw_claims",
]  # fmt: skip


def collect(engine: Engine, night: Night) -> StepResult:
    """Take what lies finished in operators' folders into the inbox, take in the inbox, and deliver the answers."""
    landing = Landing(night.inbox, night.archive)
    sweep(Round(engine, Alone(engine), landing, night.business_date, now=None))
    result = intake.collect(engine, night)
    deliver(landing)
    return result


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
    """Say what each tap is paid (see pricing); an engine that fails refuses the step."""
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

    Rides come in files of their own and are few beside the taps, so they have no steps of their own; what has
    come of each terminal's numbers is written down with the taps that show it.
    """
    clear_qr_inbox(engine, night)
    # Counted while the last taps go in, which leaves a core idle.
    terminals = cache(lambda: count_terminals(engine, night))
    taps, rides = booking.post(engine, night, meanwhile=terminals), clear_qr(engine, night)

    def write(conn: Connection) -> None:
        taps.write(conn)
        rides.write(conn)
        terminals().write(conn)

    counts, files = {**taps.counts, **rides.counts}, (*taps.files, *rides.files)
    return replace(taps, counts=counts, files=files, write=write, more=terminals)
