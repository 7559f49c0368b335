"""Validators' own numbers: the lives of their counters, the runs of numbers that have come, what is explained."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Id, Instant

revision = "0030_terminal_gaps"
down_revision = "0022_card_office"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "terminal_life",
        sa.Column("operator", sa.String(8), primary_key=True),
        sa.Column("terminal", sa.String(12), primary_key=True),
        sa.Column("life", sa.Integer, primary_key=True),
        sa.Column("began_at", Instant),
        sa.Column("last_at", Instant, nullable=False),
        sa.Column("heard_on", sa.Date, nullable=False),
        sa.CheckConstraint("life >= 1", name="lives_are_counted_from_one"),
        sa.CheckConstraint("(life = 1) = (began_at is null)", name="later_lives_have_a_beginning"),
    )
    op.create_table(
        "terminal_run",
        sa.Column("operator", sa.String(8), primary_key=True),
        sa.Column("terminal", sa.String(12), primary_key=True),
        sa.Column("life", sa.Integer, primary_key=True),
        sa.Column("first_no", Id, primary_key=True),
        sa.Column("last_no", Id, nullable=False),
        sa.Column("after_no", Id),
        sa.Column("gap_since", sa.Date),
        sa.CheckConstraint("first_no <= last_no", name="run_is_not_empty"),
        sa.CheckConstraint("(after_no is null) = (gap_since is null)", name="gap_is_whole"),
        sa.CheckConstraint("after_no is null or after_no < first_no - 1", name="gap_is_not_empty"),
    )
    with_gap = sa.text("gap_since IS NOT NULL")
    op.create_index(
        "ix_terminal_run_gap", "terminal_run", ["gap_since"], sqlite_where=with_gap, postgresql_where=with_gap
    )
    op.create_table(
        "terminal_explained",
        sa.Column("id", Id, primary_key=True),
        sa.Column("operator", sa.String(8), nullable=False),
        sa.Column("terminal", sa.String(12), nullable=False),
        sa.Column("first_no", Id, nullable=False),
        sa.Column("last_no", Id, nullable=False),
        sa.Column("missing", Id, nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.CheckConstraint("missing > 0", name="something_was_missing"),
    )
    op.create_index("ix_terminal_explained_terminal", "terminal_explained", ["operator", "terminal"])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("terminal_explained")
    op.drop_table("terminal_run")
    op.drop_table("terminal_life")
