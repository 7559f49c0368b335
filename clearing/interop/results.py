"""What centres say of the taps that they were handed: result files taken in, lines judged, money moved.

Accepted: `city:{centre}` to `clearing:{operator}`, in one entry a centre a night; refused: the tap is rejected with
the centre's own code. A line that fits no tap is kept, listed and tried again every night.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from clearing.archive import keep
from clearing.arrivals import Arrival, Rejected, Repeated, Sealed, refusal_of
from clearing.context import Night, StepRefused
from clearing.intake import pending_files
from clearing.interop.centres import centre_codes
from clearing.interop.files import Kind, digests_of
from clearing.receipts import receipt_for, write_answer
from clearing.wire.batch import BatchError
from clearing.wire.interop import RESULT, ResultFile, read_results

RESULT_FOLDER: Final = "centres"
"""Below the inbox: where results lie until the night takes them, and their acknowledgements in `acks`."""


@dataclass(frozen=True, slots=True)
class ResultTaken:
    """A file taken as results."""

    arrival: Arrival
    file: ResultFile


ResultOutcome = ResultTaken | Repeated | Rejected


def result_inbox(inbox: Path) -> Path:
    """The folder into which results come, fetched by the night or brought by hand."""
    return inbox / RESULT_FOLDER


def collect_results(conn: Connection, night: Night) -> list[ResultOutcome]:
    """Keep every result file of the inbox, and say what becomes of it, by name.

    Raises StepRefused where the HSM cannot be asked; then nobody is told anything.
    """
    arrivals = []
    for path in pending_files(result_inbox(night.inbox)):
        content = path.read_bytes()
        arrivals.append((Arrival(path.name, keep(night.archive, content)), content))
    try:
        outcomes = decide_results(arrivals, digests_of(conn, Kind.RESULT), centre_codes(conn), night.hsm)
    except HsmError as error:
        reason = f"MACs of results cannot be checked: {error}"
        raise StepRefused("route", reason, "restore the HSM, run again") from error
    for outcome in outcomes:
        name = f"{outcome.arrival.name}.ack"
        write_answer(result_inbox(night.inbox) / "acks" / name, receipt_for(outcome.arrival, outcome))
    return outcomes


def decide_results(
    arrivals: Sequence[tuple[Arrival, bytes]],
    held: Mapping[tuple[str, int], str],
    centres: Sequence[str],
    hsm: Hsm,
) -> list[ResultOutcome]:
    """What becomes of each file, in the order of names; `held` are the digests taken before.

    Copies of a file that is taken are repetitions; other content under its number is turned away.
    """
    digests = dict(held)
    judged: list[ResultOutcome] = []
    for arrival, content in arrivals:
        outcome = _judge(arrival, content, digests, centres, hsm)
        if isinstance(outcome, ResultTaken):
            digests[outcome.file.header.operator, outcome.file.header.sequence] = arrival.digest
        judged.append(outcome)
    taken = set(digests.values())
    return [
        outcome
        if isinstance(outcome, ResultTaken) or outcome.arrival.digest not in taken
        else Repeated(outcome.arrival)
        for outcome in judged
    ]


def _judge(
    arrival: Arrival,
    content: bytes,
    digests: Mapping[tuple[str, int], str],
    centres: Sequence[str],
    hsm: Hsm,
) -> ResultOutcome:
    if arrival.digest in digests.values():
        return Repeated(arrival)
    try:
        file = read_results(content)
    except BatchError as error:
        return Rejected(arrival, error.flaw.value, error.offset, str(error), error.remedy)
    sealed = Sealed(file.header, file.digest, file.mac, len(content) - 28, RESULT.name)
    return refusal_of(arrival, sealed, digests, centres, hsm) or ResultTaken(arrival, file)


def clear_results(conn: Connection, night: Night, away: set[tuple[str, str]]) -> int:
    """Remove the files that a committed night has dealt with, and say how many; the archive keeps them."""
    held = set(digests_of(conn, Kind.RESULT).values())
    removed = 0
    for path in pending_files(result_inbox(night.inbox)):
        digest = sha256(path.read_bytes()).hexdigest()
        if digest in held or (path.name, digest) in away:
            path.unlink()
            removed += 1
    return removed
