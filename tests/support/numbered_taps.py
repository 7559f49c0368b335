"""Taps with the numbers that their terminal gave them."""

from dataclasses import replace
from datetime import date, timedelta

from clearing.wire.bcd import pack_moment
from clearing.wire.record import TapRecord
from tests.support.clearing_day import DAY, TAP, at, card_no, signed, terminal_no

BUS = terminal_no(1)


def numbered(number: int, day: date = DAY, terminal: str = BUS) -> TapRecord:
    """The tap that a terminal gave this number, of a card of its own, a minute after the number before."""
    made_at = at(8, day=day) + timedelta(minutes=number)
    return signed(
        replace(TAP, card_no=card_no(number % 40 + 1), counter=1 + number // 40, terminal=terminal,
                terminal_sequence=number, moment=pack_moment(made_at))
    )  # fmt: skip
