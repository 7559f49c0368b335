"""The tables of healthcare: hospitals, who is insured how, bills with their items, the insurer's answers and days."""

from sqlalchemy import (
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
    UniqueConstraint,
)

from ledger.db import Fen, Id, Instant, metadata

hospital = Table(
    "hospital",
    metadata,
    Column("participant", String(16), primary_key=True),
    Column("level", Integer, nullable=False),
    Column("registered_at", Instant, nullable=False),
    CheckConstraint("level between 1 and 3", name="level_is_known"),
)

medical_cover = Table(
    "medical_cover",
    metadata,
    Column("holder", String(16), primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date),  # the last day; null: no end yet
    Column("category", String(16), nullable=False),
    Column("registered_at", Instant, nullable=False),
    CheckConstraint("valid_to is null or valid_to >= valid_from", name="period_is_not_empty"),
    CheckConstraint("category in ('employee', 'resident', 'retired')", name="category_is_known"),
)

hospital_bill = Table(
    "hospital_bill",
    metadata,
    Column("reference", String(64), primary_key=True),
    Column("hospital", String(16), ForeignKey("hospital.participant"), nullable=False),
    Column("bill_no", String(40), nullable=False),
    Column("holder", String(16), nullable=False),
    Column("treated_on", Date, nullable=False),
    Column("benefit_year", Integer, nullable=False),
    Column("level", Integer, nullable=False),
    Column("category", String(16), nullable=False),
    Column("pool", String(32), nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),  # of what the hospital presented
    Column("total_fen", Fen, nullable=False),
    Column("fund_fen", Fen, nullable=False),
    Column("account_fen", Fen, nullable=False),
    Column("patient_fen", Fen, nullable=False),
    Column("deductible_fen", Fen, nullable=False),
    Column("co_payment_fen", Fen, nullable=False),
    Column("first_share_fen", Fen, nullable=False),
    Column("above_ceiling_fen", Fen, nullable=False),
    Column("not_covered_fen", Fen, nullable=False),
    Column("state", String(16), nullable=False),
    Column("why", String(200), nullable=False),  # what the insurer or the ledger said when it went otherwise
    Column("insurer_no", String(40), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("paid_at", Instant),  # null: no money of ours has moved
    Column("changed_at", Instant, nullable=False),
    # The business date that the insurer files the claim under; null: from before it was told one.
    Column("claimed_on", Date),
    UniqueConstraint("hospital", "bill_no"),
    CheckConstraint("total_fen > 0", name="total_is_positive"),
    CheckConstraint("total_fen = fund_fen + account_fen + patient_fen", name="payers_make_the_total"),
    CheckConstraint(
        "total_fen = fund_fen + deductible_fen + co_payment_fen + first_share_fen + above_ceiling_fen"
        " + not_covered_fen",
        name="parts_make_the_total",
    ),
    CheckConstraint(
        "fund_fen >= 0 and account_fen >= 0 and patient_fen >= 0 and deductible_fen >= 0"
        " and co_payment_fen >= 0 and first_share_fen >= 0 and above_ceiling_fen >= 0"
        " and not_covered_fen >= 0",
        name="no_part_is_negative",
    ),
    CheckConstraint(
        "state in ('claiming', 'unknown', 'paid', 'refused', 'cancelling', 'cancelled')",
        name="state_is_known",
    ),
    CheckConstraint(
        "(state <> 'paid' or paid_at is not null)"
        " and (state not in ('claiming', 'unknown', 'refused') or paid_at is null)",
        name="only_the_paid_are_paid",
    ),
    Index("ix_hospital_bill_holder_benefit_year", "holder", "benefit_year"),
    Index("ix_hospital_bill_claimed_on", "claimed_on"),
)
Index(
    "ix_hospital_bill_pending",
    hospital_bill.c.opened_at,
    sqlite_where=hospital_bill.c.state.in_(("claiming", "unknown", "cancelling")),
    postgresql_where=hospital_bill.c.state.in_(("claiming", "unknown", "cancelling")),
)

hospital_bill_item = Table(
    "hospital_bill_item",
    metadata,
    Column("reference", String(64), ForeignKey("hospital_bill.reference"), primary_key=True),
    Column("position", Integer, primary_key=True),  # from 1, as on the bill
    Column("code", String(32), nullable=False),
    Column("catalogue_class", String(1), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("first_share_bp", Integer, nullable=False),
    CheckConstraint("catalogue_class in ('A', 'B', 'C')", name="class_is_known"),
    CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    CheckConstraint("first_share_bp between 0 and 10000", name="share_is_possible"),
)

insurer_answer = Table(
    "insurer_answer",
    metadata,
    Column("reference", String(64), ForeignKey("hospital_bill.reference"), primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1, in the order heard
    Column("asked", String(8), nullable=False),
    Column("answer", String(16), nullable=False),
    Column("fund_fen", Fen, nullable=False),
    Column("detail", String(200), nullable=False),
    Column("heard_at", Instant, nullable=False),
    Column("legal", Boolean, nullable=False),  # false: the insurer contradicts what it said before
    CheckConstraint("asked in ('claim', 'query', 'cancel')", name="asked_is_known"),
    CheckConstraint("fund_fen >= 0", name="fund_is_not_negative"),
)

insurer_day = Table(
    "insurer_day",
    metadata,
    Column("business_date", Date, primary_key=True),
    Column("ours_count", Id, nullable=False),
    Column("ours_fen", Fen, nullable=False),
    Column("theirs_count", Id, nullable=False),
    Column("theirs_fen", Fen, nullable=False),
    Column("differences", Id, nullable=False),  # lines that differ; a day with some is asked for again
    Column("reconciled_at", Instant, nullable=False),  # the last time
    CheckConstraint("ours_count >= 0 and ours_fen >= 0", name="ours_is_not_negative"),
    CheckConstraint("theirs_count >= 0 and theirs_fen >= 0", name="theirs_is_not_negative"),
    CheckConstraint("differences >= 0", name="differences_are_counted"),
)
