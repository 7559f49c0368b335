"""The schema brought from one revision to another by the rooms' migrations."""

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from ledger.db import ALEMBIC_INI


def bring(engine: Engine, revision: str) -> None:
    """Bring the schema to a revision, up or down; `head`, `base` and `-1` are understood."""
    config = Config(ALEMBIC_INI)
    config.attributes["engine"] = engine
    if revision == "base" or revision.startswith("-") or _is_older(engine, config, revision):
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def _is_older(engine: Engine, config: Config, revision: str) -> bool:
    """Whether a revision comes before the one that the database is at."""
    with engine.connect() as conn:
        current = MigrationContext.configure(conn).get_current_revision()
    history = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()]
    return revision in history and current in history and history.index(revision) > history.index(current)
