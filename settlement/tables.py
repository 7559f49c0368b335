"""The tables of this room: participants, their agreements, net positions, instructions, nights, work."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from ledger.db import Fen, Id, Instant, metadata

participant = Table(
    "settlement_participant",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(140), nullable=False),
    Column("name_zh", String(140), nullable=False),
    Column("account_no", String(34), nullable=False),
    Column("bank_code", String(12), nullable=False),
    Column("bank_name", String(140), nullable=False),
    Column("registered_at", Instant, nullable=False),
    CheckConstraint("length(bank_code) = 12", name="bank_code"),
)

agreement = Table(
    "settlement_agreement",
    metadata,
    Column("participant", String(16), ForeignKey("settlement_participant.id"), primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date),
    Column("fee_bp", Integer, nullable=False),
    Column("fee_min_fen", Fen, nullable=False),
    Column("fee_max_fen", Fen),
    Column("cycle", String(4), nullable=False),
    Column("registered_at", Instant, nullable=False),
    CheckConstraint("fee_bp BETWEEN 0 AND 10000", name="fee_bp"),
    CheckConstraint("fee_min_fen >= 0", name="fee_min"),
    CheckConstraint("fee_max_fen IS NULL OR fee_max_fen >= fee_min_fen", name="fee_max"),
    CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name="validity"),
)

account_change = Table(
    "settlement_account_change",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1
    Column("participant", String(16), ForeignKey("settlement_participant.id"), nullable=False),
    Column("was_account_no", String(34), nullable=False),
    Column("was_bank_code", String(12), nullable=False),
    Column("was_bank_name", String(140), nullable=False),
    Column("to_account_no", String(34), nullable=False),
    Column("to_bank_code", String(12), nullable=False),
    Column("to_bank_name", String(140), nullable=False),
    Column("state", String(11), nullable=False),
    Column("proposed_by", String(64), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("decided_by", String(64)),
    Column("decided_at", Instant),
    Column("decided_why", String(500)),
    CheckConstraint(
        "state IN ('proposed', 'approved', 'turned_down', 'void', 'withdrawn')", name="state_is_known"
    ),
    CheckConstraint(
        "(state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)"
        " AND (decided_by IS NULL) = (decided_why IS NULL)",
        name="decision_is_whole",
    ),
    CheckConstraint(
        "decided_by IS NULL OR (decided_by = proposed_by) = (state = 'withdrawn')", name="two_people_decide"
    ),
    CheckConstraint("reason <> '' AND proposed_by <> ''", name="somebody_says_why"),
)
Index(
    "uq_settlement_account_change_waiting",
    account_change.c.participant,
    unique=True,
    postgresql_where=account_change.c.state == "proposed",
    sqlite_where=account_change.c.state == "proposed",
)

calendar_year = Table(
    "settlement_calendar_year",
    metadata,
    Column("year", SmallInteger, primary_key=True, autoincrement=False),
    Column("configured_at", Instant, nullable=False),
)

calendar_day = Table(
    "settlement_calendar_day",
    metadata,
    Column("day", Date, primary_key=True),
    Column("year", SmallInteger, ForeignKey("settlement_calendar_year.year"), nullable=False),
    Column("working", Boolean, nullable=False),
)

position = Table(
    "settlement_position",
    metadata,
    Column("business_date", Date, primary_key=True),
    Column("role", String(12), primary_key=True),
    Column("party", String(32), primary_key=True),
    Column("gross_fen", Fen, nullable=False),
    Column("fee_fen", Fen, nullable=False),
    Column("position_fen", Fen, nullable=False),
    Column("state", String(12), nullable=False),
    CheckConstraint("role IN ('participant', 'scheme', 'payer')", name="role"),
    CheckConstraint("state IN ('netted', 'carried', 'counterpart')", name="state"),
    CheckConstraint("role <> 'participant' OR gross_fen = fee_fen + position_fen", name="gross"),
)

instruction = Table(
    "settlement_instruction",
    metadata,
    Column("end_to_end_id", String(35), primary_key=True),
    Column("business_date", Date, nullable=False),
    Column("participant", String(16), ForeignKey("settlement_participant.id"), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("value_date", Date, nullable=False),
    Column("account_no", String(34), nullable=False),
    Column("bank_code", String(12), nullable=False),
    Column("message_id", String(35), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    # What the bank's answers make of it, and since which business day; null: it has not said anything.
    Column("state_on", Date),
    Column("paid_fen", Fen, nullable=False, server_default="0"),  # what stands as paid after what came back
    Column("reason", String(600), nullable=False, server_default=""),  # the bank's words, or two people's
    Column(
        "replaces", String(35), ForeignKey("settlement_instruction.end_to_end_id")
    ),  # paid again by this one
    CheckConstraint("amount_fen > 0", name="amount"),
    CheckConstraint("state IN ('awaiting_bank', 'accepted', 'paid', 'rejected', 'returned')", name="state"),
    CheckConstraint("paid_fen >= 0 AND paid_fen <= amount_fen", name="paid_within_amount"),
    UniqueConstraint("replaces"),
)
Index("ix_settlement_instruction_business_date", instruction.c.business_date)
Index("ix_settlement_instruction_state", instruction.c.state)

night_run = Table(
    "night_run",
    metadata,
    Column("business_date", Date, primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("state", String(12), nullable=False),
    Column("refused_step", String(32)),
    Column("refused_reason", String(2000)),
    Column("finished_at", Instant),
    CheckConstraint("state IN ('running', 'refused', 'finished')", name="state"),
    CheckConstraint("(state = 'refused') = (refused_step IS NOT NULL)", name="refused"),
)

night_step = Table(
    "night_step",
    metadata,
    Column("business_date", Date, primary_key=True),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    Column("step", String(32), nullable=False),
    Column("counts", JSON, nullable=False),
    Column("files", JSON, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("finished_at", Instant, nullable=False),
    Column("duration_ms", BigInteger),  # null: nobody took the time
    ForeignKeyConstraint(["business_date"], ["night_run.business_date"]),
)

batch_replacement = Table(
    "batch_replacement",
    metadata,
    # A file that was withdrawn before its night booked it; append-only, the archive keeps both files.
    Column("operator", String(8), primary_key=True),
    Column("sequence", Id, primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1
    Column("night", Date, nullable=False),  # the business date whose night had collected it
    Column("old_digest", String(64), nullable=False),
    Column("old_count", Id, nullable=False),
    Column("old_amount_fen", Fen, nullable=False),
    Column("new_digest", String(64), nullable=False),
    Column("new_count", Id, nullable=False),
    Column("new_amount_fen", Fen, nullable=False),
    Column("undone", JSON, nullable=False),  # [step, digest in hex] of every step that is done anew
    Column("reason", String(500), nullable=False),
    Column("replaced_by", String(64), nullable=False),
    Column("replaced_at", Instant, nullable=False),
    CheckConstraint("number >= 1", name="number_starts_at_one"),
    CheckConstraint("old_digest <> new_digest", name="content_differs"),
    CheckConstraint("reason <> '' and replaced_by <> ''", name="somebody_says_why"),
    ForeignKeyConstraint(["operator", "sequence"], ["batch_file.operator", "batch_file.sequence"]),
)

work_item = Table(
    "work_item",
    metadata,
    # Something a person must look at, known by what it is about; append-only, what became of it are its events.
    Column("number", Id, primary_key=True, autoincrement=False),
    Column("kind", String(24), nullable=False),
    Column("subject", String(320), nullable=False),
    Column("raised_on", Date, nullable=False),  # the business date whose night found it first
    Column("due_on", Date, nullable=False),  # until an event says otherwise
    UniqueConstraint("kind", "subject"),
    CheckConstraint("number >= 1", name="number_starts_at_one"),
    CheckConstraint("due_on >= raised_on", name="due_after_raised"),
)

work_event = Table(
    "work_event",
    metadata,
    Column("item", Id, ForeignKey("work_item.number"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1
    Column("happened", String(8), nullable=False),
    Column("at", Instant, nullable=False),
    Column("who", String(64), nullable=False),
    Column(
        "item_count", Id
    ),  # how many taps, files or lines it stands for; null: the event says nothing of them
    Column("amount_fen", Fen),
    Column("what", String(2000), nullable=False),
    Column("remedy", String(1000), nullable=False),
    Column("due_on", Date),  # the deadline of what happens anew; null: the one before
    CheckConstraint("number >= 1", name="number_starts_at_one"),
    CheckConstraint("who <> ''", name="somebody_did_it"),
    CheckConstraint("happened IN ('raised', 'changed', 'taken', 'done', 'back', 'cleared')", name="happened"),
    CheckConstraint("(happened IN ('raised', 'changed')) = (item_count IS NOT NULL)", name="figures"),
)
