"""What centres say of the taps that they were handed: their result files, taken in.

Accepted: `city:{centre}` to `clearing:{operator}`, in one entry a centre a night; refused: the tap is rejected with
the centre's own code. A line that fits no tap is kept, listed and tried again every night (`applying`).
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from card.hsm.errors import HsmError
from clearing.context import Night, StepRefused
from clearing.interop.centres import centre_codes
from clearing.interop.files import Kind, digests_of
from clearing.receipts import turned_away
from clearing.whole_files import Form, TakenWhole, WholeOutcome, clear_whole, collect_whole
from clearing.wire.interop import RESULT, ResultFile, read_results

RESULT_FILES: Final = Form("centres", read_results, RESULT.name)

ResultTaken = TakenWhole[ResultFile]
ResultOutcome = WholeOutcome[ResultFile]


def result_inbox(inbox: Path) -> Path:
    """The folder into which results come, fetched by the night or brought by hand."""
    return RESULT_FILES.inbox(inbox)


def collect_results(conn: Connection, night: Night) -> list[ResultOutcome]:
    """Keep every result file of the inbox, and say what becomes of it, by name.

    Raises StepRefused where the HSM cannot be asked; then nobody is told anything.
    """
    try:
        return collect_whole(RESULT_FILES, night, digests_of(conn, Kind.RESULT), centre_codes(conn))
    except HsmError as error:
        reason = f"MACs of results cannot be checked: {error}"
        raise StepRefused("route", reason, "restore the HSM, run again") from error


def clear_results(conn: Connection, night: Night) -> int:
    """Remove the files that a committed night has dealt with, and say how many; the archive keeps them."""
    held = set(digests_of(conn, Kind.RESULT).values())
    return clear_whole(RESULT_FILES, night.inbox, held, turned_away(conn))
