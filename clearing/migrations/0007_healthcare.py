"""Hospital bills and claims."""

revision = "0007_healthcare"
down_revision = "0006_online"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop them."""
