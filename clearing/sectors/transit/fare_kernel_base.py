"""The fare kernel: days and periods, scopes, and what a leg costs before any discount, as machine code.

The kernel's functions make no arrays, and are compiled without Numba's run-time (`_nrt`): counting references to the
tables' hundred arrays at every call would take a hundred times as long as the work.
"""

from clearing.sectors.transit.fare_arrays import (
    DAY,
    FIXED_CHARGE,
    FLAT,
    HIGHEST_CHARGE,
    LISTED,
    RIDE,
    WEEK,
    Tables,
    Taps,
)
from clearing.sectors.transit.fare_inner import inner

NO_LEG, RIDE_LEG, JOURNEY, MISSING_EXIT, MISSING_ENTRY, OPEN = 0, 1, 2, 3, 4, 5
"""Kinds of legs, by the tap that pays them; a tap that another one pays has none."""
NO_TARIFF, MODE_UNKNOWN, KIND_WRONG, CATEGORY_UNKNOWN, NO_FARE = 1, 2, 3, 4, 5
STATION_UNKNOWN, NO_SUCH_JOURNEY, LIST_FARE_MISSING, LIST_FARE_TOO_HIGH = 6, 7, 8, 9
"""Refusals, as `fare_tables.REFUSALS` numbers them."""
DAY_S, MINUTE_S = 86_400, 60


