"""Partitions of the lines by month on PostgreSQL, made ahead of time; SQLite keeps them in one table."""

from datetime import date
from typing import Final

from sqlalchemy import Connection, text

from ledger.ids import month_bounds, next_month

MONTHS_AHEAD: Final = 2
"""How many months after that of a new day have their place already."""


def partition_of(month: date) -> str:
    """The name of the table that has the lines of the month a date lies in."""
    return f"ledger_line_{month:%Y%m}"


def make_partitions(conn: Connection, business_date: date) -> None:
    """Make the places for the lines of a date's month and of the next ones, where they are not there yet."""
    if conn.dialect.name != "postgresql":
        return
    month = business_date.replace(day=1)
    for _ in range(1 + MONTHS_AHEAD):
        name = partition_of(month)
        if conn.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar_one() is None:
            _make(conn, name, *month_bounds(month))
        month = next_month(month)


def _make(conn: Connection, name: str, start: int, end: int) -> None:
    """Make a table like the lines and attach it, which lets others read and write meanwhile."""
    conn.execute(text(f"CREATE TABLE {name} (LIKE ledger_line INCLUDING ALL)"))
    # The guards of the lines do not fire for who names the partition itself.
    conn.execute(
        text(
            f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name}"
            " FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        )
    )
    conn.execute(
        text(
            f"CREATE TRIGGER {name}_line_belongs AFTER INSERT ON {name}"
            " REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_line_belongs()"
        )
    )
    conn.execute(
        text(f"ALTER TABLE ledger_line ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})")
    )
