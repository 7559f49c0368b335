"""What the utilities room remembers: billers, payments of bills, notices on their way, daily files, differences."""

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
)

from ledger.db import Fen, Id, Instant, metadata

biller = Table(
    "utility_biller",
    metadata,
    Column("id", String(16), primary_key=True),  # the participant that is paid
    Column("name", String(140), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("part_payment", Boolean, nullable=False),
    Column("registered_at", Instant, nullable=False),
    CheckConstraint("kind in ('water', 'power', 'gas', 'cable')", name="kind_is_known"),
)

payment = Table(
    "utility_payment",
    metadata,
    Column("reference", String(80), primary_key=True),
    Column("biller", String(16), ForeignKey("utility_biller.id"), nullable=False),
    Column("account_no", String(32), nullable=False),
    Column("bill_no", String(32), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("holder", String(16), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("event_at", Instant, nullable=False),
    Column("state", String(12), nullable=False),
    Column("state_at", Instant, nullable=False),
    CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    CheckConstraint(
        "state in ('paid', 'written_off', 'reversing', 'reversed', 'returned')", name="state_is_known"
    ),
    Index("ix_utility_payment_day", "biller", "business_date"),
    Index("ix_utility_payment_bill", "biller", "bill_no"),
    Index("ix_utility_payment_holder", "holder"),
)

notice = Table(
    "utility_notice",
    metadata,
    Column("reference", String(80), ForeignKey("utility_payment.reference"), primary_key=True),
    Column("act", String(9), primary_key=True),
    Column("queued_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),  # not before this instant is it tried next
    Column("attempts", Integer, nullable=False),
    Column("answered_at", Instant),  # null: nobody has answered, and it is sent again
    Column("answer", String(10)),
    Column("message", String(500), nullable=False),  # the biller's own words, or why there is no answer
    CheckConstraint("act in ('write_off', 'reverse')", name="act_is_known"),
    CheckConstraint("answer in ('taken', 'refused', 'by_file', 'overtaken')", name="answer_is_known"),
    CheckConstraint("(answered_at is null) = (answer is null)", name="answer_is_whole"),
    CheckConstraint("attempts >= 0", name="attempts_are_counted"),
)
Index(
    "ix_utility_notice_due",
    notice.c.due_at,
    sqlite_where=notice.c.answered_at.is_(None),
    postgresql_where=notice.c.answered_at.is_(None),
)

daily_file = Table(
    "utility_file",
    metadata,
    Column("biller", String(16), ForeignKey("utility_biller.id"), primary_key=True),
    Column("business_date", Date, primary_key=True),
    Column("issue", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),  # SHA-256 of the whole file
    Column("made_at", Instant, nullable=False),
    Column("line_count", Id, nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("reconciled_at", Instant, nullable=False),  # the last time
    CheckConstraint("issue >= 1", name="issues_start_at_one"),
    CheckConstraint("line_count >= 0 and amount_fen >= 0", name="totals_are_not_negative"),
)

difference = Table(
    "utility_difference",
    metadata,
    Column("biller", String(16), ForeignKey("utility_biller.id"), primary_key=True),
    Column("business_date", Date, primary_key=True),
    Column("reference", String(80), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("ours_fen", Fen),  # null: we have no such payment
    Column("theirs_fen", Fen),  # null: it is not in the biller's file
    Column("account_no", String(32), nullable=False),
    Column("bill_no", String(32), nullable=False),
    Column("message", String(500), nullable=False),
    Column("found_at", Instant, nullable=False),
    Column("issue", Integer, nullable=False),  # of the file that it was last found in
    Column("claims", Integer, nullable=False),  # how often it went to suspense
    Column("suspense_entry", String(200)),  # the entry that holds the claim in suspense now
    Column("settled_at", Instant),  # null: open
    CheckConstraint(
        "kind in ('ours_only', 'theirs_only', 'other_amount', 'other_bill', 'reversal_open')",
        name="kind_is_known",
    ),
    CheckConstraint("ours_fen is not null or theirs_fen is not null", name="one_side_at_least"),
)
