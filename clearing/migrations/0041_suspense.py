"""Taps in suspense can be decided by two people: what was proposed of which, and what was said to it."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0041_suspense"
down_revision = "0040_interop"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "suspense_proposal",
        sa.Column("number", Id, primary_key=True, autoincrement=False),
        sa.Column("decision", sa.String(6), nullable=False),
        sa.Column("reason", sa.String(150), nullable=False),
        sa.Column("proposed_by", sa.String(64), nullable=False),
        sa.Column("proposed_at", Instant, nullable=False),
        sa.Column("state", sa.String(11), nullable=False),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("decided_at", Instant),
        sa.Column("decided_why", sa.String(500)),
        sa.Column("business_date", sa.Date),
        sa.CheckConstraint("decision in ('pay', 'reject')", name="decision_is_known"),
        sa.CheckConstraint("state in ('proposed', 'approved', 'turned_down', 'void')", name="state_is_known"),
        sa.CheckConstraint(
            "(state = 'proposed') = (decided_by is null) and (decided_by is null) = (decided_at is null)"
            " and (decided_by is null) = (decided_why is null)",
            name="decision_is_whole",
        ),
        sa.CheckConstraint(
            "(state = 'approved') = (business_date is not null)", name="approved_is_carried_out"
        ),
        sa.CheckConstraint("decided_by is null or decided_by <> proposed_by", name="two_people_decide"),
    )
    op.create_table(
        "suspense_item",
        sa.Column("proposal", Id, sa.ForeignKey("suspense_proposal.number"), primary_key=True),
        sa.Column("operator", sa.String(8), primary_key=True),
        sa.Column("sequence", Id, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("verdict", sa.String(24), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("paid_fen", Fen, nullable=False),
        sa.ForeignKeyConstraint(
            ["operator", "sequence", "position"], ["tap.operator", "tap.sequence", "tap.position"]
        ),
        sa.CheckConstraint("paid_fen >= 0 and paid_fen <= amount_fen", name="paid_is_within_amount"),
    )
    op.create_index("ix_suspense_item_tap", "suspense_item", ["operator", "sequence", "position"])


def downgrade() -> None:
    """Take them away; taps that were decided stay decided."""
    op.drop_table("suspense_item")
    op.drop_table("suspense_proposal")
