"""Online payments with their legs, reversals and refunds, top-ups, and loads paid from wallets."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0006_online"
down_revision = "0005_holders"
branch_labels = None
depends_on = None

Reference = sa.String(128)


def upgrade() -> None:
    """Make the tables of the online doors; a load may be paid from a wallet, and may be returned."""
    op.add_column("chip_load", sa.Column("holder", sa.String(11)))
    op.add_column("chip_load", sa.Column("returned_at", Instant))
    _create_payments()
    _create_reversals_and_refunds()
    _create_topups()


def downgrade() -> None:
    """Drop them; what loads were paid from wallets is forgotten."""
    for table in (
        "stray_confirmation",
        "topup",
        "payment_refund",
        "payment_reversal",
        "payment_leg",
        "payment",
    ):
        op.drop_table(table)
    op.drop_column("chip_load", "returned_at")
    op.drop_column("chip_load", "holder")


def _create_payments() -> None:
    op.create_table(
        "payment",
        sa.Column("reference", Reference, primary_key=True),
        sa.Column("entry_id", Id, nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("merchant", sa.String(16), nullable=False),
        sa.Column("holder", sa.String(11), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("refunded_fen", Fen, nullable=False),
        sa.Column("reversed_by", Reference),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("event_at", Instant, nullable=False),
        sa.Column("narrative", sa.Text, nullable=False),
        sa.UniqueConstraint("entry_id"),
        sa.CheckConstraint("amount_fen > 0", name="amount_is_positive"),
        sa.CheckConstraint(
            "refunded_fen >= 0 and refunded_fen <= amount_fen", name="refunds_are_within_amount"
        ),
        sa.CheckConstraint("reversed_by is null or refunded_fen = 0", name="reversed_is_not_refunded"),
    )
    op.create_index("ix_payment_holder_entry_id", "payment", ["holder", "entry_id"])
    op.create_index("ix_payment_business_date_merchant", "payment", ["business_date", "merchant"])
    op.create_table(
        "payment_leg",
        sa.Column("reference", Reference, sa.ForeignKey("payment.reference"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("account", sa.String(96), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("refunded_fen", Fen, nullable=False),
        sa.CheckConstraint("amount_fen > 0", name="amount_is_positive"),
        sa.CheckConstraint(
            "refunded_fen >= 0 and refunded_fen <= amount_fen", name="refunds_are_within_amount"
        ),
    )


def _create_reversals_and_refunds() -> None:
    op.create_table(
        "payment_reversal",
        sa.Column("reference", Reference, primary_key=True),
        sa.Column("original", Reference, nullable=False),
        sa.Column("entry_id", Id),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("event_at", Instant, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.UniqueConstraint("original"),
        sa.UniqueConstraint("entry_id"),
    )
    op.create_index("ix_payment_reversal_business_date", "payment_reversal", ["business_date"])
    op.create_table(
        "payment_refund",
        sa.Column("reference", Reference, primary_key=True),
        sa.Column("original", Reference, sa.ForeignKey("payment.reference"), nullable=False),
        sa.Column("entry_id", Id, nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("event_at", Instant, nullable=False),
        sa.UniqueConstraint("entry_id"),
        sa.CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    )
    op.create_index("ix_payment_refund_original", "payment_refund", ["original"])
    op.create_index("ix_payment_refund_business_date", "payment_refund", ["business_date"])


def _create_topups() -> None:
    op.create_table(
        "topup",
        sa.Column("reference", Reference, primary_key=True),
        sa.Column("holder", sa.String(11), nullable=False),
        sa.Column("channel_id", sa.String(16), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("ordered_at", Instant, nullable=False),
        sa.Column("expires_at", Instant),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("channel_reference", Reference),
        sa.Column("settled_at", Instant),
        sa.Column("entry_id", Id),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.UniqueConstraint("channel_id", "channel_reference"),
        sa.CheckConstraint("amount_fen > 0", name="amount_is_positive"),
        sa.CheckConstraint("state in ('pending', 'failed', 'confirmed')", name="state_is_known"),
        sa.CheckConstraint(
            "(state = 'pending') = (settled_at is null) and (state = 'confirmed') = (entry_id is not null)"
            " and (state = 'confirmed') = (channel_reference is not null)",
            name="state_is_whole",
        ),
    )
    op.create_index("ix_topup_holder", "topup", ["holder"])
    pending = sa.text("state = 'pending'")
    op.create_index(
        "ix_topup_pending", "topup", ["ordered_at"], sqlite_where=pending, postgresql_where=pending
    )
    op.create_table(
        "stray_confirmation",
        sa.Column("channel_id", sa.String(16), primary_key=True),
        sa.Column("channel_reference", Reference, primary_key=True),
        sa.Column("reference", Reference, primary_key=True),
        sa.Column("amount_fen", Fen, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.String(24), nullable=False),
        sa.Column("event_at", Instant, nullable=False),
        sa.Column("received_at", Instant, nullable=False),
    )
