"""Billers' bills, write-off notices, daily files."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0008_utilities"
down_revision = "0007_healthcare"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "utility_biller",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(140), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("part_payment", sa.Boolean, nullable=False),
        sa.Column("registered_at", Instant, nullable=False),
        sa.CheckConstraint("kind in ('water', 'power', 'gas', 'cable')", name="kind_is_known"),
    )
    op.create_table(
        "utility_payment",
        sa.Column("reference", sa.String(80), primary_key=True),
        sa.Column("biller", sa.String(16), sa.ForeignKey("utility_biller.id"), nullable=False),
        sa.Column("account_no", sa.String(32), nullable=False),
        sa.Column("bill_no", sa.String(32), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("holder", sa.String(16), nullable=False),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("event_at", Instant, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("state_at", Instant, nullable=False),
        sa.CheckConstraint("amount_fen > 0", name="amount_is_positive"),
        sa.CheckConstraint(
            "state in ('paid', 'written_off', 'reversing', 'reversed', 'returned')", name="state_is_known"
        ),
    )
    op.create_index("ix_utility_payment_day", "utility_payment", ["biller", "business_date"])
    op.create_index("ix_utility_payment_bill", "utility_payment", ["biller", "bill_no"])
    op.create_index("ix_utility_payment_holder", "utility_payment", ["holder"])
    _create_notice()
    _create_reconciliation()


def _create_notice() -> None:
    op.create_table(
        "utility_notice",
        sa.Column("reference", sa.String(80), sa.ForeignKey("utility_payment.reference"), primary_key=True),
        sa.Column("act", sa.String(9), primary_key=True),
        sa.Column("queued_at", Instant, nullable=False),
        sa.Column("due_at", Instant, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("answered_at", Instant),
        sa.Column("answer", sa.String(10)),
        sa.Column("message", sa.String(500), nullable=False),
        sa.CheckConstraint("act in ('write_off', 'reverse')", name="act_is_known"),
        sa.CheckConstraint("answer in ('taken', 'refused', 'by_file', 'overtaken')", name="answer_is_known"),
        sa.CheckConstraint("(answered_at is null) = (answer is null)", name="answer_is_whole"),
        sa.CheckConstraint("attempts >= 0", name="attempts_are_counted"),
    )
    unanswered = sa.text("answered_at IS NULL")
    op.create_index(
        "ix_utility_notice_due",
        "utility_notice",
        ["due_at"],
        sqlite_where=unanswered,
        postgresql_where=unanswered,
    )


def _create_reconciliation() -> None:
    op.create_table(
        "utility_file",
        sa.Column("biller", sa.String(16), sa.ForeignKey("utility_biller.id"), primary_key=True),
        sa.Column("business_date", sa.Date, primary_key=True),
        sa.Column("issue", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("line_count", Id, nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("reconciled_at", Instant, nullable=False),
        sa.CheckConstraint("issue >= 1", name="issues_start_at_one"),
        sa.CheckConstraint("line_count >= 0 and amount_fen >= 0", name="totals_are_not_negative"),
    )
    op.create_table(
        "utility_difference",
        sa.Column("biller", sa.String(16), sa.ForeignKey("utility_biller.id"), primary_key=True),
        sa.Column("business_date", sa.Date, primary_key=True),
        sa.Column("reference", sa.String(80), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("ours_fen", Fen),
        sa.Column("theirs_fen", Fen),
        sa.Column("account_no", sa.String(32), nullable=False),
        sa.Column("bill_no", sa.String(32), nullable=False),
        sa.Column("message", sa.String(500), nullable=False),
        sa.Column("found_at", Instant, nullable=False),
        sa.Column("issue", sa.Integer, nullable=False),
        sa.Column("claims", sa.Integer, nullable=False),
        sa.Column("suspense_entry", sa.String(200)),
        sa.Column("settled_at", Instant),
        sa.CheckConstraint(
            "kind in ('ours_only', 'theirs_only', 'other_amount', 'other_bill', 'reversal_open')",
            name="kind_is_known",
        ),
        sa.CheckConstraint("ours_fen is not null or theirs_fen is not null", name="one_side_at_least"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in (
        "utility_difference",
        "utility_file",
        "utility_notice",
        "utility_payment",
        "utility_biller",
    ):
        op.drop_table(table)
