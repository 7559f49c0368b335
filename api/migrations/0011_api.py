"""API clients, idempotency keys, holders' sessions."""

revision = "0011_api"
down_revision = "0010_qr"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop them."""
