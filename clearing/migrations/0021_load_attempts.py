"""What the load office let go to which offer of a card, so that any counter can finish or return a load."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Instant

revision = "0021_load_attempts"
down_revision = "0018_archive"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, append-only, and the column for proofs by a later counter."""
    op.add_column("chip_load", sa.Column("later_counter", sa.Integer))
    op.create_table(
        "load_attempt",
        sa.Column("reference", sa.String(64), sa.ForeignKey("chip_load.reference"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("card_no", sa.String(20), nullable=False),
        sa.Column("load_counter", sa.Integer, nullable=False),
        sa.Column("balance_fen", Fen, nullable=False),
        sa.Column("terminal", sa.String(12), nullable=False),
        sa.Column("moment", sa.LargeBinary(7), nullable=False),
        sa.Column("authorised_at", Instant, nullable=False),
        sa.CheckConstraint("number > 0", name="number_is_positive"),
        sa.CheckConstraint("balance_fen >= 0", name="balance_is_not_negative"),
    )
    op.create_index("ix_load_attempt_card_no", "load_attempt", ["card_no", "load_counter"])
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER load_attempt_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON load_attempt"
            " FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER load_attempt_no_{change.lower()} BEFORE {change} ON load_attempt"
            " BEGIN SELECT RAISE(ABORT, 'load_attempt is append-only'); END"
        )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("load_attempt")
    op.drop_column("chip_load", "later_counter")
