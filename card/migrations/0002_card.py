"""The register of cards and the hotlist."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Instant

revision = "0002_card"
down_revision = "0001_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the card room's tables."""
    op.create_table(
        "card",
        sa.Column("card_no", sa.String(20), primary_key=True),
        sa.Column("issuer", sa.String(8), nullable=False),
        sa.Column("holder_class", sa.Integer, nullable=False),
        sa.Column("key_version", sa.Integer, nullable=False),
        sa.Column("algorithm", sa.Integer, nullable=False),
        sa.Column("issued_at", Instant, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("registered_at", Instant, nullable=False),
        sa.CheckConstraint("length(card_no) = 20", name="card_no_is_20_digits"),
        sa.CheckConstraint("length(issuer) = 8", name="issuer_is_8_digits"),
        sa.CheckConstraint("holder_class in (1, 2, 3)", name="holder_class_is_known"),
    )
    op.create_table(
        "hotlist",
        sa.Column("card_no", sa.String(20), primary_key=True),
        sa.Column("listed_at", Instant, nullable=False),
        sa.Column("effective_at", Instant, nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.CheckConstraint("length(card_no) = 20", name="card_no_is_20_digits"),
        sa.CheckConstraint("effective_at >= listed_at", name="deadline_follows_listing"),
    )


def downgrade() -> None:
    """Drop the card room's tables."""
    op.drop_table("hotlist")
    op.drop_table("card")
