"""What was written onto a blank, its key version among it, and from when to when a card is valid."""

import sqlalchemy as sa
from alembic import op

revision = "0032_personalised"
down_revision = "0031_night_work"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the columns; blanks that were personalised before are under version 1."""
    op.create_table(
        "personalised",
        sa.Column("card_no", sa.String(20), sa.ForeignKey("blank.card_no"), primary_key=True),
        sa.Column("key_version", sa.Integer, nullable=False),
        sa.Column("algorithm", sa.Integer, nullable=False),
        sa.Column("valid_from", sa.Date, nullable=False),
        sa.Column("valid_until", sa.Date, nullable=False),
        sa.CheckConstraint("key_version between 1 and 255", name="key_version_is_one_byte"),
        sa.CheckConstraint("algorithm in (0, 1)", name="algorithm_is_known"),
        sa.CheckConstraint("valid_until >= valid_from", name="validity_ends_after_it_begins"),
    )
    # The factory asked the HSM for version 1 of the international suite, and wrote these days.
    op.execute(
        "INSERT INTO personalised (card_no, key_version, algorithm, valid_from, valid_until)"
        " SELECT card_no, 1, 0, '2017-01-01', '2037-12-31' FROM blank WHERE state IN ('personalised', 'issued')"
    )
    # SQLite cannot add a constraint to a table, but a column with its constraint it can.
    op.execute("ALTER TABLE card ADD COLUMN valid_from DATE")
    op.execute(
        "ALTER TABLE card ADD COLUMN valid_until DATE"
        " CONSTRAINT ck_card_validity_ends_after_it_begins CHECK (valid_until >= valid_from)"
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_column("card", "valid_until")
    op.drop_column("card", "valid_from")
    op.drop_table("personalised")
