"""Devices, batch files, taps with their verdicts, chip loads, where each card stands."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0003_clearing"
down_revision = "0002_card"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the clearing room's tables."""
    op.create_table(
        "device",
        sa.Column("terminal", sa.String(12), primary_key=True),
        sa.Column("operator", sa.String(8), primary_key=True),
        sa.Column("valid_from", Instant, primary_key=True),
        sa.Column("valid_to", Instant),
        sa.Column("max_amount_fen", Fen),
        sa.CheckConstraint("length(terminal) = 12", name="terminal_is_12_digits"),
        sa.CheckConstraint("valid_to is null or valid_to > valid_from", name="period_is_not_empty"),
        sa.CheckConstraint("max_amount_fen is null or max_amount_fen > 0", name="limit_is_positive"),
    )
    op.create_table(
        "batch_file",
        sa.Column("operator", sa.String(8), primary_key=True),
        sa.Column("sequence", Id, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("record_count", Id, nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("collected_on", sa.Date, nullable=False),
        sa.Column("cleared_on", sa.Date),
        sa.UniqueConstraint("digest"),
        sa.CheckConstraint("sequence >= 1", name="sequence_starts_at_one"),
        sa.CheckConstraint("record_count >= 0 and amount_fen >= 0", name="totals_are_not_negative"),
    )
    op.create_table(
        "rejected_file",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("collected_on", sa.Date, nullable=False),
        sa.Column("flaw", sa.String(32), nullable=False),
        sa.Column("byte_offset", Id),
        sa.Column("message", sa.String(1000), nullable=False),
        sa.Column("remedy", sa.String(1000), nullable=False),
    )
    op.create_table(
        "tap",
        sa.Column("operator", sa.String(8), primary_key=True),
        sa.Column("sequence", Id, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("decided_on", sa.Date, nullable=False),
        sa.Column("verdict", sa.String(24), nullable=False),
        sa.Column("money", sa.String(9), nullable=False),
        sa.Column("card_no", sa.String(20), nullable=False),
        sa.Column("counter", sa.Integer, nullable=False),
        sa.Column("issuer", sa.String(8), nullable=False),
        sa.Column("ride", sa.Integer, nullable=False),
        sa.Column("holder_class", sa.Integer, nullable=False),
        sa.Column("terminal", sa.String(12), nullable=False),
        sa.Column("terminal_sequence", Id, nullable=False),
        sa.Column("event_at", Instant),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("station", sa.Integer, nullable=False),
        sa.Column("balance_before_fen", Fen, nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("list_fare_fen", Fen, nullable=False),
        sa.Column("price_fen", Fen),
        sa.Column("paid_fen", Fen, nullable=False),
        sa.Column("tac_ok", sa.Boolean, nullable=False),
        sa.Column("flaw", sa.String(200), nullable=False),
        sa.Column("record", sa.LargeBinary(64), nullable=False),
        sa.ForeignKeyConstraint(["operator", "sequence"], ["batch_file.operator", "batch_file.sequence"]),
        sa.CheckConstraint("money in ('paid', 'suspended', 'rejected', 'none')", name="money_is_known"),
        sa.CheckConstraint("paid_fen >= 0 and paid_fen <= amount_fen", name="paid_is_within_amount"),
        sa.CheckConstraint("money = 'paid' or paid_fen = 0", name="only_paid_taps_are_paid"),
    )
    op.create_index("ix_tap_card_no_counter", "tap", ["card_no", "counter"])
    op.create_index("ix_tap_decided_on", "tap", ["decided_on"])
    suspended = sa.text("money = 'suspended'")
    op.create_index(
        "ix_tap_suspended", "tap", ["business_date"], sqlite_where=suspended, postgresql_where=suspended
    )
    op.create_table(
        "card_position",
        sa.Column("card_no", sa.String(20), primary_key=True),
        sa.Column("first_counter", sa.Integer, nullable=False),
        sa.Column("counter", sa.Integer, nullable=False),
        sa.Column("balance_fen", Fen, nullable=False),
        sa.Column("event_at", Instant, nullable=False),
        sa.CheckConstraint("first_counter <= counter", name="counters_are_ordered"),
    )
    op.create_table(
        "cleared_night",
        sa.Column("business_date", sa.Date, primary_key=True),
        sa.Column("booked_at", Instant, nullable=False),
        sa.Column("taps", Id, nullable=False),
    )
    op.create_table(
        "chip_load",
        sa.Column("reference", sa.String(64), primary_key=True),
        sa.Column("card_no", sa.String(20), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("agent", sa.String(32), nullable=False),
        sa.Column("ordered_at", Instant, nullable=False),
        sa.Column("confirmed_at", Instant),
        sa.Column("new_balance_fen", Fen),
        sa.Column("load_counter", sa.Integer),
        sa.Column("tac", sa.LargeBinary(4)),
        sa.CheckConstraint("amount_fen > 0", name="amount_is_positive"),
        sa.CheckConstraint(
            "(confirmed_at is null) = (tac is null) and (confirmed_at is null) = (load_counter is null)"
            " and (confirmed_at is null) = (new_balance_fen is null)",
            name="proof_is_whole",
        ),
        sa.UniqueConstraint("card_no", "load_counter"),
    )


def downgrade() -> None:
    """Drop the clearing room's tables."""
    for table in (
        "chip_load",
        "cleared_night",
        "card_position",
        "tap",
        "rejected_file",
        "batch_file",
        "device",
    ):
        op.drop_table(table)
