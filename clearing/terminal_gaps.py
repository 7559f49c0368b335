"""Taps that never came: the numbers that validators gave and nobody presented, asked for until they are too late."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Engine

from clearing.atomic_files import write_bytes
from clearing.columns import day_number
from clearing.context import Night, StepResult
from clearing.interop.centres import centre_codes
from clearing.open_gaps import Gap, Validator, gaps_in, open_gaps
from clearing.presented import presented_columns
from clearing.priced import PRICED, Priced
from clearing.terminal_book import known_of, run_rows, store
from clearing.terminal_numbers import Counted, Numbered, count
from clearing.verdict import Verdict
from ledger.db import reading

UNCOUNTED = (Verdict.MALFORMED, Verdict.DUPLICATE, Verdict.DEVICE_UNKNOWN, Verdict.DEVICE_WITHDRAWN)
"""Verdicts on taps that say nothing of the terminal they name."""


def count_terminals(engine: Engine, night: Night) -> StepResult:
    """Add the night's taps to what has come of each terminal, and ask each operator for what has not.

    Leaves `out/requests/OPERATOR.json` for every operator with numbers that are still wanted.
    """
    with reading(engine) as conn:
        # How another city's terminals number their taps is no affair of ours.
        validators, taps = _numbered(night, centre_codes(conn))
        known = known_of(conn, validators)
        others = [gap for gap in open_gaps(conn) if (gap.operator, gap.terminal) not in validators]
    found = count(taps, known, day_number(night.business_date))
    names = sorted(validators, key=validators.__getitem__)
    gaps = sorted([*others, *gaps_in(run_rows(names, found.known))], key=lambda gap: gap.order)
    wanted = [gap for gap in gaps if gap.wanted_until >= night.business_date]

    def write(conn: Connection) -> None:
        store(conn, names, known, found.known)

    return StepResult(_counts(found, gaps), tuple(_requests(night, wanted)), write)


def _counts(found: Counted, gaps: Sequence[Gap]) -> dict[str, int]:
    return {
        "gaps": len(gaps),
        "missing_taps": sum(gap.missing for gap in gaps),
        "missing_noticed": found.noticed,
        "missing_came": found.closed,
        "counters_restarted": found.restarted,
        "numbers_unplaced": found.unplaced,
    }


def _numbered(night: Night, abroad: Sequence[str]) -> tuple[dict[Validator, int], Numbered]:
    """Tonight's validators but those of the operators `abroad`, each with its place, and their taps."""
    names = ["operator", "terminal", "terminal_sequence", "at_s"]
    taps: Any = presented_columns(night, [*names, "no", "amount_fen"])
    priced: Any = Priced(night.work / PRICED, taps.num_rows).beside(taps)
    left_out: Any = pc.is_in(priced["verdict"], value_set=pa.array([one.value for one in UNCOUNTED]))
    if abroad:
        left_out = pc.or_(left_out, pc.is_in(taps["operator"], value_set=pa.array(abroad, pa.string())))
    # A terminal that does not number its taps says 0.
    counted: Any = pc.and_(pc.invert(left_out), pc.greater(taps["terminal_sequence"], pa.scalar(0)))
    taps, sure = taps.filter(counted), priced["tac_ok"].filter(counted)
    operators, terminals = (_coded(taps[name]) for name in ("operator", "terminal"))
    keys = operators.indices.to_numpy().astype(np.int64) * max(1, len(terminals.dictionary))
    keys += terminals.indices.to_numpy()
    distinct, place = np.unique(keys, return_inverse=True)
    pairs = [divmod(int(key), max(1, len(terminals.dictionary))) for key in distinct]
    validators = {
        (operators.dictionary[operator].as_py(), terminals.dictionary[terminal].as_py()): number
        for number, (operator, terminal) in enumerate(pairs)
    }
    number, at_s = (np.asarray(taps[name].to_numpy(), np.int64) for name in names[2:])
    signed = np.asarray(sure.to_numpy(), np.bool_)
    return validators, Numbered(place.astype(np.int64), number, at_s, signed)


def _coded(column: Any) -> Any:
    """A column of texts as places in a dictionary."""
    whole = column.combine_chunks()
    return whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()


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
