"""The register of cards and the hotlist, holders with their links and losses, as tables."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    text,
)

from ledger.db import Id, Instant, metadata

card = Table(
    "card",
    metadata,
    Column("card_no", String(20), primary_key=True),
    Column("issuer", String(8), nullable=False),
    Column("holder_class", Integer, nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("algorithm", Integer, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("status", String(16), nullable=False),
    # Both days included; none where the card was registered before they were kept.
    Column("valid_from", Date),
    Column("valid_until", Date),
    Column("registered_at", Instant, nullable=False),
    CheckConstraint("length(card_no) = 20", name="card_no_is_20_digits"),
    CheckConstraint("length(issuer) = 8", name="issuer_is_8_digits"),
    CheckConstraint("holder_class between 1 and 255", name="holder_class_is_known"),
    CheckConstraint("valid_until >= valid_from", name="validity_ends_after_it_begins"),
)

hotlist = Table(
    "hotlist",
    metadata,
    # A hotlist may name another city's card, so it does not refer to our register.
    Column("card_no", String(20), primary_key=True),
    Column("listed_at", Instant, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("reason", String(64), nullable=False),
    CheckConstraint("length(card_no) = 20", name="card_no_is_20_digits"),
    CheckConstraint("effective_at >= listed_at", name="deadline_follows_listing"),
)

data_key = Table(
    "data_key",
    metadata,
    Column("purpose", String(8), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    # The version of the HSM's key under which `wrapped` opens.
    Column("key_version", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("made_at", Instant, nullable=False),
    CheckConstraint("purpose IN ('seal', 'index')", name="purpose_is_known"),
    CheckConstraint("number = 1 OR (number > 1 AND purpose = 'seal')", name="one_index_key"),
)

holder = Table(
    "holder",
    metadata,
    Column("id", String(11), primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("identity_index", String(64), unique=True),
    Column("identity_sealed", LargeBinary),
    Column("name_sealed", LargeBinary),
    Column("phone_sealed", LargeBinary),
    Column("enrolled_at", Instant, nullable=False),
    Column("forgotten_at", Instant),
    CheckConstraint("length(id) = 11", name="id_is_h_and_10_digits"),
    CheckConstraint("(forgotten_at IS NULL) = (identity_index IS NOT NULL)", name="index_till_forgotten"),
    CheckConstraint("(identity_index IS NULL) = (identity_sealed IS NULL)", name="identity_with_index"),
    CheckConstraint("(identity_index IS NULL) = (name_sealed IS NULL)", name="name_with_index"),
    CheckConstraint("(identity_index IS NULL) = (phone_sealed IS NULL)", name="phone_with_index"),
)

held_card = Table(
    "held_card",
    metadata,
    Column("id", Id, primary_key=True),
    Column("holder", String(11), ForeignKey("holder.id"), nullable=False, index=True),
    Column("card_no", String(20), ForeignKey("card.card_no"), nullable=False),
    Column("tied_at", Instant, nullable=False),
    Column("untied_at", Instant),
)

link_number = Table(
    "link_number",
    metadata,
    Column("holder", String(11), ForeignKey("holder.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("number_index", String(64), nullable=False, unique=True),
    Column("number_sealed", LargeBinary, nullable=False),
    Column("linked_at", Instant, nullable=False),
)

link_grant = Table(
    "link_grant",
    metadata,
    Column("id", Id, primary_key=True),
    Column("holder", String(11), ForeignKey("holder.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("granted_to", String(32), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("granted_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    CheckConstraint("expires_at > granted_at", name="expiry_follows_grant"),
)

link_read = Table(
    "link_read",
    metadata,
    Column("id", Id, primary_key=True),
    # A read of somebody who is not ours is logged too, so this does not refer to a holder.
    Column("holder", String(32), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("reader", String(32), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("read_at", Instant, nullable=False),
    Column("outcome", String(24), nullable=False),
)

loss = Table(
    "loss",
    metadata,
    Column("id", Id, primary_key=True),
    # A card that nobody is tied to can be lost too.
    Column("holder", String(11), ForeignKey("holder.id")),
    Column("reported_at", Instant, nullable=False),
    Column("lifted_at", Instant),
    CheckConstraint("lifted_at IS NULL OR lifted_at >= reported_at", name="lifting_follows_report"),
)

lost_card = Table(
    "lost_card",
    metadata,
    Column("loss", Id, ForeignKey("loss.id"), primary_key=True),
    Column("card_no", String(20), ForeignKey("card.card_no"), primary_key=True),
    # Whether this loss listed it; one that was listed before stays listed when the loss is lifted.
    Column("hotlisted", Boolean, nullable=False),
    Column("restored_at", Instant),
)


def _one_open(name: str, column: Column[str], condition: str) -> None:
    """Of the rows that the condition calls open, one for each value of the column."""
    where = text(condition)
    Index(name, column, unique=True, sqlite_where=where, postgresql_where=where)


_one_open("one_holder_a_card", held_card.c.card_no, "untied_at IS NULL")
_one_open("one_open_loss_a_holder", loss.c.holder, "lifted_at IS NULL")
_one_open("one_open_loss_a_card", lost_card.c.card_no, "restored_at IS NULL")
