"""A fare matrix as operators publish it (one pair of stations a row), and the tariff that it makes with older rules."""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clearing.sectors.transit.csv_rows import MOST_FLAWS, rows_of
from clearing.sectors.transit.fare_file import Flaw, TariffFlawed
from clearing.sectors.transit.fare_tariff import (
    AsListed,
    Band,
    ByMatrix,
    Discount,
    EntryExit,
    Fare,
    FareTariff,
    FixedCharge,
    ListCharge,
    Matrix,
    OneTap,
    PayBands,
    PayLess,
    PayShare,
    Scope,
)
from clearing.wire.ride import Ride
from clearing.wire.tariff import CLASS_NAMES, Tariff

COLUMNS = ("from", "to", "fare_yuan")
SINGLE = {"bus": Ride.BUS, "ferry": Ride.FERRY}
"""Modes where one tap is the ride; not every city has a ferry."""


@dataclass(frozen=True, slots=True)
class PaidArea:
    """How long a journey through the gates may take, and what staying longer or not leaving costs."""

    limit_min: int
    overtime_fen: int
    forget_min: int
    missing_exit_fen: int


GATES_TELL = PaidArea(limit_min=1_440, overtime_fen=0, forget_min=1_440, missing_exit_fen=0)
"""How the gates of a simple tariff are taken: they state the list fare of every journey, whole or not."""


def read_matrix(data: bytes) -> Matrix:
    """Read a CSV file (gzipped or not) with from, to, fare_yuan; a pair stands there in one direction or in both.

    Stations keep the order of their first row. A pair that is not there is a gap (null), for `check` to name.
    Raises TariffFlawed with the row of every fare that cannot be read, or contradicts an earlier row.
    """
    pairs_fen: dict[tuple[str, str], int] = {}
    stations: dict[str, int] = {}
    flaws: list[Flaw] = []
    for number, row in _rows(data, COLUMNS):
        start, end, yuan = (row[name].strip() for name in COLUMNS)
        fare_fen = hundredths(yuan)
        if not start or not end:
            flaws.append(Flaw(f"row {number}", f"{start!r} to {end!r}", "name both stations"))
        elif fare_fen is None:
            flaws.append(Flaw(f"row {number} fare_yuan", yuan, "give yuan, such as 4 or 4.50"))
        elif pairs_fen.setdefault((start, end), fare_fen) != fare_fen:
            remedy = f"an earlier row says {pairs_fen[start, end]} fen: give each pair one fare"
            flaws.append(Flaw(f"row {number} fare_yuan", yuan, remedy))
        else:
            stations.setdefault(start, len(stations))
            stations.setdefault(end, len(stations))
    if flaws or not stations:
        raise TariffFlawed(tuple(flaws[:MOST_FLAWS]) or (Flaw("the matrix", "empty", "give its rows"),))
    both_ways = all(pairs_fen.get((end, start), fen) == fen for (start, end), fen in pairs_fen.items())
    names = list(stations)
    fares_fen = tuple(
        tuple(
            pairs_fen.get((start, end), pairs_fen.get((end, start)) if both_ways else None)
            for end in (names[: place + 1] if both_ways else names)
        )
        for place, start in enumerate(names)
    )
    return Matrix(tuple(names), both_ways, fares_fen)


def read_codes(data: bytes) -> dict[str, str]:
    """Read site_code, site: the station's name for the `line-station` number that tap records carry."""
    found = {}
    for _, row in _rows(data, ("site_code", "site")):
        code = row["site_code"].strip()
        if code.isdecimal():
            found[f"{int(code) // 1000}-{int(code) % 1000}"] = row["site"].strip()
    return found


