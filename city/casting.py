"""From a trace's rows to riders and taps of this city: whose card, which operator, which validator."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from city.day import ISSUER, PlannedTap, Rider
from city.plan import CityPlan
from city.szt import BadRow, SztTap

MOST_LOAD_FEN = 100_000
LOAD_STEP_FEN = 10_000
_LETTERS = str.maketrans("ABCDEFGHIJ", "0123456789")
"""The published trace writes card numbers with letters for digits."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays what: riders, their taps in the order in which they happened, and the rows left out."""

    riders: tuple[Rider, ...]
    taps: tuple[PlannedTap, ...]
    bad_rows: tuple[BadRow, ...]
    rows: tuple[int, ...] = field(repr=False)
    """The row of the trace that each tap comes from."""

    @property
    def loads_at(self) -> datetime:
        """A quiet moment before the first tap."""
        return self.taps[0].at - timedelta(hours=1)

    def as_bad_row(self, place: int, remedy: str) -> BadRow:
        """The row of a tap that was played and came to nothing."""
        return BadRow(self.rows[place], "card_no", self.taps[place].card_no, remedy, "")


def cast(plan: CityPlan, rows: Iterable[SztTap | BadRow]) -> Cast:
    """Give every good row a rider and a validator; a row that contradicts an earlier one is left out.

    A card has one holder class: that of its first row that shows one.
    """
    operators = {operator.name: operator.id for operator in plan.operators}
    bad, good = [], []
    classes: dict[str, int] = {}
    for row in rows:
        if isinstance(row, BadRow):
            bad.append(row)
        elif row.company not in operators:
            bad.append(_unplayable(row, "company_name", row.company, "add the operator to the city's plan"))
        elif row.shows_class and classes.setdefault(row.card, row.holder_class) != row.holder_class:
            remedy = "the card rode in another class before; give one class to a card"
            bad.append(_unplayable(row, "fare_class", str(row.holder_class), remedy))
        else:
            good.append(row)
    good.sort(key=lambda row: (row.at, row.row))
    taps = tuple(_tap(row, operators[row.company]) for row in good)
    return Cast(_riders(good, classes), taps, tuple(bad), tuple(row.row for row in good))


def card_number(name: str) -> str:
    """The 20-digit number of the trace's card in this city: its own digits where it has them, else a hash's."""
    digits = name.translate(_LETTERS)
    if not (digits.isdecimal() and len(digits) <= 12):
        digits = str(int.from_bytes(sha256(name.encode()).digest()[:5]) + 10**12)
    return f"0310518{int(digits):013d}"


def _riders(rows: list[SztTap], classes: dict[str, int]) -> tuple[Rider, ...]:
    need_fen: dict[str, int] = {}
    for row in rows:
        need_fen[row.card] = need_fen.get(row.card, 0) + row.list_fare_fen
    riders = [
        Rider(card_number(name), ISSUER, classes.get(name, 1), _load_for(fen))
        for name, fen in need_fen.items()
    ]
    return tuple(sorted(riders, key=lambda rider: rider.card_no))


def _load_for(need_fen: int) -> int:
    return min(MOST_LOAD_FEN, LOAD_STEP_FEN * (need_fen // LOAD_STEP_FEN + 1))


def _tap(row: SztTap, operator: str) -> PlannedTap:
    return PlannedTap(
        card_no=card_number(row.card),
        operator=operator,
        terminal=f"{int(row.equipment):012d}",
        at=row.at,
        ride=row.ride,
        list_fare_fen=row.list_fare_fen,
        line=row.site_code // 1000,
        station=row.site_code % 1000,
        linked=row.linked,
        full_fare=row.full_fare,
    )


def _unplayable(row: SztTap, field_name: str, value: str, remedy: str) -> BadRow:
    return BadRow(row.row, field_name, value, remedy, "")
