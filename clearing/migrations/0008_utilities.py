"""Billers' bills, write-off notices, daily files."""

revision = "0008_utilities"
down_revision = "0007_healthcare"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop them."""
