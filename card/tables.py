"""The register of cards and the hotlist, as tables."""

from sqlalchemy import CheckConstraint, Column, Integer, String, Table

from ledger.db import Instant, metadata

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
    Column("registered_at", Instant, nullable=False),
    CheckConstraint("length(card_no) = 20", name="card_no_is_20_digits"),
    CheckConstraint("length(issuer) = 8", name="issuer_is_8_digits"),
    CheckConstraint("holder_class in (1, 2, 3)", name="holder_class_is_known"),
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
