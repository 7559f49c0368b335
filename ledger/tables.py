"""The ledger's tables. What is money or evidence is append-only: the database itself refuses the rest.

Accounts, holds and events are numbered from 1 without gaps; entries and lines as `ledger.ids` says. An
entry's lines are neighbours: they are found by the entry's `first_line_id` and `line_count`. A line names
the line before it on each of its two accounts, so that an account's history is a walk along the primary key
and the largest table needs no other index.
"""

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
    Text,
    UniqueConstraint,
    text,
)

from ledger.db import Fen, Id, Instant, metadata

# Byte order, so that both databases sort and compare codes alike whatever locale they were made with.
Code = String(96).with_variant(String(96, collation="C"), "postgresql")

ID_OF_DATE = {
    "postgresql": "id / 10000000000 = EXTRACT(YEAR FROM business_date) * 10000"
    " + EXTRACT(MONTH FROM business_date) * 100 + EXTRACT(DAY FROM business_date)",
    "sqlite": "id / 10000000000 = CAST(replace(business_date, '-', '') AS INTEGER)",
}
"""That the number of an entry tells its business date, as `ledger.ids` has it."""

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
    Column("digest", LargeBinary(32), nullable=False),
    UniqueConstraint("code"),
    CheckConstraint("kind IN ('asset', 'liability', 'equity', 'income', 'expense')", name="kind"),
    CheckConstraint("limit_rule IN ('none', 'no_debit_balance', 'no_credit_balance')", name="limit_rule"),
)
"""What an account is, for good."""

