"""A sale of a fare product can be taken back: by whom, why and when."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Instant

revision = "0039_sales_withdrawn"
down_revision = "0038_tap_belongs"
branch_labels = None
depends_on = None

_WHOLE = (
    "(withdrawn_at is null) = (withdrawn_by is null) and (withdrawn_at is null) = (withdrawn_why is null)"
)


def upgrade() -> None:
    """Add the columns; what was sold stands."""
    with op.batch_alter_table("fare_holding") as table:
        table.add_column(sa.Column("withdrawn_at", Instant))
        table.add_column(sa.Column("withdrawn_by", sa.String(64)))
        table.add_column(sa.Column("withdrawn_why", sa.String(200)))
        table.create_check_constraint("withdrawal_is_whole", _WHOLE)


def downgrade() -> None:
    """What was taken back is gone, as before it could be known."""
    op.execute("DELETE FROM fare_holding WHERE withdrawn_at IS NOT NULL")
    with op.batch_alter_table("fare_holding") as table:
        table.drop_constraint("withdrawal_is_whole", type_="check")
        for name in ("withdrawn_at", "withdrawn_by", "withdrawn_why"):
            table.drop_column(name)
