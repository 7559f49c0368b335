"""`onecard tariff …`: check, explain and compare what rides cost, before riders pay it."""

import json
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from api.doors import Refused, console
from api.listings import Listing, figure, prose
from api.tariff_files import AsJson, TariffFile, TariffFiles, bytes_of, fares_in, flawed, text_of
from clearing.sectors.transit.card_fares import Priced, Step, price_cards
from clearing.sectors.transit.fare_check import check_tariff, check_together
from clearing.sectors.transit.fare_diff import ExampleJourney, changes, example_journeys
from clearing.sectors.transit.fare_file import Flaw, TariffFlawed, is_fare_file, read_fares, schema
from clearing.sectors.transit.fare_taps import REMEDIES, Tap, TapKind, Unpriced
from clearing.sectors.transit.fare_tariff import EntryExit, FareTariff
from clearing.sectors.transit.taps_file import read_taps
from clearing.wire.tariff import TariffError, parse_tariff
from ledger.money import yuan

SHOWN_CHANGES = 60


def check(files: TariffFiles, as_json: AsJson = False) -> None:
    """Name every flaw of tariffs, and between them; the exit status is 1 where there is one (remarks are none)."""
    flaws: list[tuple[str, Flaw]] = []
    read: list[tuple[str, FareTariff]] = []
    for path in files:
        text = text_of(path)
        try:
            if is_fare_file(text):
                found = read_fares(text)
                read.append((path.name, found))
                flaws += [(path.name, flaw) for flaw in check_tariff(found)]
            else:
                parse_tariff(text)
        except TariffFlawed as error:
            flaws += [(path.name, flaw) for flaw in error.flaws]
        except TariffError as error:
            flaws.append((path.name, Flaw(error.field, repr(error.value), error.remedy)))
    flaws += [("together", flaw) for flaw in check_together(read)]
    wrong = sum(not flaw.remark for _, flaw in flaws)
    if as_json:
        sys.stdout.write(_json([{"file": name} | asdict(flaw) for name, flaw in flaws]))
    else:
        for name, flaw in flaws:
            console.print(f"{name}: {flaw}", highlight=False, soft_wrap=True)
        console.print(
            f"{len(files)} tariffs checked: {wrong} flaws, {len(flaws) - wrong} remarks", highlight=False
        )
    if wrong:
        raise typer.Exit(1)


def explain(
    files: TariffFiles,
    taps: Annotated[Path | None, typer.Option(help="a CSV of taps (docs/formats/tariff.md)")] = None,
    card: Annotated[str | None, typer.Option(help="only this card of the taps")] = None,
    mode: Annotated[str, typer.Option(help="or one ride: its mode")] = "",
    start: Annotated[str, typer.Option("--from", help="where it begins")] = "",
    end: Annotated[str, typer.Option("--to", help="where it ends")] = "",
    at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], help="when, in the tariff's zone"),
    ] = None,
    category: Annotated[str, typer.Option(help="the holder's category")] = "standard",
    list_fare_fen: int | None = typer.Option(None, help="the terminal's list fare", min=0),
    line: Annotated[str, typer.Option(help="the line")] = "",
    as_json: AsJson = False,
) -> None:
    """Say step by step why taps cost what they cost."""
    tariffs = tuple(fares_in(path) for path in files)
    zone = ZoneInfo(tariffs[0].zone)
    if taps is not None:
        try:
            asked = [one.tap for one in read_taps(bytes_of(taps), zone)]
        except TariffFlawed as error:
            raise flawed(taps, error.flaws) from error
        asked = [tap for tap in asked if card in (None, tap.card)]
        if not asked:
            raise Refused(f"--card {card}: {taps} has no tap of it; give a card that stands there")
    elif mode and at is not None:
        ride = Tap(
            "1", "rider", at.replace(tzinfo=zone), TapKind.RIDE, mode, end, "", line, category, list_fare_fen
        )
        asked = _taps_of(tariffs, ride, start)
    else:
        raise Refused("nothing to explain: give --taps FILE, or one ride by --mode and --at")
    as_of = max(tap.at for tap in asked)
    priced = price_cards(tariffs, asked, (), as_of)
    legs = [leg for of_card in priced.values() for leg in of_card]
    if as_json:
        sys.stdout.write(_json([_explained(leg) for leg in legs]))
    else:
        for leg in legs:
            console.print(_in_words(leg), highlight=False, soft_wrap=True)


