"""What the results that lie in the inbox would come to tonight: judged as the night judges them, and not booked."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from sqlalchemy import Connection, select

from clearing.arrivals import Rejected
from clearing.context import Night
from clearing.interop.applying import PAID_FEN, Results
from clearing.interop.lines import Odd
from clearing.interop.routing import come_results, result_counts
from clearing.interop.tables import SAME_TAP, centre_tap
from clearing.interop.waiting import OddLine, RefusedTaps
from clearing.tables import tap
from clearing.wire.result_code import ResultCode
from ledger.bulk import one_of_numbers


@dataclass(frozen=True, slots=True)
class TriedResults:
    """What results would come to: `counts` as the night's, of them files that would be turned away, taps that centres
    refuse, and new lines that fit no tap.

    `owed_fen` is what operators would be owed more, by their ids, and centres less; `overcharged_fen` the difference.
    """

    counts: Mapping[str, int]
    turned_away: tuple[Rejected, ...]
    refused: tuple[RefusedTaps, ...]
    odd: tuple[OddLine, ...]
    owed_fen: Mapping[str, int]
    overcharged_fen: int


def try_results(conn: Connection, night: Night) -> TriedResults:
    """Judge every result file of `night.inbox`; answers and kept files go into the folders of `night` alone.

    Raises StepRefused where the HSM cannot be asked.
    """
    outcomes, results = come_results(conn, night)
    owed_fen = Counter[str]()
    refused, refused_fen = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for one in results:
        for answer in _answers(conn, one):
            if answer.code is ResultCode.ACCEPTED:
                owed_fen.update({answer.operator: answer.paid_fen, one.centre: -answer.amount_fen})
            else:
                key = answer.operator, one.centre, answer.code.name.lower()
                refused[key] += 1
                refused_fen[key] += answer.amount_fen
    return TriedResults(
        result_counts(outcomes, results),
        tuple(one for one in outcomes if isinstance(one, Rejected)),
        tuple(RefusedTaps(*key, refused[key], refused_fen[key]) for key in sorted(refused)),
        tuple(line for one in results for line in _new_odd(one, night.business_date)),
        owed_fen,
        -sum(owed_fen.values()),
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """A tap that a line answers: whose, the centre's word, what its card was charged, what its operator would get."""

    operator: str
    code: ResultCode
    amount_fen: int
    paid_fen: int


def _answers(conn: Connection, results: Results) -> Iterator[_Answer]:
    which = results.judged.answers
    numbers, places, codes = (
        column[which].tolist() for column in (results.lines.number, results.lines.place, results.lines.code)
    )
    columns, told = tap.c, centre_tap.c
    query = (
        select(told.number, told.place, columns.operator, columns.amount_fen, PAID_FEN)
        .join(centre_tap, SAME_TAP)
        .where(told.centre == results.centre, one_of_numbers(conn, told.number, sorted(set(numbers))))
    )
    known = {(number, place): rest for number, place, *rest in conn.execute(query)}
    for number, place, code in zip(numbers, places, codes, strict=True):
        operator, amount_fen, paid_fen = known[number, place]
        yield _Answer(operator, ResultCode(code), amount_fen, paid_fen)


def _new_odd(results: Results, found_on: date) -> Iterator[OddLine]:
    """Lines of new files that fit no tap, but not those that only say again what was said."""
    names, lines = tuple(Odd), results.lines
    odd = ~results.judged.answers & ~results.judged.again
    for at in np.flatnonzero(odd[results.known :]) + results.known:
        columns = (results.result, results.line, lines.number, lines.place, lines.amount_fen, lines.code)
        result, line, number, place, amount_fen, code = (int(column[at]) for column in columns)
        why = names[int(results.judged.odd[at])].value
        yield OddLine(results.centre, result, line, number, place, amount_fen, code, why, found_on)
