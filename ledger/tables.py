"""The ledger's tables. Entry, line, snapshot and seal are append-only: the database itself refuses the rest.

Ids of accounts, entries and lines run without gaps in posting order, as one transaction writes at a time.
An entry's lines are neighbours: they are found by the entry's `first_line_id` and `line_count`, never by
`entry_id` alone, which has no index.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from ledger.db import Fen, Id, Instant, metadata

# Byte order, so that both databases sort and compare codes alike whatever locale they were made with.
Code = String(96).with_variant(String(96, collation="C"), "postgresql")

account = Table(
    "ledger_account",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("code", Code, nullable=False),
    Column("segment", Code, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("limit_rule", String(24), nullable=False),
    Column("owner", Text, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("debits_posted_fen", Fen, nullable=False),
    Column("credits_posted_fen", Fen, nullable=False),
    Column("debits_held_fen", Fen, nullable=False),
    Column("credits_held_fen", Fen, nullable=False),
    UniqueConstraint("code"),
    CheckConstraint("kind IN ('asset', 'liability', 'equity', 'income', 'expense')", name="kind"),
    CheckConstraint("limit_rule IN ('none', 'no_debit_balance', 'no_credit_balance')", name="limit_rule"),
    CheckConstraint(
        "limit_rule <> 'no_debit_balance' OR debits_posted_fen + debits_held_fen <= credits_posted_fen",
        name="no_debit_balance",
    ),
    CheckConstraint(
        "limit_rule <> 'no_credit_balance' OR credits_posted_fen + credits_held_fen <= debits_posted_fen",
        name="no_credit_balance",
    ),
    CheckConstraint(
        "debits_posted_fen BETWEEN 0 AND 1000000000000000000"
        " AND credits_posted_fen BETWEEN 0 AND 1000000000000000000"
        " AND debits_held_fen BETWEEN 0 AND 1000000000000000000"
        " AND credits_held_fen BETWEEN 0 AND 1000000000000000000",
        name="totals",
    ),
    CheckConstraint(
        "closed_at IS NULL"
        " OR (debits_posted_fen = credits_posted_fen AND debits_held_fen = 0 AND credits_held_fen = 0)",
        name="closed_empty",
    ),
    # Room on each page lets PostgreSQL renew running totals in place, without touching an index.
    postgresql_with={"fillfactor": 70},
)

control = Table(
    "ledger_control",
    metadata,
    Column("segment", Code, primary_key=True),
    Column("debits_posted_fen", Fen, nullable=False),
    Column("credits_posted_fen", Fen, nullable=False),
    CheckConstraint(
        "debits_posted_fen BETWEEN 0 AND 4000000000000000000"
        " AND credits_posted_fen BETWEEN 0 AND 4000000000000000000",
        name="totals",
    ),
)
"""What was posted to each sub-ledger as a whole, apart from its accounts so that each proves the other."""

day = Table(
    "ledger_day",
    metadata,
    Column("business_date", Date, primary_key=True),
    Column("state", String(8), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("closing_at", Instant),
    Column("closed_at", Instant),
    CheckConstraint("state IN ('open', 'closing', 'closed')", name="state"),
)

entry = Table(
    "ledger_entry",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("reference", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("business_date", Date, ForeignKey("ledger_day.business_date"), nullable=False),
    Column("event_at", Instant, nullable=False),
    Column("posted_at", Instant, nullable=False),
    Column("narrative", Text, nullable=False),
    Column("reverses_id", Id, ForeignKey("ledger_entry.id")),
    Column("first_line_id", Id, nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    UniqueConstraint("reference"),
    UniqueConstraint("reverses_id"),
    CheckConstraint("line_count > 0", name="line_count"),
    CheckConstraint("reverses_id <> id", name="reverses_another"),
    Index(None, "business_date"),
)

line = Table(
    "ledger_line",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    # A trigger holds these three, and that a line lies within its entry, for a whole statement at once.
    # Foreign keys ask row by row, for twice the price of all else; what is referred to is never deleted.
    Column("entry_id", Id, nullable=False),
    Column("debit_id", Id, nullable=False),
    Column("credit_id", Id, nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("item", Text, nullable=False),
    CheckConstraint("amount_fen > 0", name="amount"),
    CheckConstraint("debit_id <> credit_id", name="two_accounts"),
    Index(None, "debit_id", "id"),
    Index(None, "credit_id", "id"),
)

snapshot = Table(
    "ledger_snapshot",
    metadata,
    Column("account_id", Id, ForeignKey("ledger_account.id"), primary_key=True),
    Column("business_date", Date, ForeignKey("ledger_day.business_date"), primary_key=True),
    Column("debits_posted_fen", Fen, nullable=False),
    Column("credits_posted_fen", Fen, nullable=False),
)
"""Totals at the end of a closed business date, of the accounts that moved on it."""

seal = Table(
    "ledger_seal",
    metadata,
    Column("business_date", Date, ForeignKey("ledger_day.business_date"), primary_key=True),
    Column("entries", Id, nullable=False),
    Column("merkle_root", LargeBinary(32), nullable=False),
    Column("previous_root", LargeBinary(32), nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("sealed_at", Instant, nullable=False),
)