def _taps_of(tariffs: tuple[FareTariff, ...], ride: Tap, start: str) -> list[Tap]:
    """One tap, or an entry and an exit of the same minute, as the mode has it."""
    if not any(isinstance(one.modes.get(ride.mode), EntryExit) for one in tariffs):
        return [ride]
    ends = (
        {"kind": TapKind.ENTRY, "station": start},
        {"kind": TapKind.EXIT, "station": ride.station, "id": "2"},
    )
    plain = {name: getattr(ride, name) for name in Tap.__slots__}
    return [Tap(**(plain | end)) for end in ends]


def _explained(leg: Priced) -> dict[str, object]:
    tap, by = leg.leg.pays, leg.leg.tariff
    return {
        "tap": tap.id,
        "card": tap.card,
        "at": tap.at.isoformat(),
        "leg": leg.leg.kind.value,
        "mode": tap.mode,
        "from": leg.leg.start,
        "to": leg.leg.end,
        "tariff": None if by is None else {"name": by.name, "version": by.version},
        "price_fen": leg.price_fen,
        "penalty_fen": leg.penalty_fen,
        "refusal": leg.refusal and leg.refusal.value,
        "steps": [{"rule": s.rule, "why": s.why, "after_fen": exact(s)} for s in leg.steps],
    }


def exact(step: Step) -> str:
    """A step's amount in fen as it is, such as `142.5`: products of shares have finitely many places."""
    after = step.after
    whole, rest = divmod(after.numerator, after.denominator)
    places = ""
    while rest:
        digit, rest = divmod(rest * 10, after.denominator)
        places += str(digit)
    return f"{whole}.{places}" if places else str(whole)


def _in_words(leg: Priced) -> str:
    tap, by = leg.leg.pays, leg.leg.tariff
    places = " – ".join(place for place in (leg.leg.start, leg.leg.end) if place)
    lines = [
        f"Card {tap.card}, {tap.at:%Y-%m-%d %H:%M}, {tap.mode} {leg.leg.kind.replace('_', ' ')} {places}".rstrip()
    ]
    if by is not None:
        lines.append(f"  by {by.name}, version {by.version}, as {tap.category}")
    lines += [f"  {step.rule}: {step.why} → {exact(step)} fen" for step in leg.steps]
    if leg.refusal:
        lines.append(f"  no price: {leg.refusal}; {REMEDIES[leg.refusal]}")
    else:
        lines.append(f"  pays {leg.price_fen} fen ({yuan(leg.price_fen)})")
    return "\n".join(lines)


def diff(old: TariffFile, new: TariffFile, as_json: AsJson = False) -> None:
    """Say what changes for riders from one tariff to another, field by field and by example journeys."""
    was, now = fares_in(old), fares_in(new)
    fields, journeys = changes(was, now), example_journeys(was, now)
    differing = [one for one in journeys if one.was != one.now]
    if as_json:
        shown = {"fields": [asdict(one) for one in fields], "journeys": [asdict(one) for one in differing]}
        sys.stdout.write(_json(shown | {"journeys_unchanged": len(journeys) - len(differing)}))
        return
    for one in fields[:SHOWN_CHANGES]:
        words = f"{one.field}: {_absent(one.was)} → {_absent(one.now)}"
        console.print(words, highlight=False, soft_wrap=True)
    if len(fields) > SHOWN_CHANGES:
        console.print(f"… and {len(fields) - SHOWN_CHANGES} more fields; --json has all")
    amounts = map(figure, ("was", "now", "change"))
    table = Listing(prose("journey"), *amounts, title="Example journeys that cost another amount, yuan")
    for journey in differing[:SHOWN_CHANGES]:
        table.add(journey.text, _amount(journey.was), _amount(journey.now), _difference(journey))
    console.print(table)
    console.print(
        f"{len(differing)} example journeys cost another amount, {len(journeys) - len(differing)} the same",
        highlight=False,
    )


def _absent(text: str | None) -> str:
    return "absent" if text is None else text


def _amount(cost: int | Unpriced) -> str:
    return cost.value if isinstance(cost, Unpriced) else yuan(cost)


def _difference(journey: ExampleJourney) -> str:
    if isinstance(journey.was, Unpriced) or isinstance(journey.now, Unpriced):
        return "–"
    change_fen = journey.now - journey.was
    return f"{'+' if change_fen > 0 else '−'}{yuan(abs(change_fen))}"


def write_schema() -> None:
    """Write the JSON schema of the tariff file."""
    sys.stdout.write(_json(schema()))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
