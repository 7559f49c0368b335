"""The night's steps from presented to cleared, each `(engine, night) -> StepResult`.

The institutions are heard and told while the day is still open, so that what they say is booked and netted on it.
"""

from sqlalchemy import Connection, Engine

from clearing import booking, intake
from clearing.context import Night, StepResult
from clearing.drop_folder import Round, deliver, sweep
from clearing.landing import Landing
from clearing.matching import match
from clearing.pricing import price
from clearing.qr_booking import clear_qr
from clearing.qr_intake import clear_qr_inbox
from clearing.sectors.healthcare.asking import ask_insurer, withdraw_claims
from clearing.sectors.utilities.sending import tell_billers
from clearing.terminal_gaps import count_terminals
from clearing.verification import verify
from ledger.sharing import Alone

__all__ = [
    "ask_insurer", "collect", "match", "post", "price", "tell_billers", "verify", "withdraw_claims",
]  # fmt: skip


def collect(engine: Engine, night: Night) -> StepResult:
    """Take what lies finished in operators' folders into the inbox, take in the inbox, and deliver the answers."""
    landing = Landing(night.inbox, night.archive)
    sweep(Round(engine, Alone(engine), landing, night.business_date, now=None))
    result = intake.collect(engine, night)
    deliver(landing)
    return result


def post(engine: Engine, night: Night) -> StepResult:
    """Book the night's taps, and take in, judge and book its rides on riders' codes, in one transaction.

    Rides come in files of their own and are few beside the taps, so they have no steps of their own; what has
    come of each terminal's numbers is written down with the taps that show it.
    """
    clear_qr_inbox(engine, night)
    parts = booking.post(engine, night), clear_qr(engine, night), count_terminals(engine, night)

    def write(conn: Connection) -> None:
        for part in parts:
            part.write(conn)

    counts = {name: value for part in parts for name, value in part.counts.items()}
    return StepResult(counts, tuple(file for part in parts for file in part.files), write)
