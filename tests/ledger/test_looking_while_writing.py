"""Whoever only looks at the books is not kept waiting by whoever writes them for long."""

from sqlalchemy import Engine, text

from ledger.db import make_engine, migrate, reading, writing


def test_books_that_are_up_to_date_are_opened_and_read_under_a_long_writer(
    engine: Engine, database_url: str
) -> None:
    other = make_engine(database_url)
    with writing(engine):
        # Were the writer's lock asked for, this would wait for ever: the writer ends only after it.
        with other.connect().execution_options(onecard_reading=True) as conn:
            if other.dialect.name == "sqlite":
                conn.execute(text("PRAGMA busy_timeout=0"))
        migrate(other)
        with reading(other) as conn:
            assert conn.execute(text("SELECT count(*) FROM ledger_day")).scalar_one() == 0
    other.dispose()
