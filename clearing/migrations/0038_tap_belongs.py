"""On PostgreSQL a trigger asks once a statement for the files of new taps, where a foreign key asked at every tap."""

import sqlalchemy as sa
from alembic import op

revision = "0038_tap_belongs"
down_revision = "0034_holder_classes"
branch_labels = None
depends_on = None

_STRAY = (
    "EXISTS (SELECT 1 FROM (SELECT DISTINCT operator, sequence FROM added) file WHERE NOT EXISTS"
    " (SELECT 1 FROM batch_file WHERE batch_file.operator = file.operator AND batch_file.sequence = file.sequence))"
)
_HAS_TAPS = "EXISTS (SELECT 1 FROM tap WHERE tap.operator = OLD.operator AND tap.sequence = OLD.sequence)"
_GUARDS = (
    ("tap_belongs", "tap", "AFTER INSERT ON tap REFERENCING NEW TABLE AS added FOR EACH STATEMENT"),
    ("tap_stays", "tap", "BEFORE UPDATE OF operator, sequence ON tap FOR EACH ROW"),
    (
        "file_of_taps_stays",
        "batch_file",
        "BEFORE DELETE OR UPDATE OF operator, sequence ON batch_file FOR EACH ROW",
    ),
    ("file_of_taps_remains", "batch_file", "BEFORE TRUNCATE ON batch_file FOR EACH STATEMENT"),
)


def upgrade() -> None:
    """Put triggers in the place of the key; SQLite keeps it, as there it costs little."""
    if op.get_context().dialect.name != "postgresql":
        return
    for key in sa.inspect(op.get_bind()).get_foreign_keys("tap"):
        op.drop_constraint(str(key["name"]), "tap", type_="foreignkey")
    _function("tap_belongs", _refuse(_STRAY, "a tap belongs to a file of its operator", "NULL"))
    changed = "(OLD.operator, OLD.sequence) IS DISTINCT FROM (NEW.operator, NEW.sequence)"
    _function("tap_stays", _refuse(changed, "a tap stays with its file", "NEW"))
    stays = "IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW;"
    _function(
        "file_of_taps_stays", f"IF {_HAS_TAPS} THEN RAISE EXCEPTION 'a file with taps stays'; END IF; {stays}"
    )
    _function("file_of_taps_remains", "RAISE EXCEPTION 'files with taps stay';")
    for name, _table, event in _GUARDS:
        op.execute(f"CREATE TRIGGER {name} {event} EXECUTE FUNCTION {name}()")


def downgrade() -> None:
    """Bring the key back."""
    if op.get_context().dialect.name != "postgresql":
        return
    for name, table, _ in _GUARDS:
        op.execute(f"DROP TRIGGER {name} ON {table}")
        op.execute(f"DROP FUNCTION {name}()")
    op.create_foreign_key(
        op.f("fk_tap_operator"), "tap", "batch_file", ["operator", "sequence"], ["operator", "sequence"]
    )


def _refuse(condition: str, message: str, otherwise: str) -> str:
    return f"IF {condition} THEN RAISE EXCEPTION '{message}'; END IF; RETURN {otherwise};"


def _function(name: str, body: str) -> None:
    # As in decision 0005: a plan made while a table was nearly empty must not read all of it later.
    by_key = "SET enable_seqscan = off"
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql {by_key} AS $$ BEGIN {body} END $$"
    )
