"""What the back office of cards keeps, as tables: batches, blanks and what became of them, moves, replacements."""

from sqlalchemy import CheckConstraint, Column, Date, ForeignKey, Index, Integer, String, Table

from ledger.db import Fen, Id, Instant, metadata

card_batch = Table(
    "card_batch",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("issuer", String(8), nullable=False),
    Column("first_no", String(20), nullable=False),
    Column("count", Integer, nullable=False),
    Column("holder_class", Integer, nullable=False),
    Column("received_at", Instant, nullable=False),
    CheckConstraint("count > 0", name="count_is_positive"),
    CheckConstraint("holder_class between 1 and 255", name="holder_class_is_known"),
)

blank = Table(
    "blank",
    metadata,
    # A card that is not in the register yet; issued, its state is the register's.
    Column("card_no", String(20), primary_key=True),
    Column("batch", String(16), ForeignKey("card_batch.id"), nullable=False),
    Column("place", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    CheckConstraint("length(card_no) = 20", name="card_no_is_20_digits"),
    CheckConstraint("state in ('stock', 'personalised', 'issued', 'spoilt')", name="state_is_known"),
    Index("ix_blank_place", "place", "state"),
)

personalised = Table(
    "personalised",
    metadata,
    # What was written onto a blank: whoever wrote it says so, and the register takes it from here.
    Column("card_no", String(20), ForeignKey("blank.card_no"), primary_key=True),
    Column("key_version", Integer, nullable=False),
    Column("algorithm", Integer, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_until", Date, nullable=False),
    CheckConstraint("key_version between 1 and 255", name="key_version_is_one_byte"),
    CheckConstraint("algorithm in (0, 1)", name="algorithm_is_known"),
    CheckConstraint("valid_until >= valid_from", name="validity_ends_after_it_begins"),
)

card_move = Table(
    "card_move",
    metadata,
    # Append-only. A card of before the office was kept has no move until it makes one.
    Column("id", Id, primary_key=True),
    Column("card_no", String(20), nullable=False, index=True),
    Column("move", String(16), nullable=False),
    Column("from_state", String(16), nullable=False),
    Column("to_state", String(16), nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", String(64), nullable=False),
    Column("why", String(200), nullable=False),
    Column("place", String(32), nullable=False),
)

replacement = Table(
    "replacement",
    metadata,
    Column("old_card", String(20), ForeignKey("card.card_no"), primary_key=True),
    Column("new_card", String(20), ForeignKey("card.card_no"), nullable=False, unique=True),
    Column("replaced_at", Instant, nullable=False),
    Column("due_on", Date, nullable=False),  # the first business day on which no late tap can come any more
    Column("moved_at", Instant),
    Column("moved_fen", Fen),
    CheckConstraint("old_card <> new_card", name="cards_differ"),
    CheckConstraint("(moved_at is null) = (moved_fen is null)", name="moved_with_its_amount"),
)
