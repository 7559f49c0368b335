"""Runs the migrations of every room on the engine that `ledger.db.migrate` was given."""

import os

from alembic import context
from sqlalchemy import Engine

from ledger.db import lock_writers, make_engine, metadata


def run() -> None:
    """Apply the asked-for revisions in one transaction; of programs that start together, one after another."""
    engine: Engine | None = context.config.attributes.get("engine")
    if engine is None:  # the `alembic` command itself: the database is named in the environment
        engine = make_engine(os.environ["ONECARD_DATABASE"])
    # Begun before anything is read: what a program finds still to be done is not done by another meanwhile.
    with engine.begin() as connection:
        lock_writers(connection)
        context.configure(
            connection=connection,
            target_metadata=metadata,
            render_as_batch=True,
            transaction_per_migration=False,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
