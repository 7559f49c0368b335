"""What is known of terminals' numbers, out of its tables and into them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
from sqlalchemy import Connection, Table, bindparam, delete, select

from clearing.columns import EPOCH, day_number
from clearing.facts import epoch_s
from clearing.gap_tables import terminal_life, terminal_run
from clearing.open_gaps import Row, Validator
from clearing.terminal_numbers import NEVER_S, NO_DAY, Ints, Known, Lives, Runs
from ledger.bulk import insert_rows, one_of


def known_of(conn: Connection, validators: Mapping[Validator, int]) -> Known:
    """What is known of these validators, each under its place."""
    lives: list[Row] = []
    runs: list[Row] = []
    for table, rows in ((terminal_life, lives), (terminal_run, runs)):
        query = select(table).where(one_of(conn, table.c.terminal, sorted({one for _, one in validators})))
        for operator, terminal, *rest in conn.execute(query):
            if (place := validators.get((operator, terminal))) is not None:
                rows.append((place, *rest))
    lives.sort()
    runs.sort(key=lambda row: row[:3])
    life_of = {row[:2]: number for number, row in enumerate(lives)}
    return Known(
        Lives(
            _ints(row[0] for row in lives),
            _ints(row[1] for row in lives),
            _ints(NEVER_S if row[2] is None else epoch_s(row[2]) for row in lives),
            _ints(epoch_s(row[3]) for row in lives),
            _ints(day_number(row[4]) for row in lives),
        ),
        Runs(
            _ints(life_of[row[:2]] for row in runs),
            _ints(row[2] for row in runs),
            _ints(row[3] for row in runs),
            _ints(NO_DAY if row[5] is None else day_number(row[5]) for row in runs),
        ),
    )


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)


def _life_rows(names: Sequence[Validator], known: Known) -> list[Row]:
    """Lives as rows of their table."""
    lives = known.lives
    columns = (lives.terminal, lives.number, lives.began_s, lives.last_s, lives.heard_day)
    return [
        (
            *names[place],
            number,
            None if began_s == NEVER_S else _instant(began_s),
            _instant(last_s),
            _day(heard),
        )
        for place, number, began_s, last_s, heard in zip(*(one.tolist() for one in columns), strict=True)
    ]


def run_rows(names: Sequence[Validator], known: Known) -> list[Row]:
    """Runs as rows of their table, by validator, life and number."""
    lives, runs = known.lives, known.runs
    columns = (
        lives.terminal[runs.life],
        lives.number[runs.life],
        runs.first,
        runs.last,
        runs.missing,
        runs.gap_day,
    )
    return [
        (
            *names[place],
            life,
            first,
            last,
            first - missing - 1 if missing else None,
            _day(gap_day) if missing else None,
        )
        for place, life, first, last, missing, gap_day in zip(*(one.tolist() for one in columns), strict=True)
    ]


def store(conn: Connection, names: Sequence[Validator], before: Known, after: Known) -> None:
    """Make what is known of these validators, in the order of their places, `after` where it was `before`."""
    _replace(conn, terminal_life, _life_rows(names, before), _life_rows(names, after))
    _replace(conn, terminal_run, run_rows(names, before), run_rows(names, after))


def _replace(conn: Connection, table: Table, before: Sequence[Row], after: Sequence[Row]) -> None:
    """Make the rows `after` of those `before`, touching only what differs."""
    gone, new = set(before) - set(after), set(after) - set(before)
    keys = [column.name for column in table.primary_key]
    places = [list(table.c.keys()).index(name) for name in keys]
    if gone:
        query = delete(table).where(*(table.c[name] == bindparam(f"its_{name}") for name in keys))
        conn.execute(
            query, [{f"its_{keys[n]}": row[place] for n, place in enumerate(places)} for row in gone]
        )
    insert_rows(conn, table, sorted(new, key=lambda row: row[:4]))


def _instant(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def _day(number: int) -> date:
    return EPOCH + timedelta(days=number)
