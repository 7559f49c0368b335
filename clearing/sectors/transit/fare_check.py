"""What is wrong in a tariff that can be read: names that lead nowhere, gaps, caps and quotas that make no sense."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from clearing.sectors.transit.base_fare import fares_fen, stations_of
from clearing.sectors.transit.fare_file import Flaw, TariffFlawed, read_fares
from clearing.sectors.transit.fare_tariff import (
    AsListed,
    ByAreas,
    ByDistance,
    ByMatrix,
    Cap,
    EntryExit,
    Fare,
    FareTariff,
    Flat,
    Matrix,
    OneTap,
    PayBands,
    PaySteps,
    PayTogether,
    Period,
    Scope,
)

SHOWN_GAPS = 20
"""Gaps of one matrix that are named one by one; the rest are counted."""


def check_tariff(tariff: FareTariff) -> list[Flaw]:
    """Every flaw of one tariff, by the path of its field; remarks are what an author may have meant."""
    return [
        *_whole(tariff),
        *_names(tariff),
        *_scopes(tariff),
        *(flaw for mode, rules in tariff.modes.items() for flaw in _mode(mode, rules)),
        *(flaw for name, matrix in tariff.matrices.items() for flaw in _matrix(name, matrix)),
        *(flaw for place, fare in enumerate(tariff.fares) for flaw in _fare(tariff, place, fare)),
        *(flaw for place in range(len(tariff.discounts)) for flaw in _discount(tariff, place)),
        *(flaw for place, cap in enumerate(tariff.caps) for flaw in _cap(tariff, place, cap)),
    ]


def usable_fares(text: str) -> FareTariff:
    """Read a fare tariff that can be priced by; raises TariffFlawed with every flaw of the file. Remarks are none."""
    found = read_fares(text)
    if wrong := tuple(flaw for flaw in check_tariff(found) if not flaw.remark):
        raise TariffFlawed(wrong)
    return found


def check_together(tariffs: Sequence[tuple[str, FareTariff]]) -> list[Flaw]:
    """What is wrong between tariffs of one name, each with its file's: periods that overlap, versions that fall."""
    flaws = []
    ordered = sorted(tariffs, key=lambda named: (named[1].name, named[1].valid_from, named[1].version))
    for (older_file, older), (newer_file, newer) in pairwise(ordered):
        if older.name != newer.name:
            continue
        if older.valid_to is None or older.valid_to >= newer.valid_from:
            remedy = f"end it before {newer.valid_from}, when {newer_file} begins: the periods overlap"
            flaws.append(Flaw(f"{older_file}: valid_to", str(older.valid_to), remedy))
        elif (newer.valid_from - older.valid_to).days > 1:
            remedy = f"begin it the day after {older.valid_to}, when {older_file} ends"
            flaws.append(Flaw(f"{newer_file}: valid_from", str(newer.valid_from), remedy, remark=True))
        if newer.version <= older.version:
            remedy = f"give it more than {older.version}, the version of {older_file} before it"
            flaws.append(Flaw(f"{newer_file}: version", str(newer.version), remedy))
    return flaws


