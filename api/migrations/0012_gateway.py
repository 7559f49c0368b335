"""Gateway terminals, their working keys, messages answered."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Id, Instant

revision = "0012_gateway"
down_revision = "0011_api"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "gateway_terminal",
        sa.Column("terminal", sa.String(8), primary_key=True),
        sa.Column("merchant", sa.String(15), nullable=False),
        sa.Column("specification", sa.String(16), nullable=False),
        sa.Column("master_key_version", sa.SmallInteger, nullable=False),
        sa.Column("enrolled_at", Instant, nullable=False),
        sa.Column("withdrawn_at", Instant),
        sa.Column("current_key", sa.LargeBinary(24)),
        sa.Column("offered_key", sa.LargeBinary(24)),
        sa.Column("offered_at", Instant),
        sa.CheckConstraint("length(terminal) = 8", name="terminal_is_8_characters"),
        sa.CheckConstraint("(offered_key is null) = (offered_at is null)", name="offer_is_whole"),
    )
    op.create_table(
        "gateway_message",
        sa.Column("number", Id, primary_key=True, autoincrement=False),
        sa.Column("terminal", sa.String(8), sa.ForeignKey("gateway_terminal.terminal"), nullable=False),
        sa.Column("mti", sa.String(4), nullable=False),
        sa.Column("stan", sa.String(6), nullable=False),
        sa.Column("local_date", sa.Date, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("reference", sa.String(64), nullable=False),
        sa.Column("code", sa.String(2), nullable=False),
        sa.Column("answer", sa.String(2000), nullable=False),
        sa.Column("answered_at", Instant, nullable=False),
        sa.UniqueConstraint("terminal", "mti", "stan", "local_date"),
        sa.CheckConstraint("length(stan) = 6", name="stan_is_6_digits"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("gateway_message")
    op.drop_table("gateway_terminal")
