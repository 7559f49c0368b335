"""Participants, agreements, the bank calendar, net positions, payment instructions, nights."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Instant

revision = "0004_settlement"
down_revision = "0003_clearing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "settlement_participant",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(140), nullable=False),
        sa.Column("name_zh", sa.String(140), nullable=False),
        sa.Column("account_no", sa.String(34), nullable=False),
        sa.Column("bank_code", sa.String(12), nullable=False),
        sa.Column("bank_name", sa.String(140), nullable=False),
        sa.Column("registered_at", Instant, nullable=False),
        sa.CheckConstraint("length(bank_code) = 12", name="bank_code"),
    )
    op.create_table(
        "settlement_agreement",
        sa.Column("participant", sa.String(16), sa.ForeignKey("settlement_participant.id"), primary_key=True),
        sa.Column("valid_from", sa.Date, primary_key=True),
        sa.Column("valid_to", sa.Date),
        sa.Column("fee_bp", sa.Integer, nullable=False),
        sa.Column("fee_min_fen", Fen, nullable=False),
        sa.Column("fee_max_fen", Fen),
        sa.Column("cycle", sa.String(4), nullable=False),
        sa.Column("registered_at", Instant, nullable=False),
        sa.CheckConstraint("fee_bp BETWEEN 0 AND 10000", name="fee_bp"),
        sa.CheckConstraint("fee_min_fen >= 0", name="fee_min"),
        sa.CheckConstraint("fee_max_fen IS NULL OR fee_max_fen >= fee_min_fen", name="fee_max"),
        sa.CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name="validity"),
    )
    op.create_table(
        "settlement_calendar_year",
        sa.Column("year", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("configured_at", Instant, nullable=False),
    )
    op.create_table(
        "settlement_calendar_day",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("year", sa.SmallInteger, sa.ForeignKey("settlement_calendar_year.year"), nullable=False),
        sa.Column("working", sa.Boolean, nullable=False),
    )
    op.create_table(
        "settlement_position",
        sa.Column("business_date", sa.Date, primary_key=True),
        sa.Column("role", sa.String(12), primary_key=True),
        sa.Column("party", sa.String(32), primary_key=True),
        sa.Column("gross_fen", Fen, nullable=False),
        sa.Column("fee_fen", Fen, nullable=False),
        sa.Column("position_fen", Fen, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.CheckConstraint("role IN ('participant', 'scheme', 'payer')", name="role"),
        sa.CheckConstraint("state IN ('netted', 'carried', 'counterpart')", name="state"),
        sa.CheckConstraint("role <> 'participant' OR gross_fen = fee_fen + position_fen", name="gross"),
    )
    op.create_table(
        "settlement_instruction",
        sa.Column("end_to_end_id", sa.String(35), primary_key=True),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("participant", sa.String(16), sa.ForeignKey("settlement_participant.id"), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("value_date", sa.Date, nullable=False),
        sa.Column("account_no", sa.String(34), nullable=False),
        sa.Column("bank_code", sa.String(12), nullable=False),
        sa.Column("message_id", sa.String(35), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.CheckConstraint("amount_fen > 0", name="amount"),
        sa.CheckConstraint("state IN ('awaiting_bank', 'paid', 'refused')", name="state"),
    )
    op.create_index("ix_settlement_instruction_business_date", "settlement_instruction", ["business_date"])
    op.create_table(
        "night_run",
        sa.Column("business_date", sa.Date, primary_key=True),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("refused_step", sa.String(32)),
        sa.Column("refused_reason", sa.String(2000)),
        sa.Column("finished_at", Instant),
        sa.CheckConstraint("state IN ('running', 'refused', 'finished')", name="state"),
        sa.CheckConstraint("(state = 'refused') = (refused_step IS NOT NULL)", name="refused"),
    )
    op.create_table(
        "night_step",
        sa.Column("business_date", sa.Date, primary_key=True),
        sa.Column("position", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("step", sa.String(32), nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("finished_at", Instant, nullable=False),
        sa.ForeignKeyConstraint(["business_date"], ["night_run.business_date"]),
    )


def downgrade() -> None:
    for name in (
        "night_step",
        "night_run",
        "settlement_instruction",
        "settlement_position",
        "settlement_calendar_day",
        "settlement_calendar_year",
        "settlement_agreement",
        "settlement_participant",
    ):
        op.drop_table(name)