total = Table(
    "ledger_total",
    metadata,
    # On PostgreSQL a trigger holds the key for a whole statement, as it does those of lines.
    Column("account_id", Id, ForeignKey("ledger_account.id"), primary_key=True, autoincrement=False),
    Column("may_debit", Boolean, nullable=False),
    Column("may_credit", Boolean, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("debits_posted_fen", Fen, nullable=False),
    Column("credits_posted_fen", Fen, nullable=False),
    Column("debits_held_fen", Fen, nullable=False),
    Column("credits_held_fen", Fen, nullable=False),
    # The newest date that moved the account, and its totals when that date began. At most two days take
    # entries at once, so that these tell the end of either without looking at a line.
    Column("moved_on", Date),
    Column("debits_before_fen", Fen, nullable=False),
    Column("credits_before_fen", Fen, nullable=False),
    # The account's newest line, and what that was before the last posting: one statement renews and tells.
    Column("last_line_id", Id, nullable=False),
    Column("line_before_id", Id, nullable=False),
    CheckConstraint(
        "may_debit OR debits_posted_fen + debits_held_fen <= credits_posted_fen", name="no_debit_balance"
    ),
    CheckConstraint(
        "may_credit OR credits_posted_fen + credits_held_fen <= debits_posted_fen", name="no_credit_balance"
    ),
    CheckConstraint(
        "debits_posted_fen BETWEEN 0 AND 1000000000000000000"
        " AND credits_posted_fen BETWEEN 0 AND 1000000000000000000"
        " AND debits_held_fen BETWEEN 0 AND 1000000000000000000"
        " AND credits_held_fen BETWEEN 0 AND 1000000000000000000",
        name="totals",
    ),
    CheckConstraint(
        "NOT closed OR (debits_posted_fen = credits_posted_fen AND debits_held_fen = 0 AND credits_held_fen = 0)",
        name="closed_empty",
    ),
    # Room on each page lets PostgreSQL renew totals in place, without touching an index.
    postgresql_with={"fillfactor": 60},
)
"""What an account holds: the one narrow row of it that changes, apart from what it is."""

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

hold = Table(
    "ledger_hold",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("reference", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("event_at", Instant, nullable=False),
    Column("placed_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("narrative", Text, nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    UniqueConstraint("reference"),
    CheckConstraint("line_count > 0", name="line_count"),
)
"""Money that was set aside, whatever became of it; how a hold ended is an event."""

hold_line = Table(
    "ledger_hold_line",
    metadata,
    Column("hold_id", Id, ForeignKey("ledger_hold.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("debit_id", Id, ForeignKey("ledger_account.id"), nullable=False),
    Column("credit_id", Id, ForeignKey("ledger_account.id"), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("item", Text, nullable=False),
    CheckConstraint("amount_fen > 0", name="amount"),
    CheckConstraint("debit_id <> credit_id", name="two_accounts"),
)

open_hold = Table(
    "ledger_open_hold",
    metadata,
    Column("hold_id", Id, ForeignKey("ledger_hold.id"), primary_key=True),
    Column("expires_at", Instant, nullable=False),
    Index(None, "expires_at"),
)
"""The holds that have not ended, and so the only ones whose amounts are held."""

event = Table(
    "ledger_event",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("kind", String(24), nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("chain", LargeBinary(32), nullable=False),
    Index(None, "subject"),
)
"""What happened to days, accounts and holds: what other tables say now can be told again from here."""

forestalled = Table(
    "ledger_forestalled",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("by_reference", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
"""References taken back before they came: what comes under one of them is refused."""

entry = Table(
    "ledger_entry",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("reference", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("event_at", Instant, nullable=False),
    Column("posted_at", Instant, nullable=False),
    Column("narrative", Text, nullable=False),
    Column("reverses_id", Id, ForeignKey("ledger_entry.id")),
    Column("settles_id", Id, ForeignKey("ledger_hold.id")),
    Column("first_line_id", Id, nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("chain", LargeBinary(32), nullable=False),
    UniqueConstraint("reference"),
    *(
        Index(
            f"uq_ledger_entry_{name}",
            name,
            unique=True,
            postgresql_where=text(f"{name} IS NOT NULL"),
            sqlite_where=text(f"{name} IS NOT NULL"),
        )
        for name in ("reverses_id", "settles_id")
    ),
    CheckConstraint("line_count > 0", name="line_count"),
    CheckConstraint("reverses_id <> id", name="reverses_another"),
    *(
        CheckConstraint(condition, name="id_of_date").ddl_if(dialect=dialect)
        for dialect, condition in ID_OF_DATE.items()
    ),
)

line = Table(
    "ledger_line",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    # A trigger holds these three, and that the lines are their entry's, for a whole statement at once.
    # Foreign keys ask row by row, for twice the price of all else; what is referred to is never deleted.
    Column("entry_id", Id, nullable=False),
    Column("debit_id", Id, nullable=False),
    Column("credit_id", Id, nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("item", Text, nullable=False),
    Column("debit_before_id", Id, nullable=False),
    Column("credit_before_id", Id, nullable=False),
    CheckConstraint("amount_fen > 0", name="amount"),
    CheckConstraint("debit_id <> credit_id", name="two_accounts"),
    postgresql_partition_by="RANGE (id)",
)

overtaken = Table(
    "ledger_overtaken",
    metadata,
    Column("line_id", Id, primary_key=True, autoincrement=False),
    Column("account_id", Id, ForeignKey("ledger_account.id"), primary_key=True, autoincrement=False),
    Column("before_id", Id, nullable=False),
)
"""Lines that do not name the line before them on an account: that one was booked while they were being written."""

snapshot = Table(
    "ledger_snapshot",
    metadata,
    # On PostgreSQL a trigger holds both keys for a whole statement, as it does those of lines.
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
    Column("chain", LargeBinary(32), nullable=False),
    Column("accounts", Id, nullable=False),
    Column("holds", Id, nullable=False),
    Column("events", Id, nullable=False),
    Column("registers_root", LargeBinary(32), nullable=False),
    Column("previous_root", LargeBinary(32), nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("sealed_at", Instant, nullable=False),
)
"""A day under one signed root; `accounts`, `holds` and `events` are the newest numbers that it covers."""

archive = Table(
    "ledger_archive",
    metadata,
    Column("month", Date, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("rows", Id, nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("archived_at", Instant, nullable=False),
    UniqueConstraint("name"),
)
"""Months, by their first day, whose lines are in a signed file of this name in the archive's folder."""
