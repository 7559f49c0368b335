"""TACs of the international suite, one after another: what verifies the few rows of a small file.

NumPy's lanes take some fifty milliseconds however few rows there are, in which OpenSSL makes two thousand TACs.
"""

from collections.abc import Mapping

import numpy as np

from hsm_sim.bulk import Bytes, RowNumbers, TacColumns, Verdicts
from hsm_sim.epurse import tac


def verify_singly(rows: int, cells: Bytes, chosen: RowNumbers, roots: Mapping[int, bytes]) -> Verdicts:
    """A verifier of rows of DES (see `Verifier`)."""
    columns = TacColumns.unpack(rows, cells).rows(chosen)
    values = (columns.version, columns.issuer, columns.card, columns.message(), columns.tac)
    verdicts = [
        tac(roots[version[0]], issuer, card, message) == given
        for version, issuer, card, message, given in zip(*map(_rows, values), strict=True)
    ]
    return np.array(verdicts, np.bool_)


def _rows(column: Bytes) -> list[bytes]:
    """Each row of a column as bytes."""
    return [row.tobytes() for row in column]
