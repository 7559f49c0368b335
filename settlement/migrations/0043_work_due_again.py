"""What comes back into the work queue as it happens anew has a deadline of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0043_work_due_again"
down_revision = "0042_proposals_withdrawn"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what came back before keeps the first deadline."""
    op.add_column("work_event", sa.Column("due_on", sa.Date))


def downgrade() -> None:
    """Take it away: everything is due again when it was first."""
    op.drop_column("work_event", "due_on")
