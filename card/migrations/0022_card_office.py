"""The back office of cards: batches, blanks, every move of a card (append-only), replacements."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0022_card_office"
down_revision = "0021_load_attempts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _create_stock()
    op.create_table(
        "card_move",
        sa.Column("id", Id, primary_key=True),
        sa.Column("card_no", sa.String(20), nullable=False),
        sa.Column("move", sa.String(16), nullable=False),
        sa.Column("from_state", sa.String(16), nullable=False),
        sa.Column("to_state", sa.String(16), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.Column("place", sa.String(32), nullable=False),
    )
    op.create_index("ix_card_move_card_no", "card_move", ["card_no"])
    op.create_table(
        "replacement",
        sa.Column("old_card", sa.String(20), sa.ForeignKey("card.card_no"), primary_key=True),
        sa.Column("new_card", sa.String(20), sa.ForeignKey("card.card_no"), nullable=False, unique=True),
        sa.Column("replaced_at", Instant, nullable=False),
        sa.Column("due_on", sa.Date, nullable=False),
        sa.Column("moved_at", Instant),
        sa.Column("moved_fen", Fen),
        sa.CheckConstraint("old_card <> new_card", name="cards_differ"),
        sa.CheckConstraint("(moved_at is null) = (moved_fen is null)", name="moved_with_its_amount"),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER card_move_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON card_move"
            " FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER card_move_no_{change.lower()} BEFORE {change} ON card_move"
            " BEGIN SELECT RAISE(ABORT, 'card_move is append-only'); END"
        )


def downgrade() -> None:
    """Drop them."""
    for table in ("replacement", "card_move", "blank", "card_batch"):
        op.drop_table(table)


def _create_stock() -> None:
    op.create_table(
        "card_batch",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("issuer", sa.String(8), nullable=False),
        sa.Column("first_no", sa.String(20), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("holder_class", sa.Integer, nullable=False),
        sa.Column("received_at", Instant, nullable=False),
        sa.CheckConstraint("count > 0", name="count_is_positive"),
        sa.CheckConstraint("holder_class in (1, 2, 3)", name="holder_class_is_known"),
    )
    op.create_table(
        "blank",
        sa.Column("card_no", sa.String(20), primary_key=True),
        sa.Column("batch", sa.String(16), sa.ForeignKey("card_batch.id"), nullable=False),
        sa.Column("place", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.CheckConstraint("length(card_no) = 20", name="card_no_is_20_digits"),
        sa.CheckConstraint("state in ('stock', 'personalised', 'issued', 'spoilt')", name="state_is_known"),
    )
    op.create_index("ix_blank_place", "blank", ["place", "state"])
