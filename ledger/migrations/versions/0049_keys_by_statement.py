"""On PostgreSQL triggers ask once a statement whether totals and snapshots belong, where keys asked at every row."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0049_keys_by_statement"
down_revision = "0048_account_changes"
branch_labels = None
depends_on = None

# Accounts are numbered from 1 without gaps; neither they nor days are ever deleted or given another key.
_NO_ACCOUNT: Final = (
    "EXISTS (SELECT 1 FROM added HAVING min(account_id) < 1"
    " OR max(account_id) > coalesce((SELECT max(id) FROM ledger_account), 0))"
)
_NO_DAY: Final = (
    "EXISTS (SELECT 1 FROM (SELECT DISTINCT business_date FROM added) kept WHERE NOT EXISTS"
    " (SELECT 1 FROM ledger_day WHERE ledger_day.business_date = kept.business_date))"
)
_GUARDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "total": (_NO_ACCOUNT, "a total belongs to an account"),
        "snapshot": (f"{_NO_ACCOUNT} OR {_NO_DAY}", "a snapshot belongs to an account and a day"),
    }
)
"""When rows are refused, and in which words."""
_KEYS: Final = (
    ("total", "account_id", "ledger_account", "id"),
    ("snapshot", "account_id", "ledger_account", "id"),
    ("snapshot", "business_date", "ledger_day", "business_date"),
)


def upgrade() -> None:
    """Put triggers in the place of the keys; SQLite keeps them, as there they cost little."""
    if op.get_context().dialect.name != "postgresql":
        return
    for name, (stray, message) in _GUARDS.items():
        table = f"ledger_{name}"
        for key in sa.inspect(op.get_bind()).get_foreign_keys(table):
            op.drop_constraint(str(key["name"]), table, type_="foreignkey")
        # As in decision 0005: a plan made while a table was nearly empty must not read all of it later.
        op.execute(
            f"CREATE FUNCTION {table}_belongs() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off"
            f" AS $$ BEGIN IF {stray} THEN RAISE EXCEPTION '{message}'; END IF; RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_belongs AFTER INSERT ON {table} REFERENCING NEW TABLE AS added"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_belongs()"
        )


def downgrade() -> None:
    """Bring the keys back."""
    if op.get_context().dialect.name != "postgresql":
        return
    for name in _GUARDS:
        op.execute(f"DROP TRIGGER ledger_{name}_belongs ON ledger_{name}")
        op.execute(f"DROP FUNCTION ledger_{name}_belongs()")
    for name, column, table, key in _KEYS:
        op.create_foreign_key(op.f(f"fk_ledger_{name}_{column}"), f"ledger_{name}", table, [column], [key])
