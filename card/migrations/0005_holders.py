"""Holders, their sealed personal data, cards and links, the log of reads, and losses."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Id, Instant

revision = "0005_holders"
down_revision = "0004_settlement"
branch_labels = None
depends_on = None

TABLES = ("lost_card", "loss", "link_read", "link_grant", "link_number", "held_card", "holder", "data_key")
APPEND_ONLY = "the log of reads is append-only"


def upgrade() -> None:
    """Make the tables."""
    _create_holders()
    _create_links()
    _create_losses()
    for statement in _postgresql_guards() if _on_postgresql() else _sqlite_guards():
        op.execute(statement)


def downgrade() -> None:
    """Drop them."""
    # A table takes its triggers with it.
    for table in TABLES:
        op.drop_table(table)
    if _on_postgresql():
        op.execute("DROP FUNCTION link_read_append_only()")


def _create_holders() -> None:
    op.create_table(
        "data_key",
        sa.Column("purpose", sa.String(8), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key_version", sa.Integer, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.CheckConstraint("purpose IN ('seal', 'index')", name="purpose_is_known"),
        sa.CheckConstraint("number = 1 OR (number > 1 AND purpose = 'seal')", name="one_index_key"),
    )
    op.create_table(
        "holder",
        sa.Column("id", sa.String(11), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False, unique=True),
        sa.Column("identity_index", sa.String(64), unique=True),
        sa.Column("identity_sealed", sa.LargeBinary),
        sa.Column("name_sealed", sa.LargeBinary),
        sa.Column("phone_sealed", sa.LargeBinary),
        sa.Column("enrolled_at", Instant, nullable=False),
        sa.Column("forgotten_at", Instant),
        sa.CheckConstraint("length(id) = 11", name="id_is_h_and_10_digits"),
        sa.CheckConstraint(
            "(forgotten_at IS NULL) = (identity_index IS NOT NULL)", name="index_till_forgotten"
        ),
        sa.CheckConstraint(
            "(identity_index IS NULL) = (identity_sealed IS NULL)", name="identity_with_index"
        ),
        sa.CheckConstraint("(identity_index IS NULL) = (name_sealed IS NULL)", name="name_with_index"),
        sa.CheckConstraint("(identity_index IS NULL) = (phone_sealed IS NULL)", name="phone_with_index"),
    )
    op.create_table(
        "held_card",
        sa.Column("id", Id, primary_key=True),
        sa.Column("holder", sa.String(11), sa.ForeignKey("holder.id"), nullable=False),
        sa.Column("card_no", sa.String(20), sa.ForeignKey("card.card_no"), nullable=False),
        sa.Column("tied_at", Instant, nullable=False),
        sa.Column("untied_at", Instant),
    )
    op.create_index("ix_held_card_holder", "held_card", ["holder"])
    _create_one_open("one_holder_a_card", "held_card", "card_no", "untied_at IS NULL")


def _create_links() -> None:
    op.create_table(
        "link_number",
        sa.Column("holder", sa.String(11), sa.ForeignKey("holder.id"), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("number_index", sa.String(64), nullable=False, unique=True),
        sa.Column("number_sealed", sa.LargeBinary, nullable=False),
        sa.Column("linked_at", Instant, nullable=False),
    )
    op.create_table(
        "link_grant",
        sa.Column("id", Id, primary_key=True),
        sa.Column("holder", sa.String(11), sa.ForeignKey("holder.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("granted_to", sa.String(32), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("granted_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("revoked_at", Instant),
        sa.CheckConstraint("expires_at > granted_at", name="expiry_follows_grant"),
    )
    op.create_index("ix_link_grant_holder", "link_grant", ["holder"])
    op.create_table(
        "link_read",
        sa.Column("id", Id, primary_key=True),
        # A read of somebody who is not ours is logged too, so this does not refer to a holder.
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reader", sa.String(32), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("read_at", Instant, nullable=False),
        sa.Column("outcome", sa.String(24), nullable=False),
    )
    op.create_index("ix_link_read_holder", "link_read", ["holder"])


def _create_losses() -> None:
    op.create_table(
        "loss",
        sa.Column("id", Id, primary_key=True),
        sa.Column("holder", sa.String(11), sa.ForeignKey("holder.id")),
        sa.Column("reported_at", Instant, nullable=False),
        sa.Column("lifted_at", Instant),
        sa.CheckConstraint("lifted_at IS NULL OR lifted_at >= reported_at", name="lifting_follows_report"),
    )
    _create_one_open("one_open_loss_a_holder", "loss", "holder", "lifted_at IS NULL")
    op.create_table(
        "lost_card",
        sa.Column("loss", Id, sa.ForeignKey("loss.id"), primary_key=True),
        sa.Column("card_no", sa.String(20), sa.ForeignKey("card.card_no"), primary_key=True),
        sa.Column("hotlisted", sa.Boolean, nullable=False),
        sa.Column("restored_at", Instant),
    )
    _create_one_open("one_open_loss_a_card", "lost_card", "card_no", "restored_at IS NULL")


def _create_one_open(name: str, table: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, [column], unique=True, sqlite_where=where, postgresql_where=where)


def _on_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _sqlite_guards() -> list[str]:
    body = f"BEGIN SELECT RAISE(ABORT, '{APPEND_ONLY}'); END"
    return [
        f"CREATE TRIGGER link_read_{event.lower()} BEFORE {event} ON link_read {body}"
        for event in ("UPDATE", "DELETE")
    ]


def _postgresql_guards() -> list[str]:
    body = f"$$ BEGIN RAISE EXCEPTION '{APPEND_ONLY}'; END $$"
    events = "BEFORE UPDATE OR DELETE OR TRUNCATE ON link_read FOR EACH STATEMENT"
    return [
        f"CREATE FUNCTION link_read_append_only() RETURNS trigger LANGUAGE plpgsql AS {body}",
        f"CREATE TRIGGER link_read_append_only {events} EXECUTE FUNCTION link_read_append_only()",
    ]
