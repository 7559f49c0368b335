"""Taps paid between two nights, booked on the open day: each batch's as an entry of its own."""

from collections.abc import Callable
from datetime import date, datetime

import pyarrow as pa
from sqlalchemy import Connection

from clearing.columns import numbers, texts
from clearing.context import StepRefused
from clearing.interop.centres import centre_codes
from clearing.postings import batch_columns, shares
from clearing.tap_accounts import OVERCHARGE, SHORTFALL, owed_account
from ledger.accounts import open_accounts
from ledger.balances import balances_of
from ledger.chart import account
from ledger.columns import post_columns
from ledger.directory import Directory
from ledger.entry import Refused
from ledger.prepared import Heading, in_pieces, prepare_columns


def book_late(
    conn: Connection,
    directory: Directory,
    taps: pa.Table,
    named: Callable[[Heading], Heading],
    *,
    business_date: date,
    at: datetime,
) -> None:
    """Book taps out of suspense, as a night would: from purses as far as they reach, by batch and position.

    `taps` has the columns that `Judged.paid` has; `named` gives the entry of a batch its own reference, as the
    night's are taken. Raises StepRefused where the ledger refuses; then the transaction is to be given up.
    """
    operators, cards = texts(taps, "operator"), texts(taps, "card_no")
    codes = [f"purse:{card_no}" for card_no in set(cards)]
    purses_fen = {one.code.removeprefix("purse:"): one.balance_fen for one in balances_of(conn, codes)}
    centres = centre_codes(conn)
    owed = sorted({owed_account(operator, centres) for operator in operators})
    open_accounts(conn, [account(code) for code in (OVERCHARGE, SHORTFALL, *owed)], at=at)
    made_at = dict.fromkeys(zip(operators, numbers(taps, "sequence").tolist(), strict=True), at)
    counters, amounts, paid_fen = (numbers(taps, name) for name in ("counter", "amount_fen", "paid_fen"))
    parts = shares(cards, counters, amounts, paid_fen, purses_fen)
    headings, lines = batch_columns(taps, parts, made_at, business_date, centres)
    for some, own in in_pieces([named(one) for one in headings], lines):
        prepared = prepare_columns(some, own, directory, business_date=business_date)
        for answer in post_columns(conn, prepared, directory, at=at):
            if isinstance(answer, Refused):
                reason = f"the ledger refuses {answer.reference}: {answer.message}"
                raise StepRefused("book", reason, "clear its reason, then try again")