def fares_of_rules(
    rules: Tariff, matrix: Matrix | None, aliases: Mapping[str, str], area: PaidArea
) -> FareTariff:
    """The fare tariff that says what an older tariff says, with metro fares from a matrix (None: as listed)."""
    metro_most_fen = rules.max_fare_fen[Ride.METRO_EXIT]
    single = {mode: rules.max_fare_fen[ride] for mode, ride in SINGLE.items() if ride in rules.max_fare_fen}
    known = set(matrix.stations) if matrix else set()
    metro = ByMatrix("matrix", "metro") if matrix else AsListed("list", metro_most_fen)
    return FareTariff(
        format="onecard-fares-1",
        name=rules.name,
        version=rules.version,
        valid_from=rules.valid_from,
        valid_to=rules.valid_to,
        currency="CNY",
        zone="Asia/Shanghai",
        modes={
            **dict.fromkeys(single, OneTap("one")),
            "metro": EntryExit(
                "entry_exit",
                area.limit_min,
                area.overtime_fen,
                area.forget_min,
                FixedCharge("fixed", area.missing_exit_fen),
                ListCharge("list", metro_most_fen),
            ),
        },
        categories={name: (number,) for name, number in CLASS_NAMES.items()},
        fares=(
            *(
                Fare(f"{mode}, as listed", Scope(modes=(mode,)), AsListed("list", most_fen))
                for mode, most_fen in single.items()
            ),
            Fare("metro", Scope(modes=("metro",)), metro),
        ),
        discounts=_discounts(rules),
        matrices={"metro": matrix} if matrix else {},
        aliases={alias: station for alias, station in aliases.items() if station in known},
    )


def fare_tariffs(tariffs: Sequence[Tariff | FareTariff]) -> tuple[FareTariff, ...]:
    """All tariffs as fare tariffs, the simple ones converted; none where there are only simple ones."""
    if not any(isinstance(tariff, FareTariff) for tariff in tariffs):
        return ()
    return tuple(
        tariff if isinstance(tariff, FareTariff) else fares_of_rules(tariff, None, {}, GATES_TELL)
        for tariff in tariffs
    )


def _discounts(rules: Tariff) -> tuple[Discount, ...]:
    """Classes with a share of their own pay it, and nothing else applies; all others pay by bands, then linked."""
    found = [
        Discount(f"class {name}", Scope(categories=(name,)), PayShare("share", pay_bp), last=True)
        for name, number in CLASS_NAMES.items()
        if (pay_bp := rules.class_pay_bp[number]) is not None
    ]
    for mode, ride in (SINGLE | {"metro": Ride.METRO_EXIT}).items():
        if ride not in rules.bands:
            continue
        bands = rules.bands[ride]
        pay = (
            PayShare("share", bands[0].pay_bp)
            if len(bands) == 1
            else PayBands("bands", tuple(Band(band.up_to_fen, band.pay_bp) for band in bands))
        )
        found.append(Discount(f"card on the {mode}", Scope(modes=(mode,)), pay))
    linked = PayLess("less", rules.linked_discount_fen)
    return (*found, Discount("linked trip", Scope(), linked, only_linked=True))


def _rows(data: bytes, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    try:
        text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise TariffFlawed((Flaw("the file", str(error), "give a whole gzip file, or plain CSV"),)) from error
    except UnicodeDecodeError as error:
        flaw = Flaw("the file", f"byte {error.start}", "save it as UTF-8")
        raise TariffFlawed((flaw,)) from error
    header, rows = rows_of(text)
    missing = [name for name in columns if name not in header]
    if missing:
        raise TariffFlawed((Flaw("the header", f"no {', '.join(missing)}", f"head it {','.join(columns)}"),))
    return rows


def hundredths(yuan: str) -> int | None:
    """An amount with at most two places as hundredths; None where the text is no such number."""
    whole, _, part = yuan.partition(".")
    if not (whole.isascii() and whole.isdecimal() and len(whole) <= 6 and len(part) <= 2):
        return None
    if part and not (part.isascii() and part.isdecimal()):
        return None
    return int(whole) * 100 + int(part.ljust(2, "0"))
