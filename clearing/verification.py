"""Asking the HSM about the TAC of every tap, in bulk."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Engine

from card.hsm.columns import TacColumns
from card.hsm.errors import HsmError
from clearing.columns import rows_of, rows_where, truths
from clearing.context import Night, StepRefused, StepResult
from clearing.intake import TAPS, clear_inbox
from clearing.workfiles import read_table, write_table

TACS = "tac.parquet"


def verify(engine: Engine, night: Night) -> StepResult:
    """Write down for every readable tap whether its TAC verifies.

    Raises StepRefused where the HSM cannot be asked.
    """
    # What `collect` has committed is certain to be held, so the inbox need not keep it.
    clear_inbox(engine, night)
    taps = read_table(night.work / TAPS)
    readable = ~truths(taps, "malformed")
    rows = rows_of(taps)[readable]
    night.progress("TACs", 0, len(rows))
    try:
        right = night.hsm.verify_tacs(tac_columns(rows)) if len(rows) else np.zeros(0, np.bool_)
    except HsmError as error:
        raise StepRefused(
            "verify", f"TACs cannot be checked: {error}", "restore the HSM, run again"
        ) from error
    night.progress("TACs", len(rows), len(rows))
    table = pa.table({"no": rows_where(taps, readable).column("no"), "tac_ok": pa.array(right)})
    counts = {"taps": len(rows), "right": int(right.sum()), "wrong": int((~right).sum())}
    return StepResult(counts, (write_table(night.work / TACS, table),))


def tac_columns(rows: npt.NDArray[np.void]) -> TacColumns:
    """Rows of RECORD_DTYPE as the columns that the HSM verifies (docs/formats/hsm.md, F0)."""
    issuer = np.full((len(rows), 8), 0xFF, np.uint8)
    issuer[:, :4] = rows["issuer"]
    return TacColumns(
        version=_bytes(rows["key_version"]),
        algorithm=_bytes(rows["algorithm"]),
        issuer=issuer,
        card=np.ascontiguousarray(rows["card_no"][:, 2:]),
        amount=_bytes(rows["amount_fen"]),
        kind=_bytes(rows["kind"]),
        terminal=np.ascontiguousarray(rows["terminal"]),
        terminal_sequence=_bytes(rows["terminal_sequence"]),
        date=np.ascontiguousarray(rows["moment"][:, :4]),
        time=np.ascontiguousarray(rows["moment"][:, 4:]),
        tac=np.ascontiguousarray(rows["tac"]),
    )


def _bytes(numbers: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.uint8]:
    """Numbers as rows of bytes, big-endian whatever order they came in."""
    width = numbers.dtype.itemsize
    return numbers.astype(f">u{width}").view(np.uint8).reshape(len(numbers), width)
