"""What social security remembers: funds, benefit batches line by line, contribution bills, who may be paid
from the subsidy pocket.

Lines and outcomes are written once; who a line is for is kept as a holder's id and a masked number only.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    text,
)

from ledger.db import Fen, Id, Instant, metadata

agency_fund = Table(
    "agency_fund",
    metadata,
    Column("fund", String(16), primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("agency", String(16), nullable=False),
    Column("limit_fen", Fen, nullable=False),  # how far payments may run ahead of the agency's money
    Column("registered_at", Instant, nullable=False),
    CheckConstraint("limit_fen >= 0", name="limit_is_not_negative"),
)

benefit_batch = Table(
    "benefit_batch",
    metadata,
    Column("agency", String(16), primary_key=True),
    Column("number", String(24), primary_key=True),
    Column("fund", String(16), nullable=False),
    Column("programme", String(24), nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the file
    Column("line_count", Id, nullable=False),
    Column("total_fen", Fen, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("state", String(8), nullable=False),
    Column("checked_by", String(64)),
    Column("checked_at", Instant),
    Column("why_rejected", String(200)),
    Column("business_date", Date),  # of the payment; null: not paid
    Column("paid_at", Instant),
    Column("available_fen", Fen),  # in the fund, just before the payment
    Column("paid_fen", Fen),
    CheckConstraint("state in ('received', 'approved', 'rejected', 'paid')", name="state_is_known"),
    CheckConstraint("checked_by is null or checked_by <> made_by", name="two_persons"),
    CheckConstraint(
        "(state = 'received') = (checked_by is null) and (checked_at is null) = (checked_by is null)",
        name="checked_when_left",
    ),
    CheckConstraint("(state = 'rejected') = (why_rejected is not null)", name="rejected_with_a_reason"),
    CheckConstraint(
        "(state = 'paid') = (paid_at is not null) and (paid_at is null) = (paid_fen is null)"
        " and (paid_at is null) = (available_fen is null) and (paid_at is null) = (business_date is null)",
        name="payment_is_whole",
    ),
    CheckConstraint(
        "paid_fen is null or (paid_fen >= 0 and paid_fen <= total_fen"
        " and (paid_fen = 0 or paid_fen <= available_fen))",
        name="paid_within_the_fund",
    ),
    CheckConstraint("line_count >= 1 and total_fen >= 1", name="totals_are_positive"),
)

benefit_line = Table(
    "benefit_line",
    metadata,
    Column("agency", String(16), primary_key=True),
    Column("number", String(24), primary_key=True),
    Column("line", Integer, primary_key=True),  # in the file, where the first line is 1
    Column("claim", String(24), nullable=False),
    Column("holder", String(11)),  # null: nobody here has that identity
    Column("identity_masked", String(18), nullable=False),
    Column("pocket", String(8), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("memo", String(60), nullable=False),
    ForeignKeyConstraint(["agency", "number"], ["benefit_batch.agency", "benefit_batch.number"]),
    UniqueConstraint("agency", "number", "claim"),
    CheckConstraint("pocket in ('wallet', 'subsidy')", name="pocket_is_known"),
    CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    Index("ix_benefit_line_holder", "holder"),
)

benefit_outcome = Table(
    "benefit_outcome",
    metadata,
    Column("agency", String(16), primary_key=True),
    Column("number", String(24), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("claim", String(24), nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("reason", String(24), nullable=False),  # why it came back, else empty
    ForeignKeyConstraint(
        ["agency", "number", "line"], ["benefit_line.agency", "benefit_line.number", "benefit_line.line"]
    ),
    CheckConstraint("outcome in ('paid', 'returned')", name="outcome_is_known"),
    CheckConstraint("(outcome = 'paid') = (reason = '')", name="returned_with_a_reason"),
)
Index(
    "uq_benefit_outcome_paid_claim",
    benefit_outcome.c.agency,
    benefit_outcome.c.claim,
    unique=True,
    sqlite_where=text("outcome = 'paid'"),
    postgresql_where=text("outcome = 'paid'"),
)

contribution_bracket = Table(
    "contribution_bracket",
    metadata,
    Column("agency", String(16), primary_key=True),
    Column("insurance", String(24), primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("bracket", String(16), primary_key=True),
    Column("name", String(60), nullable=False),
    Column("per", String(5), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("payable_from", Date, nullable=False),
    Column("payable_to", Date, nullable=False),  # inclusive
    CheckConstraint("per in ('year', 'month')", name="per_is_known"),
    CheckConstraint("amount_fen > 0", name="amount_is_positive"),
    CheckConstraint("payable_to >= payable_from", name="period_is_not_empty"),
)

contribution_bill = Table(
    "contribution_bill",
    metadata,
    Column("agency", String(16), primary_key=True),
    Column("number", String(24), primary_key=True),
    Column("holder", String(11), nullable=False),  # the insured
    Column("insurance", String(24), nullable=False),
    Column("year", Integer, nullable=False),
    Column("first_month", Integer, nullable=False),
    Column("months", Integer, nullable=False),
    Column("bracket", String(16), nullable=False),  # empty: the payer chooses
    Column("issued_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
    CheckConstraint("first_month >= 1 and months >= 1 and first_month + months <= 13", name="within_a_year"),
    Index("ix_contribution_bill_holder", "holder"),
)

contribution_payment = Table(
    "contribution_payment",
    metadata,
    Column("agency", String(16), primary_key=True),
    Column("number", String(24), primary_key=True),
    Column("attempt", Integer, primary_key=True),  # 1, and one more after each cancelled payment
    Column("payer", String(11), nullable=False),
    Column("bracket", String(16), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("reference", String(64), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("paid_at", Instant, nullable=False),
    Column("cancelled_at", Instant),
    ForeignKeyConstraint(["agency", "number"], ["contribution_bill.agency", "contribution_bill.number"]),
    UniqueConstraint("reference"),
    CheckConstraint("attempt >= 1 and amount_fen > 0", name="numbers_are_positive"),
)
Index(
    "uq_contribution_payment_standing",
    contribution_payment.c.agency,
    contribution_payment.c.number,
    unique=True,
    sqlite_where=text("cancelled_at is null"),
    postgresql_where=text("cancelled_at is null"),
)

contribution_month = Table(
    "contribution_month",
    metadata,
    Column("holder", String(11), primary_key=True),
    Column("insurance", String(24), primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("month", Integer, primary_key=True),
    Column("agency", String(16), nullable=False),
    Column("number", String(24), nullable=False),
    ForeignKeyConstraint(["agency", "number"], ["contribution_bill.agency", "contribution_bill.number"]),
    CheckConstraint("month between 1 and 12", name="month_is_one"),
)

merchant_kind = Table(
    "merchant_kind",
    metadata,
    Column("merchant", String(16), primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("registered_at", Instant, nullable=False),
)

subsidy_kind = Table(
    "subsidy_kind",
    metadata,
    Column("kind", String(24), primary_key=True),
    Column("allowed_at", Instant, nullable=False),
)
