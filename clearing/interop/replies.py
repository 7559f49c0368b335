"""Our answers to what centres presented: one file a centre a night, of every tap of theirs that was decided."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, case, select

from clearing.context import Night
from clearing.fixed_rows import Field, fixed_rows
from clearing.interop.centres import centre_codes
from clearing.interop.codes import CODES
from clearing.interop.files import Kind, Made, make_file, next_number, register_file
from clearing.tables import tap
from clearing.verdict import Money
from clearing.wire.interop import RESULT_DTYPE
from clearing.wire.result_code import ResultCode


def reply(conn: Connection, night: Night) -> list[Made]:
    """Make the answers to every centre of whose taps this night decided some. Raises StepRefused as `make_file`."""
    made = []
    for centre in centre_codes(conn):
        rows = _decided(conn, centre, night)
        if len(rows):
            number = next_number(conn, centre, Kind.ANSWER)
            made.append(make_file(night, Kind.ANSWER, centre, number, rows.tobytes()))
    return made


def keep_replies(conn: Connection, made: Sequence[Made], night: Night) -> None:
    """Write down the files of answers."""
    for one in made:
        register_file(conn, one.kind, one.header, one.digest, night.business_date)


def _decided(conn: Connection, centre: str, night: Night) -> np.ndarray:
    """A centre's taps that this night decided, by file and place, as rows of RESULT_DTYPE."""
    columns = tap.c
    code = case(
        (columns.money == Money.PAID.value, int(ResultCode.ACCEPTED)),
        *((columns.verdict == verdict.value, int(own)) for verdict, own in CODES.items()),
    )
    query = (
        select(tap)
        .where(
            columns.operator == centre,
            columns.decided_on == night.business_date,
            columns.money != Money.SUSPENDED.value,
        )
        .order_by(columns.sequence, columns.position)
    )
    fields = (columns.sequence, columns.position, columns.amount_fen, code)
    found = fixed_rows(conn, query, *(Field(field) for field in fields))
    rows = np.zeros(len(found[0]), RESULT_DTYPE)
    for name, values in zip(("number", "place", "amount_fen", "code"), found, strict=True):
        rows[name] = values
    return rows
