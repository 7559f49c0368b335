"""What QR payments leave behind: certificates, pay codes, merchants' codes, batches of rides and the rides."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from ledger.db import Fen, Id, Instant, metadata

qr_certificate = Table(
    "qr_certificate",
    metadata,
    Column("serial", String(16), primary_key=True),
    Column("holder", String(16), nullable=False),
    Column("device_key", LargeBinary(32), nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("limit_fen", Fen, nullable=False),
    Column("holder_class", Integer, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    CheckConstraint("limit_fen > 0", name="limit_is_positive"),
    CheckConstraint("expires_at > issued_at", name="life_is_not_empty"),
    Index("ix_qr_certificate_holder", "holder", "issued_at"),
)

qr_pay_code = Table(
    "qr_pay_code",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the code: whoever reads this cannot pay
    Column("holder", String(16), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("paid_by", String(128)),  # reference of the payment it was good for; null: not used
    UniqueConstraint("paid_by"),
    Index("ix_qr_pay_code_expires_at", "expires_at"),
)

qr_merchant_code = Table(
    "qr_merchant_code",
    metadata,
    Column("code", String(12), primary_key=True),
    Column("merchant", String(16), nullable=False),
    Column("name", String(25), nullable=False),
    Column("name_zh", String(25), nullable=False),
    Column("city", String(15), nullable=False),
    Column("category", String(4), nullable=False),
    Column("amount_fen", Fen),  # null: the payer says how much
    Column("one_time", Boolean, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
    Column("paid_by", String(128)),  # reference of the payment that a one-time code was good for
    CheckConstraint("amount_fen is null or amount_fen > 0", name="amount_is_positive"),
    CheckConstraint("not one_time or amount_fen is not null", name="one_time_names_its_amount"),
    CheckConstraint("one_time or paid_by is null", name="only_one_time_codes_are_spent"),
    UniqueConstraint("paid_by"),
    Index("ix_qr_merchant_code_merchant", "merchant"),
)

qr_batch_file = Table(
    "qr_batch_file",
    metadata,
    Column("operator", String(8), primary_key=True),
    Column("sequence", Id, primary_key=True),
    Column("digest", String(64), nullable=False),  # SHA-256 of the whole file: its name in the archive
    Column("business_date", Date, nullable=False),  # the operator's own, from the header
    Column("made_at", Instant, nullable=False),
    Column("record_count", Id, nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("cleared_on", Date, nullable=False),  # the night that took it in and judged it
    UniqueConstraint("digest"),
    CheckConstraint("sequence >= 1", name="sequence_starts_at_one"),
    CheckConstraint("record_count >= 0 and amount_fen >= 0", name="totals_are_not_negative"),
)

qr_ride = Table(
    "qr_ride",
    metadata,
    Column("operator", String(8), primary_key=True),
    Column("sequence", Id, primary_key=True),
    Column("position", Integer, primary_key=True),  # index of the record in its file, from 0
    Column("business_date", Date, nullable=False),  # the night it was first presented to
    Column("decided_on", Date, nullable=False),  # the night of the verdict below
    Column("verdict", String(24), nullable=False),
    Column("money", String(9), nullable=False),
    Column("holder", String(16), nullable=False),  # empty where the code cannot be read
    Column("serial", String(16), nullable=False),
    Column("nonce", String(16), nullable=False),
    Column("terminal", String(12), nullable=False),
    Column("terminal_sequence", Id, nullable=False),
    Column("event_at", Instant),  # null: the record cannot be read
    Column("ride", Integer, nullable=False),
    Column("line", Integer, nullable=False),
    Column("station", Integer, nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("price_fen", Fen),  # the tariff's; null: not priced
    Column("paid_fen", Fen, nullable=False),
    Column("short_fen", Fen, nullable=False),  # of what was paid, the part that the wallet did not hold
    Column("flaw", String(300), nullable=False),  # why a malformed record cannot be read, else empty
    Column("digest", String(64), nullable=False),
    Column("record", LargeBinary(384), nullable=False),
    ForeignKeyConstraint(["operator", "sequence"], ["qr_batch_file.operator", "qr_batch_file.sequence"]),
    CheckConstraint("money in ('paid', 'suspended', 'rejected', 'none')", name="money_is_known"),
    CheckConstraint("paid_fen >= 0 and paid_fen <= amount_fen", name="paid_is_within_amount"),
    CheckConstraint("short_fen >= 0 and short_fen <= paid_fen", name="short_is_within_paid"),
    CheckConstraint("money = 'paid' or paid_fen = 0", name="only_paid_rides_are_paid"),
    Index("ix_qr_ride_digest", "digest"),
    Index("ix_qr_ride_decided_on", "decided_on"),
    Index("ix_qr_ride_holder", "holder", "event_at"),
)
Index(
    "uq_qr_ride_paid_code",
    qr_ride.c.serial,
    qr_ride.c.nonce,
    unique=True,
    sqlite_where=qr_ride.c.money == "paid",
    postgresql_where=qr_ride.c.money == "paid",
)
"""A code is good for one ride: whatever a night decides, it cannot be paid twice."""
Index(
    "ix_qr_ride_suspended",
    qr_ride.c.business_date,
    sqlite_where=qr_ride.c.money == "suspended",
    postgresql_where=qr_ride.c.money == "suspended",
)