def _whole(tariff: FareTariff) -> Iterator[Flaw]:
    if tariff.valid_to is not None and tariff.valid_to < tariff.valid_from:
        yield Flaw("valid_to", str(tariff.valid_to), f"it must not be before valid_from, {tariff.valid_from}")
    try:
        ZoneInfo(tariff.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Flaw("zone", tariff.zone, "give a time zone's name, such as Asia/Shanghai")
    for member in ("modes", "categories", "fares"):
        if not getattr(tariff, member):
            yield Flaw(member, "empty", "name at least one")
    classes = Counter(number for numbers in tariff.categories.values() for number in numbers)
    for number, times in classes.items():
        if times > 1:
            yield Flaw("categories", f"holder class {number} twice", "let a class stand for one category")
    for name, days in tariff.calendars.items():
        after = tariff.valid_to or max(days, default=tariff.valid_from)
        if not any(tariff.valid_from <= day <= after for day in days):
            yield Flaw(f"calendars.{name}", "no day in force", "list its days in the validity", remark=True)
    yield from _aliases(tariff)
    for own, line in tariff.lines.items():
        if line.mode not in tariff.modes:
            remedy = "its taps find no price: name one of the tariff's modes, if they should"
            yield Flaw(f"lines.{own}.mode", line.mode, remedy, remark=True)


def _aliases(tariff: FareTariff) -> Iterator[Flaw]:
    known = {
        station for fare in tariff.fares if _usable(tariff, fare) for station in stations_of(tariff, fare)
    }
    for alias, station in tariff.aliases.items():
        if station not in known:
            yield Flaw(f"aliases.{alias}", station, "name a station that one of the fares knows")
        if alias in known and alias != station:
            yield Flaw(
                f"aliases.{alias}", station, "take it away: a station of that name has fares of its own"
            )


def _names(tariff: FareTariff) -> Iterator[Flaw]:
    """Fares, discounts, caps and products are told apart by their names: in steps, quotas and differences."""
    seen: dict[str, str] = {}
    for member in ("fares", "discounts", "caps", "products"):
        for place, rule in enumerate(getattr(tariff, member)):
            path = f"{member}.{place}.name"
            if rule.name in seen:
                yield Flaw(path, rule.name, f"give it a name of its own; {seen[rule.name]} has it")
            seen.setdefault(rule.name, path)


def _scopes(tariff: FareTariff) -> Iterator[Flaw]:
    fares = {fare.name for fare in tariff.fares}
    known = {"modes": set(tariff.modes), "fares": fares, "categories": set(tariff.categories)}
    for member in ("fares", "discounts", "caps"):
        for place, rule in enumerate(getattr(tariff, member)):
            scope: Scope = rule.scope
            path = f"{member}.{place}.scope"
            for asked, names in known.items():
                for name in getattr(scope, asked):
                    if name not in names:
                        yield Flaw(f"{path}.{asked}", name, f"name one of {', '.join(sorted(names))}")
            if member == "fares" and scope.fares:
                yield Flaw(
                    f"{path}.fares", ", ".join(scope.fares), "take it away: a fare chooses legs itself"
                )
            for number, window in enumerate(scope.when):
                yield from _window(tariff, f"{path}.when.{number}", window.on, window.not_on)
                if window.start == window.end:
                    yield Flaw(
                        f"{path}.when.{number}.end", window.end, "end it at another time than it starts"
                    )


def _window(tariff: FareTariff, path: str, on: str | None, not_on: str | None) -> Iterator[Flaw]:
    for member, name in (("on", on), ("not_on", not_on)):
        if name is not None and name not in tariff.calendars:
            yield Flaw(f"{path}.{member}", name, "name a calendar of the tariff, or add it to calendars")


def _mode(name: str, rules: OneTap | EntryExit) -> Iterator[Flaw]:
    if isinstance(rules, EntryExit) and rules.forget_min < rules.limit_min:
        remedy = f"let it be at least limit_min, {rules.limit_min}: who is late pays overtime first"
        yield Flaw(f"modes.{name}.forget_min", str(rules.forget_min), remedy)


def _matrix(name: str, matrix: Matrix) -> Iterator[Flaw]:
    path, size = f"matrices.{name}", len(matrix.stations)
    for station, times in Counter(matrix.stations).items():
        if times > 1:
            yield Flaw(f"{path}.stations", station, f"write it once; it stands there {times} times")
    if len(matrix.fares_fen) != size:
        yield Flaw(f"{path}.fares_fen", f"{len(matrix.fares_fen)} rows", f"give {size}, one a station")
    gaps = []
    for place, row in enumerate(matrix.fares_fen):
        wanted = place + 1 if matrix.both_ways else size
        if len(row) != wanted:
            yield Flaw(f"{path}.fares_fen.{place}", f"{len(row)} fares", f"give {wanted}")
        elif place < size:
            gaps += [
                (matrix.stations[place], matrix.stations[to]) for to, fen in enumerate(row) if fen is None
            ]
    for start, end in gaps[:SHOWN_GAPS]:
        yield Flaw(f"{path}.fares_fen", f"no fare from {start} to {end}", "fill the gap")
    if len(gaps) > SHOWN_GAPS:
        yield Flaw(f"{path}.fares_fen", f"{len(gaps) - SHOWN_GAPS} more gaps", "fill them")


def _fare(tariff: FareTariff, place: int, fare: Fare) -> Iterator[Flaw]:
    path = f"fares.{place}.price"
    price = fare.price
    if isinstance(price, ByMatrix) and price.matrix not in tariff.matrices:
        yield Flaw(f"{path}.matrix", price.matrix, "name one of the tariff's matrices")
    if isinstance(price, ByDistance):
        if price.network not in tariff.networks:
            yield Flaw(f"{path}.network", price.network, "name one of the tariff's networks")
        yield from _rising(f"{path}.steps", [step.up_to_m for step in price.steps], "up_to_m", open_end=True)
        for number, (one, next_one) in enumerate(pairwise(price.steps), 1):
            if next_one.fare_fen < one.fare_fen:
                remedy = f"let it be at least {one.fare_fen}: a longer way is not cheaper"
                yield Flaw(f"{path}.steps.{number}.fare_fen", str(next_one.fare_fen), remedy, remark=True)
    if isinstance(price, ByAreas) and not price.pairs:
        yield Flaw(f"{path}.pairs", "empty", "give the fare between at least two areas")
    if isinstance(price, ByMatrix | ByDistance | ByAreas):
        for mode in fare.scope.modes or tuple(tariff.modes):
            if isinstance(tariff.modes.get(mode), OneTap):
                remedy = f"take {mode} out, or let it be entry_exit: one tap does not know both stations"
                yield Flaw(f"fares.{place}.scope.modes", mode, remedy)
    before = [other for other in tariff.fares[:place] if isinstance(other.price, Flat | AsListed)]
    earlier = next((other for other in before if _covers(other.scope, fare.scope)), None)
    if earlier:
        remedy = f"move it before {earlier.name}, which takes all its legs"
        yield Flaw(f"fares.{place}", fare.name, remedy)


def _covers(wide: Scope, narrow: Scope) -> bool:
    """Whether every leg in the narrow scope is in the wide one, as far as the lists show."""
    asked = ("modes", "fares", "operators", "lines", "categories")
    return all(
        not getattr(wide, member)
        or (getattr(narrow, member) and set(getattr(narrow, member)) <= set(getattr(wide, member)))
        for member in asked
    ) and (not wide.when or wide.when == narrow.when)


def _discount(tariff: FareTariff, place: int) -> Iterator[Flaw]:
    discount = tariff.discounts[place]
    path = f"discounts.{place}"
    match discount.pay:
        case PayBands():
            tops = [band.up_to_fen for band in discount.pay.bands]
            yield from _rising(f"{path}.pay.bands", tops, "up_to_fen", open_end=True)
        case PaySteps():
            marks: list[int | None] = [step.from_fen for step in discount.pay.steps]
            yield from _rising(f"{path}.pay.steps", marks, "from_fen", open_end=False)
        case PayTogether() if discount.transfer is None:
            yield Flaw(f"{path}.transfer", "null", "say what is a transfer: legs pay together in a chain")
    if discount.needs_product and discount.needs_product not in {one.name for one in tariff.products}:
        yield Flaw(f"{path}.needs_product", discount.needs_product, "name one of the tariff's products")
    if discount.transfer:
        asked = (
            ("after_modes", discount.transfer.after_modes, set(tariff.modes)),
            ("after_fares", discount.transfer.after_fares, {fare.name for fare in tariff.fares}),
        )
        for member, names, known in asked:
            for name in names:
                if name not in known:
                    remedy = f"name one of {', '.join(sorted(known))}"
                    yield Flaw(f"{path}.transfer.{member}", name, remedy)
    for earlier in tariff.discounts[:place]:
        always = not (earlier.only_linked or earlier.transfer or earlier.needs_product or earlier.quota)
        if earlier.last and always and _covers(earlier.scope, discount.scope):
            yield Flaw(path, discount.name, f"move it before {earlier.name}, after which nothing applies")
            break


def _rising(path: str, marks: Sequence[int | None], member: str, *, open_end: bool) -> Iterator[Flaw]:
    if not marks:
        yield Flaw(path, "empty", "give at least one")
        return
    for place, (one, following) in enumerate(pairwise(marks), 1):
        if one is None:
            yield Flaw(f"{path}.{place - 1}.{member}", "null", "only the last one is open: give a number")
        elif following is not None and following <= one:
            yield Flaw(f"{path}.{place}.{member}", str(following), f"let it be above {one}, the one before")
    if open_end and marks[-1] is not None:
        remedy = "leave the last one open: write null"
        yield Flaw(f"{path}.{len(marks) - 1}.{member}", str(marks[-1]), remedy)


def _cap(tariff: FareTariff, place: int, cap: Cap) -> Iterator[Flaw]:
    path = f"caps.{place}.limit_fen"
    within = [
        fare for fare in tariff.fares
        if (not cap.scope.fares or fare.name in cap.scope.fares)
        and (not cap.scope.modes or not fare.scope.modes or set(cap.scope.modes) & set(fare.scope.modes))
        and _usable(tariff, fare)
    ]  # fmt: skip
    for fare in within:
        asked = [fen for fen in fares_fen(tariff, fare) if fen]
        if asked and cap.limit_fen < asked[0] and not isinstance(fare.price, AsListed):
            remedy = f"let it be at least {asked[0]}, the lowest single fare of {fare.name}"
            yield Flaw(path, str(cap.limit_fen), remedy)
        elif asked and cap.limit_fen < asked[-1]:
            remedy = f"{fare.name} asks up to {asked[-1]}: a single leg may be cut by the cap"
            yield Flaw(path, str(cap.limit_fen), remedy, remark=True)
    order = list(Period)
    for number, other in enumerate(tariff.caps):
        longer = order.index(cap.per) > order.index(other.per)
        if longer and cap.limit_fen < other.limit_fen and _covers(cap.scope, other.scope):
            remedy = f"let it be at least {other.limit_fen}, what caps.{number} lets a {other.per} cost"
            yield Flaw(path, str(cap.limit_fen), remedy)


def _usable(tariff: FareTariff, fare: Fare) -> bool:
    """Whether what the fare names is there to be looked into."""
    match fare.price:
        case ByMatrix():
            return fare.price.matrix in tariff.matrices
        case ByDistance():
            return fare.price.network in tariff.networks
    return True
