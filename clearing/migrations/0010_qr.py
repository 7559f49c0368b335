"""QR certificates, pay codes, merchants' codes, batches of rides and the rides."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0010_qr"
down_revision = "0009_socialsecurity"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "qr_certificate",
        sa.Column("serial", sa.String(16), primary_key=True),
        sa.Column("holder", sa.String(16), nullable=False),
        sa.Column("device_key", sa.LargeBinary(32), nullable=False),
        sa.Column("key_version", sa.Integer, nullable=False),
        sa.Column("limit_fen", Fen, nullable=False),
        sa.Column("holder_class", sa.Integer, nullable=False),
        sa.Column("issued_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.CheckConstraint("limit_fen > 0", name="limit_is_positive"),
        sa.CheckConstraint("expires_at > issued_at", name="life_is_not_empty"),
    )
    op.create_index("ix_qr_certificate_holder", "qr_certificate", ["holder", "issued_at"])
    op.create_table(
        "qr_pay_code",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(16), nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("paid_by", sa.String(128)),
        sa.UniqueConstraint("paid_by"),
    )
    op.create_index("ix_qr_pay_code_expires_at", "qr_pay_code", ["expires_at"])
    op.create_table(
        "qr_merchant_code",
        sa.Column("code", sa.String(12), primary_key=True),
        sa.Column("merchant", sa.String(16), nullable=False),
        sa.Column("name", sa.String(25), nullable=False),
        sa.Column("name_zh", sa.String(25), nullable=False),
        sa.Column("city", sa.String(15), nullable=False),
        sa.Column("category", sa.String(4), nullable=False),
        sa.Column("amount_fen", Fen),
        sa.Column("one_time", sa.Boolean, nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("withdrawn_at", Instant),
        sa.Column("paid_by", sa.String(128)),
        sa.CheckConstraint("amount_fen is null or amount_fen > 0", name="amount_is_positive"),
        sa.CheckConstraint("not one_time or amount_fen is not null", name="one_time_names_its_amount"),
        sa.CheckConstraint("one_time or paid_by is null", name="only_one_time_codes_are_spent"),
        sa.UniqueConstraint("paid_by"),
    )
    op.create_index("ix_qr_merchant_code_merchant", "qr_merchant_code", ["merchant"])
    op.create_table(
        "qr_batch_file",
        sa.Column("operator", sa.String(8), primary_key=True),
        sa.Column("sequence", Id, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("record_count", Id, nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("cleared_on", sa.Date, nullable=False),
        sa.UniqueConstraint("digest"),
        sa.CheckConstraint("sequence >= 1", name="sequence_starts_at_one"),
        sa.CheckConstraint("record_count >= 0 and amount_fen >= 0", name="totals_are_not_negative"),
    )
    op.create_table(
        "qr_ride",
        sa.Column("operator", sa.String(8), primary_key=True),
        sa.Column("sequence", Id, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("decided_on", sa.Date, nullable=False),
        sa.Column("verdict", sa.String(24), nullable=False),
        sa.Column("money", sa.String(9), nullable=False),
        sa.Column("holder", sa.String(16), nullable=False),
        sa.Column("serial", sa.String(16), nullable=False),
        sa.Column("nonce", sa.String(16), nullable=False),
        sa.Column("terminal", sa.String(12), nullable=False),
        sa.Column("terminal_sequence", Id, nullable=False),
        sa.Column("event_at", Instant),
        sa.Column("ride", sa.Integer, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("station", sa.Integer, nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("price_fen", Fen),
        sa.Column("paid_fen", Fen, nullable=False),
        sa.Column("short_fen", Fen, nullable=False),
        sa.Column("flaw", sa.String(300), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("record", sa.LargeBinary(384), nullable=False),
        sa.ForeignKeyConstraint(
            ["operator", "sequence"], ["qr_batch_file.operator", "qr_batch_file.sequence"]
        ),
        sa.CheckConstraint("money in ('paid', 'suspended', 'rejected', 'none')", name="money_is_known"),
        sa.CheckConstraint("paid_fen >= 0 and paid_fen <= amount_fen", name="paid_is_within_amount"),
        sa.CheckConstraint("short_fen >= 0 and short_fen <= paid_fen", name="short_is_within_paid"),
        sa.CheckConstraint("money = 'paid' or paid_fen = 0", name="only_paid_rides_are_paid"),
    )
    op.create_index("ix_qr_ride_digest", "qr_ride", ["digest"])
    op.create_index("ix_qr_ride_decided_on", "qr_ride", ["decided_on"])
    op.create_index("ix_qr_ride_holder", "qr_ride", ["holder", "event_at"])
    paid, suspended = sa.text("money = 'paid'"), sa.text("money = 'suspended'")
    op.create_index(
        "uq_qr_ride_paid_code",
        "qr_ride",
        ["serial", "nonce"],
        unique=True,
        sqlite_where=paid,
        postgresql_where=paid,
    )
    op.create_index(
        "ix_qr_ride_suspended",
        "qr_ride",
        ["business_date"],
        sqlite_where=suspended,
        postgresql_where=suspended,
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("qr_ride", "qr_batch_file", "qr_merchant_code", "qr_pay_code", "qr_certificate"):
        op.drop_table(table)
