"""On PostgreSQL a trigger asks once a statement for accounts and days of snapshots, where keys asked at every row."""

import sqlalchemy as sa
from alembic import op

revision = "0049_snapshot_belongs"
down_revision = "0048_account_changes"
branch_labels = None
depends_on = None

# Accounts are numbered from 1 without gaps; neither they nor days are ever deleted or given another key.
_STRAY = (
    "EXISTS (SELECT 1 FROM added HAVING min(account_id) < 1"
    " OR max(account_id) > coalesce((SELECT max(id) FROM ledger_account), 0))"
    " OR EXISTS (SELECT 1 FROM (SELECT DISTINCT business_date FROM added) kept WHERE NOT EXISTS"
    " (SELECT 1 FROM ledger_day WHERE ledger_day.business_date = kept.business_date))"
)


def upgrade() -> None:
    """Put a trigger in the place of the keys; SQLite keeps them, as there they cost little."""
    if op.get_context().dialect.name != "postgresql":
        return
    for key in sa.inspect(op.get_bind()).get_foreign_keys("ledger_snapshot"):
        op.drop_constraint(str(key["name"]), "ledger_snapshot", type_="foreignkey")
    # As in decision 0005: a plan made while a table was nearly empty must not read all of it later.
    op.execute(
        "CREATE FUNCTION ledger_snapshot_belongs() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off"
        f" AS $$ BEGIN IF {_STRAY} THEN RAISE EXCEPTION 'a snapshot belongs to an account and a day'; END IF;"
        " RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER ledger_snapshot_belongs AFTER INSERT ON ledger_snapshot REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION ledger_snapshot_belongs()"
    )


def downgrade() -> None:
    """Bring the keys back."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute("DROP TRIGGER ledger_snapshot_belongs ON ledger_snapshot")
    op.execute("DROP FUNCTION ledger_snapshot_belongs()")
    for column, table, key in (
        ("account_id", "ledger_account", "id"),
        ("business_date", "ledger_day", "business_date"),
    ):
        op.create_foreign_key(op.f(f"fk_ledger_snapshot_{column}"), "ledger_snapshot", table, [column], [key])
