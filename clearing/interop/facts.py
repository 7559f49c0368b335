"""What the night's rules know of centres: whose files are another city's, and who answers for which issuer's cards."""

from datetime import datetime

import pyarrow as pa
from sqlalchemy import Connection

from clearing.facts import FOR_EVER, epoch_s
from clearing.interop.centres import answers_of, centres_of

_NUMBER: pa.DataType = pa.int64()
CENTRES = pa.schema(
    [("operator", pa.string()), ("from_s", _NUMBER), ("until_s", _NUMBER), ("limit_fen", _NUMBER)]
)
ISSUERS = pa.schema([("issuer_no", _NUMBER), ("from_s", _NUMBER), ("until_s", _NUMBER)])


def centre_facts(conn: Connection) -> dict[str, pa.Table]:
    """The tables `centre`, by the name that it presents under, and `centre_issuer`; periods in seconds."""
    centres = [
        {"operator": one.code, "limit_fen": one.max_amount_fen} | _period(one.valid_from, one.valid_until)
        for one in centres_of(conn).values()
    ]
    issuers = [
        {"issuer_no": int(one.issuer, 16)} | _period(one.valid_from, one.valid_until)
        for one in answers_of(conn)
    ]
    return {
        "centre": pa.Table.from_pylist(centres, CENTRES),
        "centre_issuer": pa.Table.from_pylist(issuers, ISSUERS),
    }


def _period(valid_from: datetime, valid_until: datetime | None) -> dict[str, int]:
    return {
        "from_s": epoch_s(valid_from),
        "until_s": FOR_EVER if valid_until is None else epoch_s(valid_until),
    }
