"""Taps whose money awaits a decision: listed with their age, and brought before every night again."""

from dataclasses import dataclass
from datetime import date
from itertools import groupby

import numpy as np
from sqlalchemy import ColumnElement, Connection, select

from clearing.columns import Presented
from clearing.tables import tap
from clearing.verdict import Money, Verdict


@dataclass(frozen=True, slots=True)
class SuspendedTap:
    """A tap in suspense, why, and for how many days since it was first presented."""

    operator: str
    sequence: int
    position: int
    card_no: str
    counter: int
    terminal: str
    amount_fen: int
    verdict: Verdict
    presented_on: date
    age_days: int


def suspended_taps(conn: Connection, business_date: date) -> list[SuspendedTap]:
    """All taps in suspense, oldest first; ages as of `business_date`."""
    query = (
        select(tap)
        .where(tap.c.money == Money.SUSPENDED.value)
        .order_by(tap.c.business_date, tap.c.operator, tap.c.sequence, tap.c.position)
    )
    return [
        SuspendedTap(
            row.operator,
            row.sequence,
            row.position,
            row.card_no,
            row.counter,
            row.terminal,
            row.amount_fen,
            Verdict(row.verdict),
            row.business_date,
            (business_date - row.business_date).days,
        )
        for row in conn.execute(query)
    ]


def awaits_judgement() -> ColumnElement[bool]:
    """The condition on `tap` that it comes before every night again.

    One that was routed does not: what becomes of it is its issuer's to say.
    """
    return (tap.c.money == Money.SUSPENDED.value) & (tap.c.verdict != Verdict.ROUTED.value)


def decided() -> ColumnElement[bool]:
    """The opposite: nights judge it no more."""
    return (tap.c.money != Money.SUSPENDED.value) | (tap.c.verdict == Verdict.ROUTED.value)


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
