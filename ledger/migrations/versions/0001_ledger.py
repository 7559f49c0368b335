"""The ledger: accounts, holds, entries of lines, business days, snapshots and seals, append-only where money is."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0001_ledger"
down_revision = None

APPEND_ONLY = (
    "ledger_account",
    "ledger_entry",
    "ledger_line",
    "ledger_hold",
    "ledger_hold_line",
    "ledger_event",
    "ledger_forestalled",
    "ledger_snapshot",
    "ledger_seal",
)
KEPT = ("ledger_total", "ledger_control", "ledger_day")
DEFINITION = "UPDATE OF account_id, may_debit, may_credit"
BACKWARDS = (
    "NEW.business_date <> OLD.business_date OR OLD.state || NEW.state"
    " NOT IN ('openopen', 'openclosing', 'closingclosing', 'closingclosed', 'closedclosed')"
)
# Accounts are numbered from 1 without gaps and never deleted, so that a line's account exists when its number
# is none of those that do not.
STRAY_ADDED = (
    "EXISTS (SELECT 1 FROM added HAVING min(debit_id) < 1 OR min(credit_id) < 1"
    " OR greatest(max(debit_id), max(credit_id)) > (SELECT max(id) FROM ledger_account))"
    # A scalar subquery is one lookup by key an entry, whatever the plan was first made for.
    " OR EXISTS (SELECT 1 FROM (SELECT entry_id, count(*) AS lines, min(id) AS first, max(id) AS last"
    " FROM added GROUP BY entry_id) n WHERE coalesce((SELECT e.line_count <> n.lines"
    " OR e.first_line_id <> n.first OR e.first_line_id + e.line_count - 1 <> n.last"
    " FROM ledger_entry e WHERE e.id = n.entry_id), true))"
)
# In place of a foreign key, which would ask row by row.
CLOSED_ADDED = (
    "EXISTS (SELECT 1 FROM (SELECT DISTINCT business_date FROM added) n WHERE coalesce((SELECT d.state = 'closed'"
    " FROM ledger_day d WHERE d.business_date = n.business_date), true))"
)
GAP_ADDED = (
    "EXISTS (SELECT 1 FROM added HAVING count(*) <> max(id) - min(id) + 1"
    " OR min(id) <> (SELECT coalesce(max(a.id), 0) + 1 FROM ledger_account a"
    " WHERE a.id < (SELECT min(id) FROM added)))"
)
FUNCTIONS = (
    "append_only",
    "keeps_rows",
    "fixed_definition",
    "day_order",
    "closed_day",
    "line_belongs",
    "no_gap",
)
TABLES = (
    "seal",
    "snapshot",
    "line",
    "entry",
    "forestalled",
    "event",
    "open_hold",
    "hold_line",
    "hold",
    "day",
    "control",
    "total",
    "account",
)
ID_OF_DATE = {
    "postgresql": "id / 10000000000 = EXTRACT(YEAR FROM business_date) * 10000"
    " + EXTRACT(MONTH FROM business_date) * 100 + EXTRACT(DAY FROM business_date)",
    "sqlite": "id / 10000000000 = CAST(replace(business_date, '-', '') AS INTEGER)",
}
Code = sa.String(96).with_variant(sa.String(96, collation="C"), "postgresql")


def upgrade() -> None:
    _create_accounts()
    _create_holds()
    _create_entries()
    _create_closes()
    for statement in _postgresql_guards() if _on_postgresql() else _sqlite_guards():
        op.execute(statement)


def downgrade() -> None:
    # A table takes its triggers with it, and that of the lines its partitions.
    for table in TABLES:
        op.drop_table(f"ledger_{table}")
    if _on_postgresql():
        for function in FUNCTIONS:
            op.execute(f"DROP FUNCTION ledger_{function}()")


def _on_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _create_accounts() -> None:
    op.create_table(
        "ledger_account",
        sa.Column("id", Id, primary_key=True, autoincrement=False),
        sa.Column("code", Code, nullable=False),
        sa.Column("segment", Code, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("limit_rule", sa.String(24), nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("opened_at", Instant, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.UniqueConstraint("code"),
        sa.CheckConstraint("kind IN ('asset', 'liability', 'equity', 'income', 'expense')", name="kind"),
        sa.CheckConstraint(
            "limit_rule IN ('none', 'no_debit_balance', 'no_credit_balance')", name="limit_rule"
        ),
    )
    op.create_table(
        "ledger_total",
        sa.Column(
            "account_id", Id, sa.ForeignKey("ledger_account.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("may_debit", sa.Boolean, nullable=False),
        sa.Column("may_credit", sa.Boolean, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("debits_posted_fen", Fen, nullable=False),
        sa.Column("credits_posted_fen", Fen, nullable=False),
        sa.Column("debits_held_fen", Fen, nullable=False),
        sa.Column("credits_held_fen", Fen, nullable=False),
        sa.Column("moved_on", sa.Date),
        sa.Column("debits_before_fen", Fen, nullable=False),
        sa.Column("credits_before_fen", Fen, nullable=False),
        sa.Column("last_line_id", Id, nullable=False),
        sa.Column("line_before_id", Id, nullable=False),
        sa.CheckConstraint(
            "may_debit OR debits_posted_fen + debits_held_fen <= credits_posted_fen", name="no_debit_balance"
        ),
        sa.CheckConstraint(
            "may_credit OR credits_posted_fen + credits_held_fen <= debits_posted_fen",
            name="no_credit_balance",
        ),
        sa.CheckConstraint(
            "debits_posted_fen BETWEEN 0 AND 1000000000000000000"
            " AND credits_posted_fen BETWEEN 0 AND 1000000000000000000"
            " AND debits_held_fen BETWEEN 0 AND 1000000000000000000"
            " AND credits_held_fen BETWEEN 0 AND 1000000000000000000",
            name="totals",
        ),
        sa.CheckConstraint(
            "NOT closed OR (debits_posted_fen = credits_posted_fen"
            " AND debits_held_fen = 0 AND credits_held_fen = 0)",
            name="closed_empty",
        ),
        postgresql_with={"fillfactor": 60},
    )
    op.create_table(
        "ledger_control",
        sa.Column("segment", Code, primary_key=True),
        sa.Column("debits_posted_fen", Fen, nullable=False),
        sa.Column("credits_posted_fen", Fen, nullable=False),
        sa.CheckConstraint(
            "debits_posted_fen BETWEEN 0 AND 4000000000000000000"
            " AND credits_posted_fen BETWEEN 0 AND 4000000000000000000",
            name="totals",
        ),
    )


def _create_holds() -> None:
    op.create_table(
        "ledger_hold",
        sa.Column("id", Id, primary_key=True, autoincrement=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("event_at", Instant, nullable=False),
        sa.Column("placed_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("narrative", sa.Text, nullable=False),
        sa.Column("line_count", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.UniqueConstraint("reference"),
        sa.CheckConstraint("line_count > 0", name="line_count"),
    )
    op.create_table(
        "ledger_hold_line",
        sa.Column("hold_id", Id, sa.ForeignKey("ledger_hold.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("debit_id", Id, sa.ForeignKey("ledger_account.id"), nullable=False),
        sa.Column("credit_id", Id, sa.ForeignKey("ledger_account.id"), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.CheckConstraint("amount_fen > 0", name="amount"),
        sa.CheckConstraint("debit_id <> credit_id", name="two_accounts"),
    )
    op.create_table(
        "ledger_open_hold",
        sa.Column("hold_id", Id, sa.ForeignKey("ledger_hold.id"), primary_key=True),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Index(None, "expires_at"),
    )
    op.create_table(
        "ledger_event",
        sa.Column("id", Id, primary_key=True, autoincrement=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("chain", sa.LargeBinary(32), nullable=False),
        sa.Index(None, "subject"),
    )
    op.create_table(
        "ledger_forestalled",
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("by_reference", sa.Text, nullable=False),
        sa.Column("at", Instant, nullable=False),
    )


def _create_entries() -> None:
    op.create_table(
        "ledger_day",
        sa.Column("business_date", sa.Date, primary_key=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("opened_at", Instant, nullable=False),
        sa.Column("closing_at", Instant),
        sa.Column("closed_at", Instant),
        sa.CheckConstraint("state IN ('open', 'closing', 'closed')", name="state"),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("id", Id, primary_key=True, autoincrement=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("event_at", Instant, nullable=False),
        sa.Column("posted_at", Instant, nullable=False),
        sa.Column("narrative", sa.Text, nullable=False),
        sa.Column("reverses_id", Id, sa.ForeignKey("ledger_entry.id")),
        sa.Column("settles_id", Id, sa.ForeignKey("ledger_hold.id")),
        sa.Column("first_line_id", Id, nullable=False),
        sa.Column("line_count", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("chain", sa.LargeBinary(32), nullable=False),
        sa.UniqueConstraint("reference"),
        sa.CheckConstraint("line_count > 0", name="line_count"),
        sa.CheckConstraint("reverses_id <> id", name="reverses_another"),
        sa.CheckConstraint(ID_OF_DATE[op.get_context().dialect.name], name="id_of_date"),
    )
    # Few entries take something back or settle a hold: an index of all of them would be nearly all empty.
    for column in ("reverses_id", "settles_id"):
        there = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"uq_ledger_entry_{column}", "ledger_entry", [column], unique=True,
            postgresql_where=there, sqlite_where=there,
        )  # fmt: skip
    op.create_table(
        "ledger_line",
        sa.Column("id", Id, primary_key=True, autoincrement=False),
        sa.Column("entry_id", Id, nullable=False),
        sa.Column("debit_id", Id, nullable=False),
        sa.Column("credit_id", Id, nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("debit_before_id", Id, nullable=False),
        sa.Column("credit_before_id", Id, nullable=False),
        sa.CheckConstraint("amount_fen > 0", name="amount"),
        sa.CheckConstraint("debit_id <> credit_id", name="two_accounts"),
        postgresql_partition_by="RANGE (id)",
    )


def _create_closes() -> None:
    op.create_table(
        "ledger_snapshot",
        sa.Column("account_id", Id, sa.ForeignKey("ledger_account.id"), primary_key=True),
        sa.Column("business_date", sa.Date, sa.ForeignKey("ledger_day.business_date"), primary_key=True),
        sa.Column("debits_posted_fen", Fen, nullable=False),
        sa.Column("credits_posted_fen", Fen, nullable=False),
    )
    op.create_table(
        "ledger_seal",
        sa.Column("business_date", sa.Date, sa.ForeignKey("ledger_day.business_date"), primary_key=True),
        sa.Column("entries", Id, nullable=False),
        sa.Column("merkle_root", sa.LargeBinary(32), nullable=False),
        sa.Column("chain", sa.LargeBinary(32), nullable=False),
        sa.Column("accounts", Id, nullable=False),
        sa.Column("holds", Id, nullable=False),
        sa.Column("events", Id, nullable=False),
        sa.Column("registers_root", sa.LargeBinary(32), nullable=False),
        sa.Column("previous_root", sa.LargeBinary(32), nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("key_version", sa.Integer, nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
        sa.Column("sealed_at", Instant, nullable=False),
    )


def _sqlite_guards() -> list[str]:
    guards = []
    for table in APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            guards.append(_sqlite_guard(table, f"no_{change.lower()}", change, "", f"{table} is append-only"))
    for table in KEPT:
        guards.append(_sqlite_guard(table, "no_delete", "DELETE", "", f"{table} keeps its rows"))
    guards.append(
        _sqlite_guard("ledger_total", "fixed_definition", DEFINITION, "", "an account is as it was opened")
    )
    gap = "WHEN NEW.id <> (SELECT coalesce(max(id), 0) + 1 FROM ledger_account)"
    guards.append(_sqlite_guard("ledger_account", "no_gap", "INSERT", gap, "accounts have no gap"))
    state = "(SELECT state FROM ledger_day WHERE business_date = NEW.business_date)"
    closed = f"WHEN coalesce({state}, 'closed') = 'closed'"
    guards.append(
        _sqlite_guard("ledger_entry", "closed_day", "INSERT", closed, "a closed day takes no entry")
    )
    guards.append(
        _sqlite_guard("ledger_day", "day_order", "UPDATE", f"WHEN {BACKWARDS}", "a day only goes on")
    )
    stray = (
        "WHEN min(NEW.debit_id, NEW.credit_id) < 1"
        " OR max(NEW.debit_id, NEW.credit_id) > (SELECT max(id) FROM ledger_account)"
        " OR NOT EXISTS (SELECT 1 FROM ledger_entry e WHERE e.id = NEW.entry_id"
        " AND NEW.id >= e.first_line_id AND NEW.id < e.first_line_id + e.line_count)"
    )
    guards.append(
        _sqlite_guard("ledger_line", "line_belongs", "INSERT", stray, "a line belongs to its entry")
    )
    return guards


def _sqlite_guard(table: str, name: str, event: str, when: str, message: str) -> str:
    body = f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
    return f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} {when} {body}"


def _postgresql_guards() -> list[str]:
    guards = [
        _function("append_only", "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;"),
        _function("keeps_rows", "RAISE EXCEPTION '% keeps its rows', TG_TABLE_NAME;"),
        _function("fixed_definition", "RAISE EXCEPTION 'an account is as it was opened';"),
        _function("day_order", _if(BACKWARDS, "a day only goes on", "NEW")),
        _function("closed_day", _if(CLOSED_ADDED, "a closed day takes no entry", "NULL")),
        _function("line_belongs", _if(STRAY_ADDED, "a line belongs to its entry", "NULL")),
        _function("no_gap", _if(GAP_ADDED, "accounts have no gap", "NULL")),
        _postgresql_guard("ledger_total", "fixed_definition", f"BEFORE {DEFINITION}", "FOR EACH STATEMENT"),
        _postgresql_guard("ledger_day", "day_order", "BEFORE UPDATE", "FOR EACH ROW"),
    ]
    for table, name in (
        ("ledger_account", "no_gap"),
        ("ledger_entry", "closed_day"),
        ("ledger_line", "line_belongs"),
    ):
        each = "REFERENCING NEW TABLE AS added FOR EACH STATEMENT"
        guards.append(_postgresql_guard(table, name, "AFTER INSERT", each))
    for table in APPEND_ONLY:
        event = "BEFORE UPDATE OR DELETE OR TRUNCATE"
        guards.append(_postgresql_guard(table, "append_only", event, "FOR EACH STATEMENT"))
    for table in KEPT:
        guards.append(
            _postgresql_guard(table, "keeps_rows", "BEFORE DELETE OR TRUNCATE", "FOR EACH STATEMENT")
        )
    return guards


def _postgresql_guard(table: str, name: str, event: str, each: str) -> str:
    return f"CREATE TRIGGER {table}_{name} {event} ON {table} {each} EXECUTE FUNCTION ledger_{name}()"


def _function(name: str, body: str) -> str:
    # Plans are kept: one that was made while a table was nearly empty must not read all of it later.
    by_key = "SET enable_seqscan = off"
    return (
        f"CREATE FUNCTION ledger_{name}() RETURNS trigger LANGUAGE plpgsql {by_key} AS $$ BEGIN {body} END $$"
    )


def _if(condition: str, message: str, otherwise: str) -> str:
    return f"IF {condition} THEN RAISE EXCEPTION '{message}'; END IF; RETURN {otherwise};"
