"""What the bank answers is kept line by line, and instructions are accepted, rejected, paid, returned by it."""

import sqlalchemy as sa
from alembic import op

from ledger.db import Fen, Id, Instant

revision = "0044_bank"
down_revision = "0043_work_due_again"
branch_labels = None
depends_on = None

INSTRUCTION = "settlement_instruction"
TABLES = ("bank_proposal", "bank_line", "bank_statement", "bank_status", "bank_file")
APPEND_ONLY = ("bank_status",)


def upgrade() -> None:
    """Let instructions have what becomes of them, and make the tables."""
    with op.batch_alter_table(INSTRUCTION) as table:
        table.add_column(sa.Column("state_on", sa.Date))
        table.add_column(sa.Column("paid_fen", Fen, nullable=False, server_default="0"))
        table.add_column(sa.Column("reason", sa.String(600), nullable=False, server_default=""))
        table.add_column(sa.Column("replaces", sa.String(35)))
        table.drop_constraint("state", type_="check")
    op.execute("UPDATE settlement_instruction SET state = 'rejected' WHERE state = 'refused'")
    op.execute("UPDATE settlement_instruction SET paid_fen = amount_fen WHERE state = 'paid'")
    with op.batch_alter_table(INSTRUCTION) as table:
        table.create_check_constraint(
            "state", "state IN ('awaiting_bank', 'accepted', 'paid', 'rejected', 'returned')"
        )
        table.create_check_constraint("paid_within_amount", "paid_fen >= 0 AND paid_fen <= amount_fen")
        table.create_unique_constraint("uq_settlement_instruction_replaces", ["replaces"])
        table.create_foreign_key(
            "fk_settlement_instruction_replaces", INSTRUCTION, ["replaces"], ["end_to_end_id"]
        )
    op.create_index("ix_settlement_instruction_state", INSTRUCTION, ["state"])
    _make()
    _guard()


def downgrade() -> None:
    """Take them away; what was accepted waits again, and what was rejected or came back is refused."""
    for name in TABLES:
        op.drop_table(name)
    op.drop_index("ix_settlement_instruction_state", INSTRUCTION)
    with op.batch_alter_table(INSTRUCTION) as table:
        table.drop_constraint("state", type_="check")
        table.drop_constraint("paid_within_amount", type_="check")
        table.drop_constraint("uq_settlement_instruction_replaces", type_="unique")
        table.drop_constraint("fk_settlement_instruction_replaces", type_="foreignkey")
    op.execute("UPDATE settlement_instruction SET state = 'awaiting_bank' WHERE state = 'accepted'")
    op.execute("UPDATE settlement_instruction SET state = 'refused' WHERE state IN ('rejected', 'returned')")
    with op.batch_alter_table(INSTRUCTION) as table:
        for name in ("state_on", "paid_fen", "reason", "replaces"):
            table.drop_column(name)
        table.create_check_constraint("state", "state IN ('awaiting_bank', 'paid', 'refused')")


