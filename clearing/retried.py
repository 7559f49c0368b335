"""Taps in suspense as they come before a night again."""

from itertools import groupby

import numpy as np
from sqlalchemy import Connection, select

from clearing.columns import Presented
from clearing.suspense import awaits_judgement
from clearing.tables import tap


def retried_taps(conn: Connection) -> list[Presented]:
    """The records that are judged again by what is known now, grouped by the batch they came in."""
    columns = tap.c
    query = (
        select(columns.operator, columns.sequence, columns.business_date, columns.position, columns.record)
        .where(awaits_judgement())
        .order_by(columns.operator, columns.sequence, columns.position)
    )
    groups = []
    for (operator, sequence, presented_on), rows in groupby(conn.execute(query), key=lambda row: row[:3]):
        held = list(rows)
        positions = np.array([row.position for row in held], np.int64)
        records = b"".join(row.record for row in held)
        groups.append(Presented(operator, sequence, presented_on, True, positions, records))
    return groups
