"""Contributions, benefit batches, the holder's record."""

revision = "0009_socialsecurity"
down_revision = "0008_utilities"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop them."""
