"""Archived months: which files have their lines, signed."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Id, Instant

revision = "0018_archive"
down_revision = "0017_audit_views"


def upgrade() -> None:
    op.create_table(
        "ledger_archive",
        sa.Column("month", sa.Date, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("rows", Id, nullable=False),
        sa.Column("key_version", sa.Integer, nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
        sa.Column("archived_at", Instant, nullable=False),
        sa.UniqueConstraint("name"),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER ledger_archive_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_archive"
            " FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER ledger_archive_no_{change.lower()} BEFORE {change} ON ledger_archive"
            " BEGIN SELECT RAISE(ABORT, 'ledger_archive is append-only'); END"
        )


def downgrade() -> None:
    op.drop_table("ledger_archive")
