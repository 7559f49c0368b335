"""The examples that docs/fares.md works by hand, and the tariffs that they are for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import clearing.sectors.transit
from clearing.sectors.transit.fare_file import read_fares
from clearing.sectors.transit.fare_taps import Holding, Tap, TapKind
from clearing.sectors.transit.fare_tariff import FareTariff

ROOT = Path(__file__).resolve().parents[2]
FARES = Path(clearing.sectors.transit.__file__).parent / "fares"
ZONE = ZoneInfo("Asia/Shanghai")
AS_OF = datetime(2026, 12, 31, tzinfo=UTC)


def shipped(name: str) -> FareTariff:
    """A tariff that stands beside the rules."""
    return read_fares((FARES / f"{name}.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Examples:
    """One table of the document: its tariffs, taps, products bought, and what each tap pays (or why it does not)."""

    tariffs: tuple[FareTariff, ...]
    taps: tuple[Tap, ...]
    holdings: tuple[Holding, ...]
    pays: dict[str, str]


def worked_examples() -> Iterator[Examples]:
    """Every table of worked examples in the document."""
    text = (ROOT / "docs" / "fares.md").read_text(encoding="utf-8")
    for section in text.split("## Worked by hand")[1].split("\n## ")[0].split("\n### ")[1:]:
        tariffs = tuple(shipped(name) for name in re.findall(r"`([a-z-]+-\d)\.json`", section))
        rows = re.findall(r"^\| ([A-Z]) \| (.+) \|$", section, re.MULTILINE)
        taps, holdings, pays = [], [], {}
        for place, (card, rest) in enumerate(rows):
            at, tap, line, station, holder, listed, paid, _why = (cell.strip() for cell in rest.split("|"))
            moment = datetime.fromisoformat(at).replace(tzinfo=ZONE)
            if tap.startswith("buys "):
                holdings.append(Holding(card, tap.removeprefix("buys "), moment))
                continue
            mode, kind, *flags = tap.split()
            name = f"{card}{place:03d}"
            pays[name] = paid
            taps.append(
                Tap(
                    name, card, moment, TapKind(kind), mode, station, "OP", line, holder,
                    int(listed) if listed else None, "linked" in flags, "full-fare" in flags,
                )
            )  # fmt: skip
        yield Examples(tariffs, tuple(taps), tuple(holdings), pays)
