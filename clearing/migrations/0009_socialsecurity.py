"""Funds, benefit batches, contribution bills, merchants that take the subsidy pocket."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0009_socialsecurity"
down_revision = "0008_utilities"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make social security's tables."""
    op.create_table(
        "agency_fund",
        sa.Column("fund", sa.String(16), primary_key=True),
        sa.Column("valid_from", sa.Date, primary_key=True),
        sa.Column("agency", sa.String(16), nullable=False),
        sa.Column("limit_fen", Fen, nullable=False),
        sa.Column("registered_at", Instant, nullable=False),
        sa.CheckConstraint("limit_fen >= 0", name="limit_is_not_negative"),
    )
    op.create_table(
        "benefit_batch",
        sa.Column("agency", sa.String(16), primary_key=True),
        sa.Column("number", sa.String(24), primary_key=True),
        sa.Column("fund", sa.String(16), nullable=False),
        sa.Column("programme", sa.String(24), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("line_count", Id, nullable=False),
        sa.Column("total_fen", Fen, nullable=False),
        sa.Column("made_by", sa.String(64), nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("checked_by", sa.String(64)),
        sa.Column("checked_at", Instant),
        sa.Column("why_rejected", sa.String(200)),
        sa.Column("business_date", sa.Date),
        sa.Column("paid_at", Instant),
        sa.Column("available_fen", Fen),
        sa.Column("paid_fen", Fen),
        sa.CheckConstraint("state in ('received', 'approved', 'rejected', 'paid')", name="state_is_known"),
        sa.CheckConstraint("checked_by is null or checked_by <> made_by", name="two_persons"),
        sa.CheckConstraint(
            "(state = 'received') = (checked_by is null) and (checked_at is null) = (checked_by is null)",
            name="checked_when_left",
        ),
        sa.CheckConstraint(
            "(state = 'rejected') = (why_rejected is not null)", name="rejected_with_a_reason"
        ),
        sa.CheckConstraint(
            "(state = 'paid') = (paid_at is not null) and (paid_at is null) = (paid_fen is null)"
            " and (paid_at is null) = (available_fen is null) and (paid_at is null) = (business_date is null)",
            name="payment_is_whole",
        ),
        sa.CheckConstraint(
            "paid_fen is null or (paid_fen >= 0 and paid_fen <= total_fen"
            " and (paid_fen = 0 or paid_fen <= available_fen))",
            name="paid_within_the_fund",
        ),
        sa.CheckConstraint("line_count >= 1 and total_fen >= 1", name="totals_are_positive"),
    )
    op.create_table(
        "benefit_line",
        sa.Column("agency", sa.String(16), primary_key=True),
        sa.Column("number", sa.String(24), primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True),
        sa.Column("claim", sa.String(24), nullable=False),
        sa.Column("holder", sa.String(11)),
        sa.Column("identity_masked", sa.String(18), nullable=False),
        sa.Column("pocket", sa.String(8), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("memo", sa.String(60), nullable=False),
        sa.ForeignKeyConstraint(["agency", "number"], ["benefit_batch.agency", "benefit_batch.number"]),
        sa.UniqueConstraint("agency", "number", "claim"),
        sa.CheckConstraint("pocket in ('wallet', 'subsidy')", name="pocket_is_known"),
        sa.CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    )
    op.create_table(
        "benefit_outcome",
        sa.Column("agency", sa.String(16), primary_key=True),
        sa.Column("number", sa.String(24), primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True),
        sa.Column("claim", sa.String(24), nullable=False),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("reason", sa.String(24), nullable=False),
        sa.ForeignKeyConstraint(
            ["agency", "number", "line"], ["benefit_line.agency", "benefit_line.number", "benefit_line.line"]
        ),
        sa.CheckConstraint("outcome in ('paid', 'returned')", name="outcome_is_known"),
        sa.CheckConstraint("(outcome = 'paid') = (reason = '')", name="returned_with_a_reason"),
    )
    op.create_index(
        "uq_benefit_outcome_paid_claim",
        "benefit_outcome",
        ["agency", "claim"],
        unique=True,
        sqlite_where=sa.text("outcome = 'paid'"),
        postgresql_where=sa.text("outcome = 'paid'"),
    )
    op.create_table(
        "contribution_bracket",
        sa.Column("agency", sa.String(16), primary_key=True),
        sa.Column("insurance", sa.String(24), primary_key=True),
        sa.Column("year", sa.Integer, primary_key=True),
        sa.Column("bracket", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("per", sa.String(5), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("payable_from", sa.Date, nullable=False),
        sa.Column("payable_to", sa.Date, nullable=False),
        sa.CheckConstraint("per in ('year', 'month')", name="per_is_known"),
        sa.CheckConstraint("amount_fen > 0", name="amount_is_positive"),
        sa.CheckConstraint("payable_to >= payable_from", name="period_is_not_empty"),
    )
    op.create_table(
        "contribution_bill",
        sa.Column("agency", sa.String(16), primary_key=True),
        sa.Column("number", sa.String(24), primary_key=True),
        sa.Column("holder", sa.String(11), nullable=False),
        sa.Column("insurance", sa.String(24), nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("first_month", sa.Integer, nullable=False),
        sa.Column("months", sa.Integer, nullable=False),
        sa.Column("bracket", sa.String(16), nullable=False),
        sa.Column("issued_at", Instant, nullable=False),
        sa.Column("withdrawn_at", Instant),
        sa.CheckConstraint(
            "first_month >= 1 and months >= 1 and first_month + months <= 13", name="within_a_year"
        ),
    )
    op.create_table(
        "contribution_payment",
        sa.Column("agency", sa.String(16), primary_key=True),
        sa.Column("number", sa.String(24), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("payer", sa.String(11), nullable=False),
        sa.Column("bracket", sa.String(16), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("reference", sa.String(64), nullable=False),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("paid_at", Instant, nullable=False),
        sa.Column("cancelled_at", Instant),
        sa.ForeignKeyConstraint(
            ["agency", "number"], ["contribution_bill.agency", "contribution_bill.number"]
        ),
        sa.UniqueConstraint("reference"),
        sa.CheckConstraint("attempt >= 1 and amount_fen > 0", name="numbers_are_positive"),
    )
    op.create_index(
        "uq_contribution_payment_standing",
        "contribution_payment",
        ["agency", "number"],
        unique=True,
        sqlite_where=sa.text("cancelled_at is null"),
        postgresql_where=sa.text("cancelled_at is null"),
    )
    op.create_table(
        "contribution_month",
        sa.Column("holder", sa.String(11), primary_key=True),
        sa.Column("insurance", sa.String(24), primary_key=True),
        sa.Column("year", sa.Integer, primary_key=True),
        sa.Column("month", sa.Integer, primary_key=True),
        sa.Column("agency", sa.String(16), nullable=False),
        sa.Column("number", sa.String(24), nullable=False),
        sa.ForeignKeyConstraint(
            ["agency", "number"], ["contribution_bill.agency", "contribution_bill.number"]
        ),
        sa.CheckConstraint("month between 1 and 12", name="month_is_one"),
    )
    op.create_table(
        "merchant_kind",
        sa.Column("merchant", sa.String(16), primary_key=True),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("registered_at", Instant, nullable=False),
    )
    op.create_table(
        "subsidy_kind",
        sa.Column("kind", sa.String(24), primary_key=True),
        sa.Column("allowed_at", Instant, nullable=False),
    )
    op.create_index("ix_benefit_line_holder", "benefit_line", ["holder"])
    op.create_index("ix_contribution_bill_holder", "contribution_bill", ["holder"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("subsidy_kind")
    op.drop_table("merchant_kind")
    op.drop_table("contribution_month")
    op.drop_table("contribution_payment")
    op.drop_table("contribution_bill")
    op.drop_table("contribution_bracket")
    op.drop_table("benefit_outcome")
    op.drop_table("benefit_line")
    op.drop_table("benefit_batch")
    op.drop_table("agency_fund")
