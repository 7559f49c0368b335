"""Holders, their sealed personal data, links and the log of reads."""

revision = "0005_holders"
down_revision = "0004_settlement"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop them."""
