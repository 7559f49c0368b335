"""What PostgreSQL is told about finding rows holds for one question, and is taken back after it."""

import pytest
from sqlalchemy import Connection, text

from ledger.db import reading
from ledger.questions import by_key_where_few, looking_up
from tests.ledger.some_books import Books

ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def switches(conn: Connection) -> dict[str, str]:
    """How PostgreSQL may find rows."""
    names = ("seqscan", "hashjoin", "mergejoin")
    return {name: conn.execute(text(f"SHOW enable_{name}")).scalar_one() for name in names}


@ON_POSTGRESQL
@pytest.mark.parametrize(("wanted", "within"), [(0, "off"), (1, "on"), (100, "on")])
def test_a_tenth_of_all_accounts_and_more_are_found_as_the_database_likes(
    books: Books, wanted: int, within: str
) -> None:
    with reading(books.engine) as conn:
        before = switches(conn)
        with by_key_where_few(conn, wanted):
            assert switches(conn) == before | {"seqscan": within}
        assert switches(conn) == before


@ON_POSTGRESQL
def test_rows_are_looked_up_within_a_block_alone(books: Books) -> None:
    with reading(books.engine) as conn:
        before = switches(conn)
        with looking_up(conn):
            assert switches(conn) == before | {"hashjoin": "off", "mergejoin": "off"}
        assert switches(conn) == before


def test_a_database_that_has_no_such_switches_is_not_told(books: Books) -> None:
    with reading(books.engine) as conn, by_key_where_few(conn, 0), looking_up(conn):
        assert conn.execute(text("SELECT count(*) FROM ledger_account")).scalar_one() == 8
