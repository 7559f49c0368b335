"""Handing other cities' taps over: one file a centre a night, of every routed tap that no file has had yet."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlalchemy import Connection, and_, or_, select

from clearing.context import Night
from clearing.interop.centres import centre_codes
from clearing.interop.files import Kind, Made, make_file, next_number, register_file
from clearing.interop.tables import SAME_TAP, centre_issuer, centre_tap
from clearing.tables import tap
from clearing.verdict import Money, Verdict
from ledger.bulk_columns import insert_columns


@dataclass(frozen=True, slots=True)
class Handed:
    """A file for a centre, and the rows of `centre_tap` that say which taps it has."""

    file: Made
    taps: pa.Table


def hand_over(conn: Connection, night: Night) -> list[Handed]:
    """Make the file of every centre that has taps to be handed over. Raises StepRefused as `make_file` does."""
    made = []
    for centre in centre_codes(conn):
        rows = _unhanded(conn, centre)
        if not rows:
            continue
        number = next_number(conn, centre, Kind.PRESENTED)
        operators, sequences, positions, amounts, records = zip(*rows, strict=True)
        file = make_file(night, Kind.PRESENTED, centre, number, b"".join(records))
        count = len(rows)
        taps = pa.table(
            {
                "operator": pa.array(operators, pa.string()),
                "sequence": pa.array(sequences, pa.int64()),
                "position": pa.array(positions, pa.int64()),
                "centre": pa.repeat(pa.scalar(centre, pa.string()), count),
                "number": pa.repeat(pa.scalar(number, pa.int64()), count),
                "place": pa.array(range(count), pa.int64()),
                "amount_fen": pa.array(amounts, pa.int64()),
            }
        )
        made.append(Handed(file, taps))
    return made


def keep_handed(conn: Connection, handed: Sequence[Handed], night: Night) -> None:
    """Write down which taps were handed over in which files."""
    for one in handed:
        register_file(conn, one.file.kind, one.file.header, one.file.digest, night.business_date)
        insert_columns(conn, centre_tap, [one.taps])


def _unhanded(conn: Connection, centre: str) -> list[tuple[str, int, int, int, bytes]]:
    """Routed taps that were never handed over, of cards that a centre answered for, in the order of presentment."""
    columns, issuer, handed = tap.c, centre_issuer.c, centre_tap.c
    query = (
        select(columns.operator, columns.sequence, columns.position, columns.amount_fen, columns.record)
        .join(
            centre_issuer,
            and_(
                issuer.issuer == columns.issuer,
                issuer.valid_from <= columns.event_at,
                or_(issuer.valid_until.is_(None), columns.event_at < issuer.valid_until),
            ),
        )
        .outerjoin(centre_tap, SAME_TAP)
        .where(
            columns.money == Money.SUSPENDED.value,
            columns.verdict == Verdict.ROUTED.value,
            issuer.centre == centre,
            handed.operator.is_(None),
        )
        .order_by(columns.operator, columns.sequence, columns.position)
    )
    return [tuple(row) for row in conn.execute(query)]
