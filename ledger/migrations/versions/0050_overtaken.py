"""Lines that another came before while they were being written: which line is really before them."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Id

revision = "0050_overtaken"
down_revision = "0049_keys_by_statement"


def upgrade() -> None:
    op.create_table(
        "ledger_overtaken",
        sa.Column("line_id", Id, primary_key=True, autoincrement=False),
        sa.Column(
            "account_id", Id, sa.ForeignKey("ledger_account.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("before_id", Id, nullable=False),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER ledger_overtaken_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_overtaken"
            " FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER ledger_overtaken_no_{change.lower()} BEFORE {change} ON ledger_overtaken"
            " BEGIN SELECT RAISE(ABORT, 'ledger_overtaken is append-only'); END"
        )


def downgrade() -> None:
    op.drop_table("ledger_overtaken")
