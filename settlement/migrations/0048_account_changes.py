"""Changes of participants' bank accounts, each proposed by one person and decided by another."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Instant

revision = "0048_account_changes"
down_revision = "0044_bank"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; a participant has at most one change that waits."""
    op.create_table(
        "settlement_account_change",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("participant", sa.String(16), sa.ForeignKey("settlement_participant.id"), nullable=False),
        sa.Column("was_account_no", sa.String(34), nullable=False),
        sa.Column("was_bank_code", sa.String(12), nullable=False),
        sa.Column("was_bank_name", sa.String(140), nullable=False),
        sa.Column("to_account_no", sa.String(34), nullable=False),
        sa.Column("to_bank_code", sa.String(12), nullable=False),
        sa.Column("to_bank_name", sa.String(140), nullable=False),
        sa.Column("state", sa.String(11), nullable=False),
        sa.Column("proposed_by", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("proposed_at", Instant, nullable=False),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("decided_at", Instant),
        sa.Column("decided_why", sa.String(500)),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'turned_down', 'void', 'withdrawn')", name="state_is_known"
        ),
        sa.CheckConstraint(
            "(state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)"
            " AND (decided_by IS NULL) = (decided_why IS NULL)",
            name="decision_is_whole",
        ),
        sa.CheckConstraint(
            "decided_by IS NULL OR (decided_by = proposed_by) = (state = 'withdrawn')",
            name="two_people_decide",
        ),
        sa.CheckConstraint("reason <> '' AND proposed_by <> ''", name="somebody_says_why"),
    )
    op.create_index(
        "uq_settlement_account_change_waiting",
        "settlement_account_change",
        ["participant"],
        unique=True,
        postgresql_where=sa.text("state = 'proposed'"),
        sqlite_where=sa.text("state = 'proposed'"),
    )


def downgrade() -> None:
    """Remove the table; accounts stay as they were last approved."""
    op.drop_table("settlement_account_change")
