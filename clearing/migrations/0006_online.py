"""Online payments, reversals remembered, top-ups."""

revision = "0006_online"
down_revision = "0005_holders"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop them."""
