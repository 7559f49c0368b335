"""An account that is gone from the books is no reason for a check to give up: it is named by its number."""

import pytest
from sqlalchemy import text

from ledger.account_checks import held_is_what_holds_say
from ledger.db import reading
from ledger.total_checks import totals_agree_with_lines
from tests.ledger.some_books import Books, Tamper


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite keeps what is referred to
def test_what_is_wrong_with_an_account_that_is_gone_is_found(books: Books, tampered: Tamper) -> None:
    books.post(books.load("1", 100))
    with reading(books.engine) as conn:
        purse = "SELECT id FROM ledger_account WHERE code = 'purse:1'"
        number = conn.execute(text(purse)).scalar_one()
    tampered(
        f"UPDATE ledger_total SET credits_posted_fen = 101, debits_held_fen = 1 WHERE account_id = {number}",
        f"DELETE FROM ledger_account WHERE id = {number}",
    )
    with reading(books.engine) as conn:
        found = [*totals_agree_with_lines(conn, None), *held_is_what_holds_say(conn, None)]
    assert [(one.check, one.subject, one.expected_fen, one.found_fen) for one in found] == [
        ("totals_equal_lines", f"number {number}", 100, 101),
        ("held_is_what_holds_say", f"number {number}", 0, 1),
    ]
