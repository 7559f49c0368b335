"""Whoever proposed what is to become of taps in suspense may withdraw it, and is then kept as who ended it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from alembic import op

revision = "0042_proposals_withdrawn"
down_revision = "0041_suspense"
branch_labels = None
depends_on = None

_BEFORE: Final = MappingProxyType(
    {
        "state_is_known": "state in ('proposed', 'approved', 'turned_down', 'void')",
        "two_people_decide": "decided_by is null or decided_by <> proposed_by",
    }
)
_AFTER: Final = MappingProxyType(
    {
        "state_is_known": "state in ('proposed', 'approved', 'turned_down', 'void', 'withdrawn')",
        "two_people_decide": "decided_by is null or (decided_by = proposed_by) = (state = 'withdrawn')",
    }
)


def upgrade() -> None:
    """Know the state; what a downgrade has kept as turned down by nobody is withdrawn again."""
    _hold(_AFTER)
    op.execute(
        "UPDATE suspense_proposal SET state = 'withdrawn', decided_by = proposed_by, decided_why = ''"
        " WHERE state = 'turned_down' AND decided_by = ''"
    )


def downgrade() -> None:
    """What was withdrawn is turned down by nobody, as no person's name is empty, and says why: nothing is lost."""
    op.execute(
        "UPDATE suspense_proposal SET state = 'turned_down', decided_by = '',"
        " decided_why = 'withdrawn by ' || proposed_by WHERE state = 'withdrawn'"
    )
    _hold(_BEFORE)


def _hold(checks: Mapping[str, str]) -> None:
    """Put these constraints in the place of those of their names."""
    # SQLite makes the table anew, and drops none that rows of another refer to: they are put aside meanwhile.
    aside = op.get_context().dialect.name == "sqlite"
    if aside:
        op.execute("CREATE TEMPORARY TABLE suspense_item_aside AS SELECT * FROM suspense_item")
        op.execute("DELETE FROM suspense_item")
    with op.batch_alter_table("suspense_proposal") as table:
        for name, condition in checks.items():
            table.drop_constraint(name, type_="check")
            table.create_check_constraint(name, condition)
    if aside:
        op.execute("INSERT INTO suspense_item SELECT * FROM suspense_item_aside")
        op.execute("DROP TABLE suspense_item_aside")
