"""`onecard tariff what-if`: a cleared day, or a file of taps, priced by another tariff."""

import json
import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from api.doors import Refused, books, console
from api.listings import Listing, figure
from api.tariff_files import AsJson, bytes_of, fares_in, flawed
from clearing.sectors.transit.card_fares import price_cards
from clearing.sectors.transit.fare_file import TariffFlawed
from clearing.sectors.transit.fare_taps import REMEDIES
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.sectors.transit.late_taps import prices_fen
from clearing.sectors.transit.taps_file import ChargedTap, read_taps
from clearing.sectors.transit.what_if import Sum, WhatIf, cleared_day, day_end, what_if
from clearing.wording import taps_in_words
from ledger.db import reading
from ledger.money import yuan


def what_if_day(
    files: Annotated[
        list[Path], typer.Option("--tariff", help="the fare tariff to price by; may be given again")
    ],
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="a cleared business date")
    ] = None,
    taps: Annotated[Path | None, typer.Option(help="or a CSV of taps (docs/formats/tariff.md)")] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="compare with this tariff, not with what was paid")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Price a day's taps by another tariff: totals by operator and holder category, winners and losers.

    The tariff counts as in force on whatever day the taps are of: it is asked what it would ask.
    """
    tariffs = tuple(fares_in(path) for path in files)
    if len(tariffs) == 1:
        tariffs = (tariffs[0].always(),)
    charged, as_of = _taps(tariffs[0], day, taps)
    if baseline:
        base = fares_in(baseline).always()
        paid_fen = prices_fen(price_cards((base,), [one.tap for one in charged], (), as_of))
        charged = [ChargedTap(one.tap, paid_fen.get(one.tap.id, 0)) for one in charged]
    elif all(one.paid_fen is None for one in charged):
        raise Refused(
            f"{taps} does not say what was paid; add the column paid_fen, or give --baseline TARIFF"
        )
    answer = what_if(tariffs, charged, as_of)
    if as_json:
        sys.stdout.write(json.dumps(asdict(answer), ensure_ascii=False, indent=1) + "\n")
    else:
        _show(answer)


def _taps(tariff: FareTariff, day: datetime | None, taps: Path | None) -> tuple[list[ChargedTap], datetime]:
    if (day is None) == (taps is None):
        raise Refused("give either --day of a cleared business date, or --taps FILE")
    if taps is not None:
        try:
            charged = read_taps(bytes_of(taps), ZoneInfo(tariff.zone))
        except TariffFlawed as error:
            raise flawed(taps, error.flaws) from error
        return charged, max(one.tap.at for one in charged) + timedelta(days=1)
    assert day is not None
    with books() as engine, reading(engine) as conn:
        charged = cleared_day(conn, day.date(), tariff)
    if not charged:
        raise Refused(f"--day {day.date()}: no tap was paid on it; give a business date whose night has run")
    return charged, day_end(day.date())


def _show(answer: WhatIf) -> None:
    for title, sums in (("operator", answer.by_operator), ("holder category", answer.by_category)):
        figures = map(figure, ("taps", "was", "would be", "change"))
        table = Listing(title, *figures, title=f"By {title}, yuan")
        for name, one in sums.items():
            table.add(name or "–", str(one.taps), *_cells(one))
        table.add("all", str(answer.total.taps), *_cells(answer.total))
        console.print(table)
    console.print(
        f"{answer.winners} cards would pay less, {answer.losers} more, {answer.same} the same",
        highlight=False,
    )
    for card, was_fen, would_fen in answer.most_changed:
        console.print(f"  card {card}: {yuan(was_fen)} → {yuan(would_fen)}", highlight=False)
    for refusal, count in answer.unpriced.items():
        words = (
            f"without a price ({refusal}), and counted as paid: {taps_in_words(count)}; {REMEDIES[refusal]}"
        )
        console.print(words, highlight=False, soft_wrap=True)


def _cells(one: Sum) -> tuple[str, str, str]:
    change_fen = one.would_fen - one.was_fen
    sign = "+" if change_fen > 0 else "−" if change_fen < 0 else ""
    return yuan(one.was_fen), yuan(one.would_fen), sign + yuan(abs(change_fen))