@inner(_nrt=False)
def month_start(day: int) -> int:
    """The first day of the day's month, both in days since 1970-01-01 (any Gregorian day)."""
    # Years are counted from March, so that the leap day is the last of a year (Hinnant's civil_from_days).
    shifted = day + 719_468
    of_era = shifted % 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return day - (of_year - (153 * month + 2) // 5)


@inner(_nrt=False)
def period_start(per: int, day: int) -> int:
    """The first day of the day's day, week (Monday) or month."""
    if per == DAY:
        return day
    if per == WEEK:
        return day - (day + 3) % 7
    return month_start(day)


@inner(_nrt=False)
def after_periods(per: int, day: int, periods: int) -> int:
    """The first day after so many periods, that of the day included."""
    end = period_start(per, day)
    step = 1 if per == DAY else 7 if per == WEEK else 31
    for _ in range(periods):
        end = period_start(per, end + step)
    return end


@inner(_nrt=False)
def local_s(tables: Tables, taps: Taps, tariff: int, tap: int) -> int:
    """A tap's instant on the clock of a tariff's zone, in seconds since 1970-01-01 00:00 there."""
    return taps.at_s[tap] + tables.offset_s[tariff, taps.slot[tap]]


@inner(_nrt=False)
def _listed_day(tables: Tables, calendar: int, day: int) -> bool:
    low, high = tables.windows.calendars[calendar]
    while low < high:
        middle = (low + high) // 2
        if tables.windows.days[middle] < day:
            low = middle + 1
        else:
            high = middle
    return low < tables.windows.calendars[calendar, 1] and tables.windows.days[low] == day


@inner(_nrt=False)
def _in_window(tables: Tables, window: int, local: int) -> bool:
    day, minute = local // DAY_S, local % DAY_S // MINUTE_S
    windows = tables.windows
    if not windows.weekdays[window, (day + 3) % 7]:
        return False
    if windows.on[window] >= 0 and not _listed_day(tables, windows.on[window], day):
        return False
    if windows.not_on[window] >= 0 and _listed_day(tables, windows.not_on[window], day):
        return False
    start, end = windows.start[window], windows.end[window]
    if start < end:
        return start <= minute < end
    return minute >= start or minute < end


@inner(_nrt=False)
def fits(tables: Tables, taps: Taps, scope: int, tap: int, local: int, fare: int) -> bool:
    """Whether a leg that this tap pays, begun at `local`, priced by this fare (0: none yet), is in the scope."""
    scopes = tables.scopes
    if not (
        scopes.mode[scope, taps.mode[tap]]
        and scopes.fare[scope, fare]
        and scopes.operator[scope, taps.operator[tap]]
        and scopes.line[scope, taps.line[tap]]
        and scopes.category[scope, taps.category[tap]]
    ):
        return False
    first, end = scopes.windows[scope]
    if first == end:
        return True
    window = first
    while window < end and not _in_window(tables, window, local):
        window += 1
    return window < end


@inner(_nrt=False)
def _listed(list_fen: int, most_fen: int) -> int:
    if list_fen < 0:
        return -LIST_FARE_MISSING
    if list_fen > most_fen:
        return -LIST_FARE_TOO_HIGH
    return list_fen


@inner(_nrt=False)
def _whole(tables: Tables, taps: Taps, fare: int, tap: int, began: int) -> int:
    fares = tables.fares
    if fares.kind[fare] == LISTED:
        return _listed(taps.list_fen[tap], fares.amount_fen[fare])
    if taps.full_fare[tap] and taps.list_fen[tap] >= 0:
        return taps.list_fen[tap]
    if fares.kind[fare] == FLAT:
        return fares.amount_fen[fare]
    start, end = fares.place[fare, taps.station[began]], fares.place[fare, taps.station[tap]]
    return fares.cells[fares.table[fare] + start * fares.places[fare] + end]


@inner(_nrt=False)
def _half(tables: Tables, taps: Taps, tariff: int, fare: int, tap: int, leg: int) -> tuple[int, bool]:
    """Fen, or minus the refusal; and whether it is a penalty."""
    modes, fares, mode = tables.modes, tables.fares, taps.mode[tap]
    outward = leg == MISSING_EXIT
    charge = modes.missing_exit[tariff, mode] if outward else modes.missing_entry[tariff, mode]
    amount_fen = modes.missing_exit_fen[tariff, mode] if outward else modes.missing_entry_fen[tariff, mode]
    if charge == FIXED_CHARGE:
        return amount_fen, True
    if charge != HIGHEST_CHARGE:
        return _listed(taps.list_fen[tap], amount_fen), False
    if fares.kind[fare] == LISTED:
        return -LIST_FARE_MISSING, False
    if fares.kind[fare] == FLAT:
        return fares.amount_fen[fare], True
    place = fares.high[fare] + fares.place[fare, taps.station[tap]]
    highest_fen = fares.highest[place, 0 if outward else 1]
    return (highest_fen, True) if highest_fen >= 0 else (-STATION_UNKNOWN, False)


@inner(_nrt=False)
def base_fare(
    tables: Tables, taps: Taps, tariff: int, tap: int, began: int, leg: int, local: int
) -> tuple[int, int, bool]:
    """The fare's number and its fen, or minus the refusal; and whether it is a penalty."""
    mode = taps.mode[tap]
    if not tables.modes.known[tariff, mode]:
        return 0, -MODE_UNKNOWN, False
    gated = tables.modes.gated[tariff, mode]
    if gated == (taps.kind[tap] == RIDE):
        return 0, -KIND_WRONG, False
    if not tables.category_known[tariff, taps.category[tap]]:
        return 0, -CATEGORY_UNKNOWN, False
    first = 0
    half = gated and leg in (MISSING_EXIT, MISSING_ENTRY)
    for fare in range(tables.fares.of_tariff[tariff, 0], tables.fares.of_tariff[tariff, 1]):
        if fits(tables, taps, tables.fares.scope[fare], tap, local, 0):
            if half:
                found_fen, penalty = _half(tables, taps, tariff, fare, tap, leg)
            else:
                found_fen, penalty = _whole(tables, taps, fare, tap, began), False
            if found_fen != -STATION_UNKNOWN and found_fen != -NO_SUCH_JOURNEY:
                return tables.fares.name[fare], found_fen, penalty
            if first == 0:
                first = found_fen
    return 0, first if first != 0 else -NO_FARE, False
