"""On PostgreSQL a trigger asks once a statement for the accounts of new totals; every renewal looked at their key."""

import sqlalchemy as sa
from alembic import op

revision = "0051_total_belongs"
down_revision = "0048_account_changes"
branch_labels = None
depends_on = None

# Accounts are numbered from 1 without gaps and never deleted; a total never changes its account.
_STRAY = (
    "EXISTS (SELECT 1 FROM added HAVING min(account_id) < 1"
    " OR max(account_id) > coalesce((SELECT max(id) FROM ledger_account), 0))"
)


def upgrade() -> None:
    """Put a trigger in the place of the key; SQLite keeps it, as there it costs nothing."""
    if op.get_context().dialect.name != "postgresql":
        return
    for key in sa.inspect(op.get_bind()).get_foreign_keys("ledger_total"):
        op.drop_constraint(str(key["name"]), "ledger_total", type_="foreignkey")
    op.execute(
        "CREATE FUNCTION ledger_total_belongs() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off"
        f" AS $$ BEGIN IF {_STRAY} THEN RAISE EXCEPTION 'a total belongs to an account'; END IF;"
        " RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER ledger_total_belongs AFTER INSERT ON ledger_total REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION ledger_total_belongs()"
    )


def downgrade() -> None:
    """Bring the key back."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute("DROP TRIGGER ledger_total_belongs ON ledger_total")
    op.execute("DROP FUNCTION ledger_total_belongs()")
    op.create_foreign_key(
        op.f("fk_ledger_total_account_id"), "ledger_total", "ledger_account", ["account_id"], ["id"]
    )
