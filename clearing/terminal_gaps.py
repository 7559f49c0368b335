"""Taps that never came: the numbers that validators gave and nobody presented, asked for until they are too late."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from clearing.atomic_files import write_bytes
from clearing.columns import day_number
from clearing.context import Night, StepResult
from clearing.interop.centres import centre_codes
from clearing.open_gaps import Gap, Validator, gaps_in, open_gaps
from clearing.terminal_book import known_of, run_rows, store
from clearing.terminal_numbers import Counted, Known, count
from clearing.terminal_parts import numbered_parts
from ledger.db import reading


class _Part(NamedTuple):
    """Some of tonight's validators: what was known of their numbers, and what is after the night."""

    names: Sequence[Validator]
    known: Known
    found: Counted


def count_terminals(engine: Engine, night: Night) -> StepResult:
    """Add the night's taps to what has come of each terminal, and ask each operator for what has not.

    Leaves `out/requests/OPERATOR.json` for every operator with numbers that are still wanted.
    """
    with reading(engine) as conn:
        parts = list(_parts(conn, night))
        heard = {name for part in parts for name in part.names}
        others = [gap for gap in open_gaps(conn) if (gap.operator, gap.terminal) not in heard]
    found = [gap for part in parts for gap in gaps_in(run_rows(part.names, part.found.known))]
    gaps = sorted([*others, *found], key=lambda gap: gap.order)
    wanted = [gap for gap in gaps if gap.wanted_until >= night.business_date]

    def write(conn: Connection) -> None:
        for part in parts:
            store(conn, part.names, part.known, part.found.known)

    return StepResult(_counts([part.found for part in parts], gaps), tuple(_requests(night, wanted)), write)


def _parts(conn: Connection, night: Night) -> Iterator[_Part]:
    day = day_number(night.business_date)
    # How another city's terminals number their taps is no affair of ours.
    for names, taps in numbered_parts(night, centre_codes(conn)):
        known = known_of(conn, {name: place for place, name in enumerate(names)})
        yield _Part(names, known, count(taps, known, day))


def _counts(found: Sequence[Counted], gaps: Sequence[Gap]) -> dict[str, int]:
    return {
        "gaps": len(gaps),
        "missing_taps": sum(gap.missing for gap in gaps),
        "missing_noticed": sum(one.noticed for one in found),
        "missing_came": sum(one.closed for one in found),
        "counters_restarted": sum(one.restarted for one in found),
        "numbers_unplaced": sum(one.unplaced for one in found),
    }


def _requests(night: Night, wanted: Sequence[Gap]) -> Iterator[Any]:
    for operator, gaps in groupby(wanted, key=lambda gap: gap.operator):
        asked = {
            "operator": operator,
            "business_date": night.business_date.isoformat(),
            "terminals": [
                {
                    "terminal": gap.terminal,
                    "first": gap.first,
                    "last": gap.last,
                    "missing": gap.missing,
                    "noticed_on": gap.since.isoformat(),
                    "age_days": (night.business_date - gap.since).days,
                    "wanted_until": gap.wanted_until.isoformat(),
                }
                for gap in gaps
            ],
        }
        path = night.folder / "out" / "requests" / f"{operator}.json"
        yield write_bytes(path, json.dumps(asked, indent=1).encode() + b"\n")
