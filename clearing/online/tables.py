"""What the online doors remember: payments with their legs, reversals, refunds, top-ups, strays.

The ledger holds the money. These rows hold what a payment was asked for and by whom, so that the same
request is known again, and how much of it has gone back, so that no more than all of it ever does.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from ledger.db import Fen, Id, Instant, metadata

Reference = String(128)

payment = Table(
    "payment",
    metadata,
    Column("reference", Reference, primary_key=True),
    Column("entry_id", Id, nullable=False),  # of the ledger's entry: payments in the order of booking
    Column("channel", String(16), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("merchant", String(16), nullable=False),
    Column("holder", String(11), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("refunded_fen", Fen, nullable=False),
    Column("reversed_by", Reference),  # null: the payment stands
    Column("business_date", Date, nullable=False),
    Column("event_at", Instant, nullable=False),
    Column("narrative", Text, nullable=False),
    UniqueConstraint("entry_id"),
    CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    CheckConstraint("refunded_fen >= 0 and refunded_fen <= amount_fen", name="refunds_are_within_amount"),
    CheckConstraint("reversed_by is null or refunded_fen = 0", name="reversed_is_not_refunded"),
    Index("ix_payment_holder_entry_id", "holder", "entry_id"),
    Index("ix_payment_business_date_merchant", "business_date", "merchant"),
)

payment_leg = Table(
    "payment_leg",
    metadata,
    Column("reference", Reference, ForeignKey("payment.reference"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),  # from 0, in the order asked for
    Column("account", String(96), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("refunded_fen", Fen, nullable=False),
    CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    CheckConstraint("refunded_fen >= 0 and refunded_fen <= amount_fen", name="refunds_are_within_amount"),
)

payment_reversal = Table(
    "payment_reversal",
    metadata,
    Column("reference", Reference, primary_key=True),
    # No foreign key: a reversal that arrives first is remembered, and its original is never booked.
    Column("original", Reference, nullable=False),
    Column("entry_id", Id),  # null: the original had not arrived, so nothing was booked
    Column("business_date", Date, nullable=False),
    Column("event_at", Instant, nullable=False),
    Column("why", Text, nullable=False),
    UniqueConstraint("original"),
    UniqueConstraint("entry_id"),
    Index("ix_payment_reversal_business_date", "business_date"),
)

payment_refund = Table(
    "payment_refund",
    metadata,
    Column("reference", Reference, primary_key=True),
    Column("original", Reference, ForeignKey("payment.reference"), nullable=False),
    Column("entry_id", Id, nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("event_at", Instant, nullable=False),
    UniqueConstraint("entry_id"),
    CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    Index("ix_payment_refund_original", "original"),
    Index("ix_payment_refund_business_date", "business_date"),
)

topup = Table(
    "topup",
    metadata,
    Column("reference", Reference, primary_key=True),
    Column("holder", String(11), nullable=False),
    Column("channel_id", String(16), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("ordered_at", Instant, nullable=False),
    Column("expires_at", Instant),  # null: the channel may confirm whenever it likes
    Column("state", String(9), nullable=False),
    Column("channel_reference", Reference),  # the channel's own number of the payment
    Column("settled_at", Instant),  # when the channel says it was paid, or failed
    Column("entry_id", Id),
    Column("late", Boolean, nullable=False),  # confirmed after it had expired, or had been said to fail
    UniqueConstraint("channel_id", "channel_reference"),
    CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    CheckConstraint("state in ('pending', 'failed', 'confirmed')", name="state_is_known"),
    CheckConstraint(
        "(state = 'pending') = (settled_at is null) and (state = 'confirmed') = (entry_id is not null)"
        " and (state = 'confirmed') = (channel_reference is not null)",
        name="state_is_whole",
    ),
    Index("ix_topup_holder", "holder"),
)
Index(
    "ix_topup_pending",
    topup.c.ordered_at,
    sqlite_where=topup.c.state == "pending",
    postgresql_where=topup.c.state == "pending",
)

stray_confirmation = Table(
    "stray_confirmation",
    metadata,
    Column("channel_id", String(16), primary_key=True),
    Column("channel_reference", Reference, primary_key=True),
    Column("reference", Reference, primary_key=True),
    Column("amount_fen", Fen, primary_key=True, autoincrement=False),
    Column("reason", String(24), nullable=False),
    Column("event_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
)
"""What a channel says it was paid and we could not book: money in its hands that a person has to place."""
