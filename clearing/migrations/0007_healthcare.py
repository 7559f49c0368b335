"""Hospital bills and claims."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Instant

revision = "0007_healthcare"
down_revision = "0006_online"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of healthcare."""
    op.create_table(
        "hospital",
        sa.Column("participant", sa.String(16), primary_key=True),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("registered_at", Instant, nullable=False),
        sa.CheckConstraint("level between 1 and 3", name="level_is_known"),
    )
    op.create_table(
        "medical_cover",
        sa.Column("holder", sa.String(16), primary_key=True),
        sa.Column("valid_from", sa.Date, primary_key=True),
        sa.Column("valid_to", sa.Date),
        sa.Column("category", sa.String(16), nullable=False),
        sa.Column("registered_at", Instant, nullable=False),
        sa.CheckConstraint("valid_to is null or valid_to >= valid_from", name="period_is_not_empty"),
        sa.CheckConstraint("category in ('employee', 'resident', 'retired')", name="category_is_known"),
    )
    _make_bills()
    op.create_table(
        "hospital_bill_item",
        sa.Column("reference", sa.String(64), sa.ForeignKey("hospital_bill.reference"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("catalogue_class", sa.String(1), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("first_share_bp", sa.Integer, nullable=False),
        sa.CheckConstraint("catalogue_class in ('A', 'B', 'C')", name="class_is_known"),
        sa.CheckConstraint("amount_fen > 0", name="amount_is_positive"),
        sa.CheckConstraint("first_share_bp between 0 and 10000", name="share_is_possible"),
    )
    op.create_table(
        "insurer_answer",
        sa.Column("reference", sa.String(64), sa.ForeignKey("hospital_bill.reference"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("asked", sa.String(8), nullable=False),
        sa.Column("answer", sa.String(16), nullable=False),
        sa.Column("fund_fen", Fen, nullable=False),
        sa.Column("detail", sa.String(200), nullable=False),
        sa.Column("heard_at", Instant, nullable=False),
        sa.Column("legal", sa.Boolean, nullable=False),
        sa.CheckConstraint("asked in ('claim', 'query', 'cancel')", name="asked_is_known"),
        sa.CheckConstraint("fund_fen >= 0", name="fund_is_not_negative"),
    )


def downgrade() -> None:
    """Drop the tables of healthcare."""
    for table in ("insurer_answer", "hospital_bill_item", "hospital_bill", "medical_cover", "hospital"):
        op.drop_table(table)


def _make_bills() -> None:
    op.create_table(
        "hospital_bill",
        sa.Column("reference", sa.String(64), primary_key=True),
        sa.Column("hospital", sa.String(16), sa.ForeignKey("hospital.participant"), nullable=False),
        sa.Column("bill_no", sa.String(40), nullable=False),
        sa.Column("holder", sa.String(16), nullable=False),
        sa.Column("treated_on", sa.Date, nullable=False),
        sa.Column("benefit_year", sa.Integer, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("category", sa.String(16), nullable=False),
        sa.Column("pool", sa.String(32), nullable=False),
        sa.Column("policy_version", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("total_fen", Fen, nullable=False),
        sa.Column("fund_fen", Fen, nullable=False),
        sa.Column("account_fen", Fen, nullable=False),
        sa.Column("patient_fen", Fen, nullable=False),
        sa.Column("deductible_fen", Fen, nullable=False),
        sa.Column("co_payment_fen", Fen, nullable=False),
        sa.Column("first_share_fen", Fen, nullable=False),
        sa.Column("above_ceiling_fen", Fen, nullable=False),
        sa.Column("not_covered_fen", Fen, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.Column("insurer_no", sa.String(40), nullable=False),
        sa.Column("opened_at", Instant, nullable=False),
        sa.Column("paid_at", Instant),
        sa.Column("changed_at", Instant, nullable=False),
        sa.UniqueConstraint("hospital", "bill_no"),
        sa.CheckConstraint("total_fen > 0", name="total_is_positive"),
        sa.CheckConstraint("total_fen = fund_fen + account_fen + patient_fen", name="payers_make_the_total"),
        sa.CheckConstraint(
            "total_fen = fund_fen + deductible_fen + co_payment_fen + first_share_fen + above_ceiling_fen"
            " + not_covered_fen",
            name="parts_make_the_total",
        ),
        sa.CheckConstraint(
            "fund_fen >= 0 and account_fen >= 0 and patient_fen >= 0 and deductible_fen >= 0"
            " and co_payment_fen >= 0 and first_share_fen >= 0 and above_ceiling_fen >= 0"
            " and not_covered_fen >= 0",
            name="no_part_is_negative",
        ),
        sa.CheckConstraint(
            "state in ('claiming', 'unknown', 'paid', 'refused', 'cancelling', 'cancelled')",
            name="state_is_known",
        ),
        sa.CheckConstraint(
            "(state <> 'paid' or paid_at is not null)"
            " and (state not in ('claiming', 'unknown', 'refused') or paid_at is null)",
            name="only_the_paid_are_paid",
        ),
    )
    op.create_index("ix_hospital_bill_holder_benefit_year", "hospital_bill", ["holder", "benefit_year"])
    pending = sa.text("state in ('claiming', 'unknown', 'cancelling')")
    op.create_index(
        "ix_hospital_bill_pending",
        "hospital_bill",
        ["opened_at"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
