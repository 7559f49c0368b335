"""What the bank has told us, line by line, and what two people decided where it does not agree with us.

Files and what they say are kept for good. A line changes only in what of it is still in suspense, a proposal only as
it is decided, once.
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
    text,
)

from ledger.db import Fen, Id, Instant, metadata

bank_file = Table(
    "bank_file",
    metadata,
    Column("number", Id, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the whole file: its name in the archive
    Column("name", String(255), nullable=False),  # as it came the first time
    Column("kind", String(9), nullable=False),
    Column("state", String(9), nullable=False),
    Column("message", String(2000), nullable=False),
    Column("remedy", String(1000), nullable=False),
    Column("read_at", Instant, nullable=False),
    Column("read_on", Date, nullable=False),  # the business day that was open
    UniqueConstraint("digest"),
    CheckConstraint("number >= 1", name="number_starts_at_one"),
    CheckConstraint("kind in ('status', 'statement', 'unknown')", name="kind_is_known"),
    CheckConstraint("state in ('taken', 'refused', 'explained')", name="state_is_known"),
    CheckConstraint("(state = 'taken') = (remedy = '')", name="refused_has_a_remedy"),
)

bank_status = Table(
    "bank_status",
    metadata,
    # What a pain.002 says of one payment; append-only.
    Column("file", Id, ForeignKey("bank_file.number"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),  # from 1
    Column("end_to_end_id", String(35), nullable=False),
    Column("level", String(11), nullable=False),  # where it stands: what holds above holds for all below
    Column("status", String(4), nullable=False),
    Column("reason_code", String(35), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("effect", String(11), nullable=False),
    CheckConstraint("level in ('group', 'payment', 'transaction')", name="level_is_known"),
    CheckConstraint("effect in ('moved', 'same', 'contradicts', 'unknown')", name="effect_is_known"),
    Index("ix_bank_status_end_to_end_id", "end_to_end_id"),
)

bank_statement = Table(
    "bank_statement",
    metadata,
    Column("number", Id, primary_key=True, autoincrement=False),  # ours, in the order they came
    Column("file", Id, ForeignKey("bank_file.number"), nullable=False),
    Column("account_no", String(34), nullable=False),
    Column("statement_id", String(35), nullable=False),
    Column("sequence", Id, nullable=False),  # the bank's
    Column("opening_on", Date, nullable=False),
    Column("opening_fen", Fen, nullable=False),
    Column("day", Date, nullable=False),  # of the closing balance
    Column("closing_fen", Fen, nullable=False),
    Column("content", String(64), nullable=False),  # SHA-256 of what it says, however it is written
    Column("booked_on", Date, nullable=False),  # the business day that its lines are booked on
    Column("gap_explained", Boolean, nullable=False),  # two people said why the number before it is missing
    UniqueConstraint("account_no", "statement_id"),
    CheckConstraint("number >= 1", name="number_starts_at_one"),
    CheckConstraint("day >= opening_on", name="closes_after_it_opens"),
    Index("ix_bank_statement_booked_on", "booked_on"),
)

bank_line = Table(
    "bank_line",
    metadata,
    Column("statement", Id, ForeignKey("bank_statement.number"), primary_key=True, autoincrement=False),
    Column(
        "position", Integer, primary_key=True, autoincrement=False
    ),  # from 1, payments of a batch one by one
    Column("amount_fen", Fen, nullable=False),
    Column("direction", String(3), nullable=False),
    Column("reversal", Boolean, nullable=False),
    Column("bank_day", Date, nullable=False),
    Column("value_on", Date, nullable=False),
    Column("end_to_end_id", String(35), nullable=False),  # empty: none
    Column("bank_reference", String(35), nullable=False),
    Column("party", String(140), nullable=False),
    Column("party_account", String(34), nullable=False),
    Column("remittance", String(500), nullable=False),
    Column("fate", String(11), nullable=False),
    Column("what", String(500), nullable=False),  # is wrong with it; of what fits, empty
    Column("instruction", String(35), ForeignKey("settlement_instruction.end_to_end_id")),
    Column("entry", Text, nullable=False),  # reference of the entry that has it in the books
    Column("open_fen", Fen, nullable=False),  # what of it is in suspense
    CheckConstraint("position >= 1", name="position_starts_at_one"),
    CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    CheckConstraint("direction in ('in', 'out')", name="direction_is_known"),
    CheckConstraint(
        "fate in ('paid', 'returned', 'known', 'differs', 'twice', 'contradicts', 'theirs_only')",
        name="fate_is_known",
    ),
    CheckConstraint("open_fen >= 0 and open_fen <= amount_fen", name="open_is_within_amount"),
    CheckConstraint(
        "open_fen = 0 or fate in ('differs', 'twice', 'contradicts', 'theirs_only')", name="what_fits_is_done"
    ),
    Index(
        "ix_bank_line_open",
        "open_fen",
        postgresql_where=text("open_fen > 0"),
        sqlite_where=text("open_fen > 0"),
    ),
    Index("ix_bank_line_entry", "entry"),
    # One line pays an instruction and one returns it, whoever else says so.
    Index(
        "uq_bank_line_instruction",
        "instruction",
        "fate",
        unique=True,
        postgresql_where=text("fate in ('paid', 'returned')"),
        sqlite_where=text("fate in ('paid', 'returned')"),
    ),
)

bank_proposal = Table(
    "bank_proposal",
    metadata,
    # What one person proposes to do about an open point; written once, decided once.
    Column("number", Id, primary_key=True, autoincrement=False),
    Column("decision", String(9), nullable=False),
    Column("point", String(40), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("account", String(96), nullable=False),  # of `book`: where the money goes; else empty
    Column("other", String(40), nullable=False),  # of `offset`: the other line; else empty
    Column("account_no", String(34), nullable=False),  # of `pay_again`: on which account, at which bank
    Column("bank_code", String(12), nullable=False),
    Column("bank_name", String(140), nullable=False),
    Column("account_no_before", String(34), nullable=False),
    Column("bank_code_before", String(12), nullable=False),
    Column("bank_name_before", String(140), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("proposed_by", String(64), nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("state", String(11), nullable=False),
    Column("decided_by", String(64)),  # null: nobody has yet; of what is withdrawn: who proposed it
    Column("decided_at", Instant),
    Column("decided_why", String(500)),
    Column("business_date", Date),  # the open day that it was carried out on; null: it was not
    Column("made", String(35), nullable=False),  # the instruction that `pay_again` made
    CheckConstraint(
        "decision in ('pay_again', 'reject', 'settle', 'book', 'offset', 'explain')", name="decision_is_known"
    ),
    CheckConstraint(
        "state in ('proposed', 'approved', 'turned_down', 'void', 'withdrawn')", name="state_is_known"
    ),
    CheckConstraint(
        "(state = 'proposed') = (decided_by is null) and (decided_by is null) = (decided_at is null)"
        " and (decided_by is null) = (decided_why is null)",
        name="decision_is_whole",
    ),
    CheckConstraint("(state = 'approved') = (business_date is not null)", name="approved_is_carried_out"),
    CheckConstraint(
        "decided_by is null or (decided_by = proposed_by) = (state = 'withdrawn')", name="two_people_decide"
    ),
    CheckConstraint("reason <> '' and proposed_by <> ''", name="somebody_says_why"),
    Index(
        "uq_bank_proposal_point",
        "point",
        unique=True,
        postgresql_where=text("state = 'proposed'"),
        sqlite_where=text("state = 'proposed'"),
    ),
)
