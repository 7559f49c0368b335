"""The database's own driver within a transaction, and what is said by it to PostgreSQL (`ledger.pipeline`).

What is said over and over on a connection that somebody has alone is planned once: planning it costs more than doing
it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from ledger.pipeline import Talk

Value = str | date | None
Rows = list[tuple[Any, ...]]

_PLANS: Final = "onecard_plans"


@contextmanager
def driver(conn: Connection) -> Iterator[Any]:
    """The driver's own connection, in the same transaction; its errors come as SQLAlchemy's."""
    connection, dbapi = conn.connection.driver_connection, conn.dialect.loaded_dbapi
    try:
        yield connection
    except dbapi.Error as error:
        broken = conn.dialect.is_disconnect(error, connection, None)
        if broken:
            conn.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, dbapi.Error, connection_invalidated=broken, dialect=conn.dialect
        ) from error


def keep_plans(conn: Connection) -> None:
    """Plan once what is said on a connection from now on. Only for who has it alone, and hears of every rollback."""
    conn.info[_PLANS] = {}


def plan_anew(conn: Connection) -> None:
    """After a rollback, also to a savepoint: psycopg has freed what was planned on the connection."""
    if _PLANS in conn.info:
        keep_plans(conn)


def forget_plans(conn: Connection) -> None:
    """Keep none any more, as others may use the connection from now on; that it may be broken does not matter."""
    if not conn.invalidated:
        conn.info.pop(_PLANS, None)


@contextmanager
def talking(conn: Connection) -> "Iterator[Talk]":
    """Say things and hear the answers; on leaving all is heard. Errors come as SQLAlchemy's.

    After an error PostgreSQL takes nothing more in until the transaction, or savepoint, is rolled back.
    """
    from ledger.pipeline import Talk  # only where PostgreSQL is: its driver is slow to load

    plans = conn.info.get(_PLANS)
    with driver(conn) as connection:
        talk = Talk(connection, plans)
        try:
            yield talk
            talk.hear_all()
        except BaseException:
            if plans is not None:
                plans.clear()  # the rollback that follows frees them
            raise
        finally:
            talk.end()
