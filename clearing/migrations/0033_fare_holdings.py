"""Which fare products a card has bought: discounts of a fare tariff may ask for one."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Instant

revision = "0033_fare_holdings"
down_revision = "0032_personalised"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "fare_holding",
        sa.Column("reference", sa.String(64), primary_key=True),
        sa.Column("card_no", sa.String(20), nullable=False),
        sa.Column("product", sa.String(100), nullable=False),
        sa.Column("bought_at", Instant, nullable=False),
        sa.CheckConstraint("length(card_no) = 20", name="card_no_is_20_digits"),
    )
    op.create_index("ix_fare_holding_card_no", "fare_holding", ["card_no"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("fare_holding")
