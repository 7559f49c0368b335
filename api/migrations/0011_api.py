"""API clients and their tokens, holders' codes and sessions, answers by idempotency key."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Instant

revision = "0011_api"
down_revision = "0010_qr"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "api_client",
        sa.Column("client_id", sa.String(32), primary_key=True),
        sa.Column("secret_salt", sa.LargeBinary(16), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("participant", sa.String(16), nullable=False),
        sa.Column("scopes", sa.String(512), nullable=False),
        sa.Column("registered_at", Instant, nullable=False),
        sa.Column("disabled_at", Instant),
    )
    op.create_table(
        "api_token",
        sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("client_id", sa.String(32), sa.ForeignKey("api_client.client_id"), nullable=False),
        sa.Column("scopes", sa.String(512), nullable=False),
        sa.Column("issued_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.CheckConstraint("expires_at > issued_at", name="expiry_follows_issue"),
    )
    op.create_index("ix_api_token_expires_at", "api_token", ["expires_at"])
    op.create_table(
        "api_code",
        sa.Column("challenge", sa.String(32), primary_key=True),
        sa.Column("asked_index", sa.LargeBinary(32), nullable=False),
        sa.Column("holder", sa.String(16)),
        sa.Column("code_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("attempts_left", sa.Integer, nullable=False),
        sa.Column("issued_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.CheckConstraint("attempts_left >= 0", name="attempts_are_bounded"),
    )
    op.create_index("ix_api_code_asked_index", "api_code", ["asked_index", "issued_at"])
    op.create_table(
        "api_session",
        sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("holder", sa.String(16), nullable=False),
        sa.Column("issued_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.CheckConstraint("expires_at > issued_at", name="expiry_follows_issue"),
    )
    op.create_index("ix_api_session_holder", "api_session", ["holder"])
    op.create_table(
        "api_answer",
        sa.Column("subject", sa.String(64), primary_key=True),
        sa.Column("idempotency_key", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("begun_at", Instant, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("media_type", sa.String(64)),
        sa.Column("body", sa.Text),
        sa.CheckConstraint("(status is null) = (body is null)", name="answered_or_not"),
    )
    op.create_index("ix_api_answer_begun_at", "api_answer", ["begun_at"])


def downgrade() -> None:
    """Drop them."""
    for name in ("api_answer", "api_session", "api_code", "api_token", "api_client"):
        op.drop_table(name)
