"""What the gateway remembers: terminals with their working keys, and every message that it has answered."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from ledger.db import Id, Instant, metadata

gateway_terminal = Table(
    "gateway_terminal",
    metadata,
    Column("terminal", String(8), primary_key=True),
    Column("merchant", String(15), nullable=False),  # the participant; field 42, there padded with spaces
    Column("specification", String(16), nullable=False),
    Column("master_key_version", SmallInteger, nullable=False),  # of the key that its working keys come under
    Column("enrolled_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),  # null: in service
    # Working keys as the HSM wrapped them for us. The offered one is the newest handed out; it becomes the
    # current one when the terminal has first used it, so that a lost answer to a sign-on loses no key.
    Column("current_key", LargeBinary(24)),
    Column("offered_key", LargeBinary(24)),
    Column("offered_at", Instant),
    CheckConstraint("length(terminal) = 8", name="terminal_is_8_characters"),
    CheckConstraint("(offered_key is null) = (offered_at is null)", name="offer_is_whole"),
)

gateway_message = Table(
    "gateway_message",
    metadata,
    Column("number", Id, primary_key=True, autoincrement=False),  # in the order of booking, from 1
    Column("terminal", String(8), ForeignKey("gateway_terminal.terminal"), nullable=False),
    Column("mti", String(4), nullable=False),
    Column("stan", String(6), nullable=False),
    Column("local_date", Date, nullable=False),  # the terminal's own, field 13
    Column("digest", LargeBinary(32), nullable=False),  # of the request without its MAC
    Column("reference", String(64), nullable=False),  # of the payment, reversal or refund
    Column("code", String(2), nullable=False),  # field 39
    Column("answer", String(2000), nullable=False),  # its fields as JSON, without the MAC
    Column("answered_at", Instant, nullable=False),
    UniqueConstraint("terminal", "mti", "stan", "local_date"),
    CheckConstraint("length(stan) = 6", name="stan_is_6_digits"),
)
