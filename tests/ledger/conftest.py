"""Books with one open day and a few accounts, on both kinds of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ledger import chart
from ledger.accounts import Account, Kind, Limit, open_accounts
from ledger.day import open_day
from ledger.db import make_engine, writing
from tests.ledger.archived_books import Shelf, shelved
from tests.ledger.some_books import AT, DAY, Books, Tamper
from tests.support.quick_databases import Copies


@pytest.fixture
def books(engine: Engine) -> Books:
    """Books on both kinds of database, as `begin` makes them."""
    begin(engine)
    return Books(engine)


def begin(engine: Engine) -> None:
    """Open the day of 2018-09-01, two purses, an agent, an operator and a few more accounts."""
    with writing(engine) as conn:
        open_day(conn, DAY, at=AT)
        codes = (
            "purse:1",
            "purse:2",
            "agent:A",
            "clearing:METRO-1",
            "income:fee",
            "bank:reserve",
            "expense:loss",
        )
        filled = Account("till:1", Kind.ASSET, Limit.NO_CREDIT_BALANCE)
        open_accounts(conn, [filled, *(chart.account(code) for code in codes)], at=AT)


@pytest.fixture
def tampered(books: Books) -> Tamper:
    """A way to change the books behind the ledger's back."""
    return Tamper(books)


@pytest.fixture
def shelf(copies: Copies, tmp_path: Path) -> Iterator[Shelf]:
    """Books of two months that are over, to be archived, on either kind of database."""
    with copies.copied("shelf", shelved) as url:
        engine = make_engine(url)
        yield Shelf(engine, tmp_path / "archive")
        engine.dispose()
