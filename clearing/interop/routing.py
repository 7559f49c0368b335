"""The night's step between cities: what centres said is booked, what is theirs to say is handed over, what they
presented is answered."""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine

from clearing.arrivals import Rejected
from clearing.atomic_files import write_bytes
from clearing.context import Night, StepResult
from clearing.interop.applying import Results, apply_results, judge_results
from clearing.interop.centres import centre_codes
from clearing.interop.files import Kind, Made, register_file
from clearing.interop.presenting import hand_over, keep_handed
from clearing.interop.replies import keep_replies, reply
from clearing.interop.results import ResultOutcome, collect_results
from clearing.receipts import keep_turned_away, receipt_for
from clearing.whole_files import TakenWhole
from ledger.db import reading


def route(engine: Engine, night: Night) -> StepResult:
    """Take the results that have come, hand over what was routed, and answer what was presented, in one transaction.

    Leaves the files for centres in `out/centres`. Writing refuses with StepRefused where the ledger does.
    """
    with reading(engine) as conn:
        outcomes, results = come_results(conn, night)
        handed, replies = hand_over(conn, night), reply(conn, night)

    def write(conn: Connection) -> None:
        for one in outcomes:
            if isinstance(one, TakenWhole):
                register_file(conn, Kind.RESULT, one.file.header, one.arrival.digest, night.business_date)
        away = [receipt_for(one.arrival, one) for one in outcomes if isinstance(one, Rejected)]
        keep_turned_away(conn, away, night.business_date)
        for of_centre in results:
            apply_results(conn, engine, night, of_centre)
        keep_handed(conn, handed, night)
        keep_replies(conn, replies, night)

    folder = night.folder / "out" / "centres"
    files = [write_bytes(folder / one.name, one.content) for one in (*(of.file for of in handed), *replies)]
    counts = result_counts(outcomes, results) | _file_counts([one.file for one in handed], replies)
    return StepResult(counts, tuple(files), write)


def come_results(conn: Connection, night: Night) -> tuple[list[ResultOutcome], list[Results]]:
    """What becomes of every result file of the inbox, and of every centre's lines, old odd ones among them.

    Raises StepRefused where the HSM cannot be asked.
    """
    outcomes = collect_results(conn, night)
    taken = [one for one in outcomes if isinstance(one, TakenWhole)]
    results = [
        judge_results(conn, centre, [one for one in taken if one.file.header.operator == centre])
        for centre in centre_codes(conn)
    ]
    return outcomes, results


def result_counts(outcomes: Sequence[ResultOutcome], results: Sequence[Results]) -> dict[str, int]:
    """Files and lines by what becomes of them."""
    answered = sum(int(one.judged.answers.sum()) for one in results)
    accepted = sum(int(one.accepted.sum()) for one in results)
    return {
        "results": sum(isinstance(one, TakenWhole) for one in outcomes),
        "results_rejected": sum(isinstance(one, Rejected) for one in outcomes),
        "taps_accepted": accepted,
        "taps_refused": answered - accepted,
        "accepted_fen": sum(int(one.lines.amount_fen[one.accepted].sum()) for one in results),
        "lines_odd": sum(int((~one.judged.answers & ~one.judged.again).sum()) for one in results),
    }


def _file_counts(handed: Sequence[Made], replies: Sequence[Made]) -> dict[str, int]:
    return {
        "files_presented": len(handed),
        "taps_presented": sum(one.header.count for one in handed),
        "presented_fen": sum(one.header.amount_fen for one in handed),
        "taps_replied_to": sum(one.header.count for one in replies),
    }
