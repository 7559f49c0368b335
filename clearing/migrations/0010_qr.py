"""QR certificates, rides and pay codes."""

revision = "0010_qr"
down_revision = "0009_socialsecurity"


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop them."""