def _make() -> None:
    op.create_table(
        "bank_file",
        sa.Column("number", Id, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(9), nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("message", sa.String(2000), nullable=False),
        sa.Column("remedy", sa.String(1000), nullable=False),
        sa.Column("read_at", Instant, nullable=False),
        sa.Column("read_on", sa.Date, nullable=False),
        sa.UniqueConstraint("digest"),
        sa.CheckConstraint("number >= 1", name="number_starts_at_one"),
        sa.CheckConstraint("kind in ('status', 'statement', 'unknown')", name="kind_is_known"),
        sa.CheckConstraint("state in ('taken', 'refused', 'explained')", name="state_is_known"),
        sa.CheckConstraint("(state = 'taken') = (remedy = '')", name="refused_has_a_remedy"),
    )
    op.create_table(
        "bank_status",
        sa.Column("file", Id, sa.ForeignKey("bank_file.number"), primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("end_to_end_id", sa.String(35), nullable=False),
        sa.Column("level", sa.String(11), nullable=False),
        sa.Column("status", sa.String(4), nullable=False),
        sa.Column("reason_code", sa.String(35), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("effect", sa.String(11), nullable=False),
        sa.CheckConstraint("level in ('group', 'payment', 'transaction')", name="level_is_known"),
        sa.CheckConstraint("effect in ('moved', 'same', 'contradicts', 'unknown')", name="effect_is_known"),
    )
    op.create_index("ix_bank_status_end_to_end_id", "bank_status", ["end_to_end_id"])
    op.create_table(
        "bank_statement",
        sa.Column("number", Id, primary_key=True, autoincrement=False),
        sa.Column("file", Id, sa.ForeignKey("bank_file.number"), nullable=False),
        sa.Column("account_no", sa.String(34), nullable=False),
        sa.Column("statement_id", sa.String(35), nullable=False),
        sa.Column("sequence", Id, nullable=False),
        sa.Column("opening_on", sa.Date, nullable=False),
        sa.Column("opening_fen", Fen, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("closing_fen", Fen, nullable=False),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("booked_on", sa.Date, nullable=False),
        sa.Column("gap_explained", sa.Boolean, nullable=False),
        sa.UniqueConstraint("account_no", "statement_id"),
        sa.CheckConstraint("number >= 1", name="number_starts_at_one"),
        sa.CheckConstraint("day >= opening_on", name="closes_after_it_opens"),
    )
    op.create_index("ix_bank_statement_booked_on", "bank_statement", ["booked_on"])
    op.create_table(
        "bank_line",
        sa.Column(
            "statement", Id, sa.ForeignKey("bank_statement.number"), primary_key=True, autoincrement=False
        ),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("direction", sa.String(3), nullable=False),
        sa.Column("reversal", sa.Boolean, nullable=False),
        sa.Column("bank_day", sa.Date, nullable=False),
        sa.Column("value_on", sa.Date, nullable=False),
        sa.Column("end_to_end_id", sa.String(35), nullable=False),
        sa.Column("bank_reference", sa.String(35), nullable=False),
        sa.Column("party", sa.String(140), nullable=False),
        sa.Column("party_account", sa.String(34), nullable=False),
        sa.Column("remittance", sa.String(500), nullable=False),
        sa.Column("fate", sa.String(11), nullable=False),
        sa.Column("what", sa.String(500), nullable=False),
        sa.Column("instruction", sa.String(35), sa.ForeignKey("settlement_instruction.end_to_end_id")),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("open_fen", Fen, nullable=False),
        sa.CheckConstraint("position >= 1", name="position_starts_at_one"),
        sa.CheckConstraint("amount_fen > 0", name="amount_is_positive"),
        sa.CheckConstraint("direction in ('in', 'out')", name="direction_is_known"),
        sa.CheckConstraint(
            "fate in ('paid', 'returned', 'known', 'differs', 'twice', 'contradicts', 'theirs_only')",
            name="fate_is_known",
        ),
        sa.CheckConstraint("open_fen >= 0 and open_fen <= amount_fen", name="open_is_within_amount"),
        sa.CheckConstraint(
            "open_fen = 0 or fate in ('differs', 'twice', 'contradicts', 'theirs_only')",
            name="what_fits_is_done",
        ),
    )
    _index_where("ix_bank_line_open", "bank_line", ["open_fen"], "open_fen > 0")
    op.create_index("ix_bank_line_entry", "bank_line", ["entry"])
    _index_where(
        "uq_bank_line_instruction",
        "bank_line",
        ["instruction", "fate"],
        "fate in ('paid', 'returned')",
        unique=True,
    )
    op.create_table(
        "bank_proposal",
        sa.Column("number", Id, primary_key=True, autoincrement=False),
        sa.Column("decision", sa.String(9), nullable=False),
        sa.Column("point", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("amount_fen", Fen, nullable=False),
        sa.Column("account", sa.String(96), nullable=False),
        sa.Column("other", sa.String(40), nullable=False),
        sa.Column("account_no", sa.String(34), nullable=False),
        sa.Column("bank_code", sa.String(12), nullable=False),
        sa.Column("bank_name", sa.String(140), nullable=False),
        sa.Column("account_no_before", sa.String(34), nullable=False),
        sa.Column("bank_code_before", sa.String(12), nullable=False),
        sa.Column("bank_name_before", sa.String(140), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("proposed_by", sa.String(64), nullable=False),
        sa.Column("proposed_at", Instant, nullable=False),
        sa.Column("state", sa.String(11), nullable=False),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("decided_at", Instant),
        sa.Column("decided_why", sa.String(500)),
        sa.Column("business_date", sa.Date),
        sa.Column("made", sa.String(35), nullable=False),
        sa.CheckConstraint(
            "decision in ('pay_again', 'reject', 'settle', 'book', 'offset', 'explain')",
            name="decision_is_known",
        ),
        sa.CheckConstraint(
            "state in ('proposed', 'approved', 'turned_down', 'void', 'withdrawn')", name="state_is_known"
        ),
        sa.CheckConstraint(
            "(state = 'proposed') = (decided_by is null) and (decided_by is null) = (decided_at is null)"
            " and (decided_by is null) = (decided_why is null)",
            name="decision_is_whole",
        ),
        sa.CheckConstraint(
            "(state = 'approved') = (business_date is not null)", name="approved_is_carried_out"
        ),
        sa.CheckConstraint(
            "decided_by is null or (decided_by = proposed_by) = (state = 'withdrawn')",
            name="two_people_decide",
        ),
        sa.CheckConstraint("reason <> '' and proposed_by <> ''", name="somebody_says_why"),
    )
    _index_where("uq_bank_proposal_point", "bank_proposal", ["point"], "state = 'proposed'", unique=True)


def _index_where(name: str, table: str, columns: list[str], condition: str, *, unique: bool = False) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=unique, postgresql_where=where, sqlite_where=where)


def _guard() -> None:
    if op.get_context().dialect.name == "postgresql":
        for name in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name}"
                " FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
            )
        return
    for name in APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {name}_no_{change.lower()} BEFORE {change} ON {name}"
                f" BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
            )
