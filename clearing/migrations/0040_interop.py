"""Clearing centres of other cities: the register, files exchanged, taps handed over, days compared."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0040_interop"
down_revision = "0039_sales_withdrawn"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "centre",
        sa.Column("code", sa.String(8), primary_key=True),
        sa.Column("name", sa.String(140), nullable=False),
        sa.Column("valid_from", Instant, nullable=False),
        sa.Column("valid_until", Instant),
        sa.Column("max_amount_fen", Fen, nullable=False),
        sa.Column("registered_at", Instant, nullable=False),
        sa.CheckConstraint("valid_until is null or valid_until > valid_from", name="period_is_not_empty"),
        sa.CheckConstraint("max_amount_fen > 0", name="limit_is_positive"),
    )
    op.create_table(
        "centre_issuer",
        sa.Column("issuer", sa.String(8), primary_key=True),
        sa.Column("valid_from", Instant, primary_key=True),
        sa.Column("valid_until", Instant),
        sa.Column("centre", sa.String(8), sa.ForeignKey("centre.code"), nullable=False),
        sa.CheckConstraint("length(issuer) = 8", name="issuer_is_8_digits"),
        sa.CheckConstraint("valid_until is null or valid_until > valid_from", name="period_is_not_empty"),
    )
    op.create_table(
        "centre_file",
        sa.Column("centre", sa.String(8), sa.ForeignKey("centre.code"), primary_key=True),
        sa.Column("kind", sa.String(9), primary_key=True),
        sa.Column("number", Id, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("record_count", Id, nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("registered_on", sa.Date, nullable=False),
        sa.Column("delivered_at", Instant),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_word", sa.String(500), nullable=False),
        sa.CheckConstraint("kind in ('presented', 'result', 'answer')", name="kind_is_known"),
        sa.CheckConstraint("number >= 1", name="number_starts_at_one"),
        sa.CheckConstraint("record_count >= 0 and amount_fen >= 0", name="totals_are_not_negative"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "centre_tap",
        sa.Column("operator", sa.String(8), primary_key=True),
        sa.Column("sequence", Id, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("centre", sa.String(8), nullable=False),
        sa.Column("number", Id, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("code", sa.Integer),
        sa.Column("result", Id),
        sa.Column("answered_on", sa.Date),
        sa.ForeignKeyConstraint(
            ["operator", "sequence", "position"], ["tap.operator", "tap.sequence", "tap.position"]
        ),
        sa.UniqueConstraint("centre", "number", "place"),
        sa.CheckConstraint(
            "(code is null) = (result is null) and (code is null) = (answered_on is null)",
            name="answer_is_whole",
        ),
    )
    op.create_index("ix_centre_tap_answered_on", "centre_tap", ["answered_on"])
    waiting = sa.text("code IS NULL")
    op.create_index(
        "ix_centre_tap_waiting",
        "centre_tap",
        ["centre", "number"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_table(
        "centre_odd_line",
        sa.Column("centre", sa.String(8), primary_key=True),
        sa.Column("result", Id, primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True),
        sa.Column("number", Id, nullable=False),
        sa.Column("place", Id, nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("code", sa.Integer, nullable=False),
        sa.Column("why", sa.String(16), nullable=False),
        sa.Column("found_on", sa.Date, nullable=False),
        sa.Column("settled_on", sa.Date),
        sa.Column("settled_by", sa.String(64)),
        sa.Column("settled_why", sa.String(200)),
        sa.CheckConstraint(
            "(settled_on is null) = (settled_by is null) and (settled_on is null) = (settled_why is null)",
            name="settlement_is_whole",
        ),
        sa.CheckConstraint(
            "why in ('code_unknown', 'tap_unknown', 'answered', 'amount_differs')", name="why_is_known"
        ),
    )
    op.create_index("ix_centre_odd_line_settled_on", "centre_odd_line", ["settled_on"])
    op.create_table(
        "centre_day",
        sa.Column("centre", sa.String(8), sa.ForeignKey("centre.code"), primary_key=True),
        sa.Column("business_date", sa.Date, primary_key=True),
        sa.Column("ours_count", Id, nullable=False),
        sa.Column("ours_fen", Fen, nullable=False),
        sa.Column("theirs_count", Id, nullable=False),
        sa.Column("theirs_fen", Fen, nullable=False),
        sa.Column("differing", Id, nullable=False),
        sa.Column("agreed", sa.Boolean, nullable=False),
        sa.Column("compared_on", sa.Date, nullable=False),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("centre_day")
    op.drop_table("centre_odd_line")
    op.drop_table("centre_tap")
    op.drop_table("centre_file")
    op.drop_table("centre_issuer")
    op.drop_table("centre")
