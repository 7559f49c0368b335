"""Any mix of batches, checks, payments, arrivals and losses, against a slow dictionary; and all at once."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from card.loss import lift_loss, report_loss
from clearing.sectors.socialsecurity.batches import BatchTaken, approve, returned_of
from clearing.sectors.socialsecurity.benefit_file import BenefitLine, Pocket
from clearing.sectors.socialsecurity.funds import standing_of
from ledger.balances import balance
from ledger.checks import check_books
from ledger.db import make_engine, writing
from tests.clearing.social_books import (
    AGENCY,
    CHECKER,
    DAY,
    FUND,
    STRANGER,
    Books,
    approved,
    arrive,
    at,
    file_of,
    identity,
    line,
    open_books,
    pay,
    results,
    send,
)

LIMIT_FEN = 5
CLAIMS = ("A", "B", "C", "D")
lines = st.builds(
    line, st.sampled_from(CLAIMS), st.sampled_from([1, 2, STRANGER]), st.integers(1, 5),
    st.sampled_from(Pocket), st.just(""),
)  # fmt: skip
numbers = st.sampled_from(["1", "2", "3"])
steps = st.one_of(
    st.tuples(
        st.just("send"), numbers, st.lists(lines, min_size=1, max_size=3, unique_by=lambda one: one.claim)
    ),
    st.tuples(st.just("approve"), numbers),
    st.tuples(st.just("pay"), numbers),
    st.tuples(st.just("arrive"), st.integers(1, 6)),
    st.tuples(st.just("lose"), st.sampled_from([1, 2])),
    st.tuples(st.just("find"), st.sampled_from([1, 2])),
)


@dataclass
class Slow:
    """What must be true, kept in dictionaries."""

    fund_fen: int = 0
    sent: dict[str, list[BenefitLine]] = field(default_factory=dict)
    approved: set[str] = field(default_factory=set)
    results: dict[str, dict[str, str]] = field(default_factory=dict)
    paid: dict[str, BenefitLine] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)

    def pay(self, number: str) -> None:
        if number not in self.approved or number in self.results:
            return
        found = {one.claim: self.result(one) for one in self.sent[number]}
        due = [one for one in self.sent[number] if found[one.claim] == "paid"]
        if sum(one.amount_fen for one in due) > self.fund_fen + LIMIT_FEN:
            return
        self.results[number] = found
        for one in due:
            self.paid[one.claim] = one
            self.fund_fen -= one.amount_fen

    def result(self, one: BenefitLine) -> str:
        if one.claim in self.paid:
            return "already_paid"
        if one.identity_no == identity(STRANGER):
            return "holder_unknown"
        return "holder_locked" if one.identity_no in {identity(n) for n in self.lost} else "paid"


def follow(conn: Connection, books: Books, slow: Slow, place: int, step: tuple[object, ...]) -> None:
    """Do one step with the real thing and with the dictionaries."""
    match step:
        case ("send", str(number), list(content)):
            taken = isinstance(send(conn, file_of(number, content)), BatchTaken)
            known = [(one.claim, one.identity_no, one.pocket, one.amount_fen) for one in content]
            ours = slow.sent.setdefault(number, content)
            assert taken is ([(o.claim, o.identity_no, o.pocket, o.amount_fen) for o in ours] == known)
        case ("approve", str(number)):
            approve(conn, agency=AGENCY, number=number, checked_by=CHECKER, at=at(10))
            if number in slow.sent:
                slow.approved.add(number)
        case ("pay", str(number)):
            pay(conn, number)
            slow.pay(number)
        case ("arrive", int(amount_fen)):
            arrive(conn, f"R-{place}", amount_fen)
            slow.fund_fen += amount_fen
        case ("lose", int(number)):
            report_loss(conn, books.holders[number], at=at(8))
            slow.lost.add(number)
        case ("find", int(number)):
            lift_loss(conn, books.holders[number], at=at(9))
            slow.lost.discard(number)


def test_any_mix_pays_what_a_dictionary_says_and_no_claim_twice(engine: Engine) -> None:
    books = open_books(engine, limit_fen=LIMIT_FEN)
    with writing(engine) as conn:

        @settings(max_examples=60)
        @given(st.lists(steps, max_size=12))
        def check(drawn: list[tuple[object, ...]]) -> None:
            savepoint = conn.begin_nested()
            slow = Slow()
            for place, step in enumerate(drawn):
                follow(conn, books, slow, place, step)
            agree(conn, books, slow)
            savepoint.rollback()

        check()


def agree(conn: Connection, books: Books, slow: Slow) -> None:
    """The books hold what the dictionaries say."""
    for number, content in slow.sent.items():
        waiting = {one.claim: "waiting" for one in content}
        assert results(conn, number) == slow.results.get(number, waiting)
    for person in (1, 2):
        for pocket in Pocket:
            paid_fen = sum(
                one.amount_fen
                for one in slow.paid.values()
                if (one.identity_no, one.pocket) == (identity(person), pocket)
            )
            assert balance(conn, f"{pocket}:{books.holders[person]}").balance_fen == paid_fen
    standing = standing_of(conn, FUND, DAY)
    assert standing is not None and standing.prefunded_fen == slow.fund_fen >= -LIMIT_FEN
    back = {claim for found in slow.results.values() for claim, result in found.items() if result != "paid"}
    assert {one.claim for _, one in returned_of(conn, AGENCY)} == back - slow.paid.keys()
    assert check_books(conn) == []


def test_many_at_once_pay_each_claim_once_and_never_more_than_the_fund(engine: Engine) -> None:
    books = open_books(engine, prefunded_fen=100)
    with writing(engine) as conn:
        for number in ("1", "2", "3", "4"):
            approved(conn, number, [line("SAME", 1, 60), line(f"OWN-{number}", 2, 15)])

    def work(number: str) -> None:
        with writing(engine) as conn:
            pay(conn, number)

    threads = [Thread(target=work, args=(number,)) for number in ("1", "2", "3", "4") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The first takes 75 of 100, the second its own 15; the two others find 10.
    assert (books.pocket_fen(1), books.pocket_fen(2)) == (60, 30)
    assert books.held_fen(f"fund:{FUND}") == -10


@pytest.mark.parametrize("amount_fen", [1, 10**12 - 1])
def test_the_smallest_and_the_largest_line_are_paid_to_the_fen(engine: Engine, amount_fen: int) -> None:
    books = open_books(engine, prefunded_fen=amount_fen)
    with writing(engine) as conn:
        approved(conn, "1", [line("A", 1, amount_fen)])
        assert isinstance(pay(conn, "1"), BatchTaken)
    assert books.pocket_fen(1) == amount_fen


def test_no_identity_number_is_in_the_database_file(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "onecard.db"
    shutil.copyfile(sqlite_template, path)
    engine = make_engine(f"sqlite:///{path}")
    books = open_books(engine, prefunded_fen=100)
    with writing(engine) as conn:
        approved(conn, "1", [line("A", 1, 10), line("B", STRANGER, 10)])
        pay(conn, "1")
    engine.dispose()  # takes the write-ahead log into the file
    content = path.read_bytes()
    assert books.holders[1].encode() in content
    for person in (1, STRANGER):
        assert identity(person).encode() not in content
