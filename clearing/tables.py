"""What clearing remembers: devices, files, taps with their verdicts, chip loads, where each card stands.

Files and taps go by natural keys (operator, sequence, position), so that a night killed and run again
writes the same rows.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from ledger.db import Fen, Id, Instant, metadata

device = Table(
    "device",
    metadata,
    Column("terminal", String(12), primary_key=True),
    Column("operator", String(8), primary_key=True),
    Column("valid_from", Instant, primary_key=True),
    Column("valid_to", Instant),  # exclusive; null: until further notice
    Column("max_amount_fen", Fen),  # null: only the tariff's limit
    CheckConstraint("length(terminal) = 12", name="terminal_is_12_digits"),
    CheckConstraint("valid_to is null or valid_to > valid_from", name="period_is_not_empty"),
    CheckConstraint("max_amount_fen is null or max_amount_fen > 0", name="limit_is_positive"),
)

batch_file = Table(
    "batch_file",
    metadata,
    Column("operator", String(8), primary_key=True),
    Column("sequence", Id, primary_key=True),
    Column("digest", String(64), nullable=False),  # SHA-256 of the whole file: its name in the archive
    Column("business_date", Date, nullable=False),  # the operator's own, from the header
    Column("made_at", Instant, nullable=False),
    Column("record_count", Id, nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("collected_on", Date, nullable=False),  # the night's business date
    Column("cleared_on", Date),  # null: not yet in the books
    UniqueConstraint("digest"),
    CheckConstraint("sequence >= 1", name="sequence_starts_at_one"),
    CheckConstraint("record_count >= 0 and amount_fen >= 0", name="totals_are_not_negative"),
)

rejected_file = Table(
    "rejected_file",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("collected_on", Date, nullable=False),
    Column("flaw", String(32), nullable=False),
    Column("byte_offset", Id),  # null: the flaw has no place in the file
    Column("message", String(1000), nullable=False),
    Column("remedy", String(1000), nullable=False),
)

tap = Table(
    "tap",
    metadata,
    Column("operator", String(8), primary_key=True),
    Column("sequence", Id, primary_key=True),
    Column("position", Integer, primary_key=True),  # index of the record in its file, from 0
    Column("business_date", Date, nullable=False),  # the night it was first presented to
    Column("decided_on", Date, nullable=False),  # the night of the verdict below
    Column("verdict", String(24), nullable=False),
    Column("money", String(9), nullable=False),
    Column("card_no", String(20), nullable=False),
    Column("counter", Integer, nullable=False),
    Column("issuer", String(8), nullable=False),
    Column("ride", Integer, nullable=False),
    Column("holder_class", Integer, nullable=False),
    Column("terminal", String(12), nullable=False),
    Column("terminal_sequence", Id, nullable=False),
    Column("event_at", Instant),  # null: the record's date and time cannot be read
    Column("line", Integer, nullable=False),
    Column("station", Integer, nullable=False),
    Column("balance_before_fen", Fen, nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("list_fare_fen", Fen, nullable=False),
    Column("price_fen", Fen),  # the tariff's; null: not priced
    Column("paid_fen", Fen, nullable=False),
    Column("tac_ok", Boolean, nullable=False),
    Column("flaw", String(200), nullable=False),  # why a malformed record cannot be read, else empty
    Column("record", LargeBinary(64), nullable=False),
    # A trigger on PostgreSQL, as decision 0005 says of lines.
    ForeignKeyConstraint(["operator", "sequence"], ["batch_file.operator", "batch_file.sequence"]),
    CheckConstraint("money in ('paid', 'suspended', 'rejected', 'none')", name="money_is_known"),
    CheckConstraint("paid_fen >= 0 and paid_fen <= amount_fen", name="paid_is_within_amount"),
    CheckConstraint("money = 'paid' or paid_fen = 0", name="only_paid_taps_are_paid"),
    Index("ix_tap_card_no_counter", "card_no", "counter"),
    Index("ix_tap_decided_on", "decided_on"),
)
Index(
    "ix_tap_suspended",
    tap.c.business_date,
    sqlite_where=tap.c.money == "suspended",
    postgresql_where=tap.c.money == "suspended",
)

card_position = Table(
    "card_position",
    metadata,
    Column("card_no", String(20), primary_key=True),
    Column("first_counter", Integer, nullable=False),  # the lowest counter ever believed
    Column("counter", Integer, nullable=False),  # the highest
    Column("balance_fen", Fen, nullable=False),  # on the chip after the tap with that counter
    Column("event_at", Instant, nullable=False),
    CheckConstraint("first_counter <= counter", name="counters_are_ordered"),
)

cleared_night = Table(
    "cleared_night",
    metadata,
    Column("business_date", Date, primary_key=True),
    Column("booked_at", Instant, nullable=False),
    Column("taps", Id, nullable=False),
)

chip_load = Table(
    "chip_load",
    metadata,
    Column("reference", String(64), primary_key=True),
    Column("card_no", String(20), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("agent", String(32), nullable=False),
    Column("ordered_at", Instant, nullable=False),
    Column("confirmed_at", Instant),  # null: paid, but the chip has not answered yet
    Column("new_balance_fen", Fen),
    Column("load_counter", Integer),
    Column("tac", LargeBinary(4)),
    Column("holder", String(11)),  # whose wallet paid; null: the agent took the money, else agent is empty
    Column("returned_at", Instant),  # null: not returned; with a proof as well: the card took it after all
    # Null: `tac` is the load's TAC; else it is the MAC1 by which the card showed this load counter, a later one.
    Column("later_counter", Integer),
    CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    CheckConstraint(
        "(confirmed_at is null) = (tac is null) and (confirmed_at is null) = (load_counter is null)"
        " and (confirmed_at is null) = (new_balance_fen is null)",
        name="proof_is_whole",
    ),
    UniqueConstraint("card_no", "load_counter"),
)

fare_holding = Table(
    "fare_holding",
    metadata,
    # A fare product that a card bought: what discounts of a fare tariff may ask (docs/fares.md).
    Column("reference", String(64), primary_key=True),  # the seller's own
    Column("card_no", String(20), nullable=False),
    Column("product", String(100), nullable=False),
    Column("bought_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),  # null: it stands
    Column("withdrawn_by", String(64)),
    Column("withdrawn_why", String(200)),
    CheckConstraint("length(card_no) = 20", name="card_no_is_20_digits"),
    CheckConstraint(
        "(withdrawn_at is null) = (withdrawn_by is null) and (withdrawn_at is null) = (withdrawn_why is null)",
        name="withdrawal_is_whole",
    ),
    Index("ix_fare_holding_card_no", "card_no"),
)

load_attempt = Table(
    "load_attempt",
    metadata,
    # An offer of the card for which a MAC2 was let go; append-only, like the card's counter.
    Column("reference", String(64), ForeignKey("chip_load.reference"), primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1
    Column("card_no", String(20), nullable=False),
    Column("load_counter", Integer, nullable=False),
    Column("balance_fen", Fen, nullable=False),  # on the chip before it
    Column("terminal", String(12), nullable=False),
    Column("moment", LargeBinary(7), nullable=False),
    Column("authorised_at", Instant, nullable=False),
    CheckConstraint("number > 0", name="number_is_positive"),
    CheckConstraint("balance_fen >= 0", name="balance_is_not_negative"),
    Index("ix_load_attempt_card_no", "card_no", "load_counter"),
)
