"""How long a night's steps took, batches that were replaced, and the queue of what people must look at."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0031_night_work"
down_revision = "0030_terminal_gaps"
branch_labels = None
depends_on = None

APPEND_ONLY = ("batch_replacement", "work_item", "work_event")


def upgrade() -> None:
    """Make the tables, append-only, and the column for what a step took."""
    op.add_column("night_step", sa.Column("duration_ms", sa.BigInteger))
    op.create_table(
        "batch_replacement",
        sa.Column("operator", sa.String(8), primary_key=True),
        sa.Column("sequence", Id, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("night", sa.Date, nullable=False),
        sa.Column("old_digest", sa.String(64), nullable=False),
        sa.Column("old_count", Id, nullable=False),
        sa.Column("old_amount_fen", Fen, nullable=False),
        sa.Column("new_digest", sa.String(64), nullable=False),
        sa.Column("new_count", Id, nullable=False),
        sa.Column("new_amount_fen", Fen, nullable=False),
        sa.Column("undone", sa.JSON, nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("replaced_by", sa.String(64), nullable=False),
        sa.Column("replaced_at", Instant, nullable=False),
        sa.CheckConstraint("number >= 1", name="number_starts_at_one"),
        sa.CheckConstraint("old_digest <> new_digest", name="content_differs"),
        sa.CheckConstraint("reason <> '' and replaced_by <> ''", name="somebody_says_why"),
        sa.ForeignKeyConstraint(["operator", "sequence"], ["batch_file.operator", "batch_file.sequence"]),
    )
    op.create_table(
        "work_item",
        sa.Column("number", Id, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("subject", sa.String(320), nullable=False),
        sa.Column("raised_on", sa.Date, nullable=False),
        sa.Column("due_on", sa.Date, nullable=False),
        sa.UniqueConstraint("kind", "subject"),
        sa.CheckConstraint("number >= 1", name="number_starts_at_one"),
        sa.CheckConstraint("due_on >= raised_on", name="due_after_raised"),
    )
    op.create_table(
        "work_event",
        sa.Column("item", Id, sa.ForeignKey("work_item.number"), primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("happened", sa.String(8), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("item_count", Id),
        sa.Column("amount_fen", Fen),
        sa.Column("what", sa.String(2000), nullable=False),
        sa.Column("remedy", sa.String(1000), nullable=False),
        sa.CheckConstraint("number >= 1", name="number_starts_at_one"),
        sa.CheckConstraint("who <> ''", name="somebody_did_it"),
        sa.CheckConstraint(
            "happened IN ('raised', 'changed', 'taken', 'done', 'back', 'cleared')", name="happened"
        ),
        sa.CheckConstraint("(happened IN ('raised', 'changed')) = (item_count IS NOT NULL)", name="figures"),
    )
    _guard()


def downgrade() -> None:
    """Take them away again; what was kept in them is lost."""
    for name in ("work_event", "work_item", "batch_replacement"):
        op.drop_table(name)
    op.drop_column("night_step", "duration_ms")


def _guard() -> None:
    if op.get_context().dialect.name == "postgresql":
        for name in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name}"
                " FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
            )
        return
    for name in APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {name}_no_{change.lower()} BEFORE {change} ON {name}"
                f" BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
            )
