"""Claims by business date, and days reconciled with the insurer."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0013_insurer_days"
down_revision = "0012_gateway"


def upgrade() -> None:
    """Give bills the business date of their claim, and make the table of days."""
    op.add_column("hospital_bill", sa.Column("claimed_on", sa.Date))
    op.create_index("ix_hospital_bill_claimed_on", "hospital_bill", ["claimed_on"])
    op.create_table(
        "insurer_day",
        sa.Column("business_date", sa.Date, primary_key=True),
        sa.Column("ours_count", Id, nullable=False),
        sa.Column("ours_fen", Fen, nullable=False),
        sa.Column("theirs_count", Id, nullable=False),
        sa.Column("theirs_fen", Fen, nullable=False),
        sa.Column("differences", Id, nullable=False),
        sa.Column("reconciled_at", Instant, nullable=False),
        sa.CheckConstraint("ours_count >= 0 and ours_fen >= 0", name="ours_is_not_negative"),
        sa.CheckConstraint("theirs_count >= 0 and theirs_fen >= 0", name="theirs_is_not_negative"),
        sa.CheckConstraint("differences >= 0", name="differences_are_counted"),
    )


def downgrade() -> None:
    """Take both away."""
    op.drop_table("insurer_day")
    op.drop_index("ix_hospital_bill_claimed_on", "hospital_bill")
    op.drop_column("hospital_bill", "claimed_on")
