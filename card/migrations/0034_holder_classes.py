"""A card's class is a byte, from 1: what classes beyond the third are, the city's tariff says."""

from alembic import op
from sqlalchemy import column, func, select, text

revision = "0034_holder_classes"
down_revision = "0033_fare_holdings"
branch_labels = None
depends_on = None

TABLES = ("card", "card_batch")
NARROW, WIDE = "holder_class in (1, 2, 3)", "holder_class between 1 and 255"


def upgrade() -> None:
    """Let register and stock take every class that a chip and a tap's record have."""
    for table in TABLES:
        _change_check(table, NARROW, WIDE)


def downgrade() -> None:
    """Take the first three alone. Raises ValueError where there are cards of others."""
    for table in TABLES:
        highest = op.get_bind().scalar(select(func.max(column("holder_class"))).select_from(text(table)))
        if highest is not None and highest > 3:
            raise ValueError(
                f"{table} has cards of class {highest}; give them class 1 to 3 before going back"
            )
        _change_check(table, WIDE, NARROW)


def _change_check(table: str, old: str, new: str) -> None:
    name = f"ck_{table}_holder_class_is_known"
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({new})")
        return
    # SQLite cannot change a check. To copy a table would drop the one that others refer to, so its text is changed
    # where SQLite keeps it (https://sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes").
    conn = op.get_bind()
    version = conn.exec_driver_sql("PRAGMA schema_version").scalar_one()
    conn.exec_driver_sql("PRAGMA writable_schema=ON")
    changed = conn.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = ? AND instr(sql, ?) > 0",
        (old, new, table, old),
    )
    conn.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    conn.exec_driver_sql("PRAGMA writable_schema=OFF")
    if changed.rowcount != 1:
        raise ValueError(f"{table} has no check {old!r}; is this database one of ours?")
