"""The auditor of chaos can be trusted: whatever somebody forges after a story, it finds."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from city.diary import read_diary
from city.drawer import Chip, Drawer
from city.sectors import CHANNEL, GAS, SHOP
from clearing.online.payment import Channel, Leg, PaymentOrder, pay
from clearing.online.tables import payment
from ledger.day import current_day
from ledger.db import make_engine, writing
from ledger.entry import Entry, Line
from ledger.post import post
from tests.city.chaos_auditor import audit_chips
from tests.city.chaos_story import Stage, Told, told_story

SEED = 5


@pytest.fixture(scope="module")
def story(sqlite_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A calm one, in which what is there to be tampered with does not hang on the weather."""
    folder = tmp_path_factory.mktemp("story") / "played"
    with told_story(sqlite_stage, SEED, folder, calm=True) as told:
        yield told


@pytest.fixture
def copy(story: Told, tmp_path: Path) -> Iterator[Told]:
    """The story's folder and books, to be tampered with."""
    shutil.copytree(story.folder, tmp_path / "copy")
    of_story = sqlite3.connect(str(story.engine.url.database))
    with closing(of_story) as played, closing(sqlite3.connect(tmp_path / "books.db")) as books:
        played.backup(books)
    engine = make_engine(f"sqlite:///{tmp_path / 'books.db'}")
    yield replace(story, folder=tmp_path / "copy", engine=engine)
    engine.dispose()


def pay_again(told: Told, conn: Connection) -> None:
    """Somebody's purchase is booked a second time under another number."""
    holder = told.stage.town.holders[0]
    legs, now = (Leg(f"wallet:{holder}", 100),), datetime.now(UTC)
    order = PaymentOrder(
        f"http:{SHOP}:P-0b", Channel.HTTP, "purchase", SHOP, holder, legs, current_day(conn), now
    )
    pay(conn, [order], at=now)


def move_past_the_tables(told: Told, conn: Connection) -> None:
    """Money moves in the ledger, and no payment knows of it."""
    now, line = datetime.now(UTC), Line(f"agent:{CHANNEL}", f"wallet:{told.stage.town.holders[1]}", 1)
    post(conn, [Entry("slip", "topup", current_day(conn), now, (line,))], at=now)


def forget_a_payment(told: Told, conn: Connection) -> None:
    """A till's approved ticket is of a payment that the books never had."""
    edit(
        told.folder / "POS00001" / "journal.db",
        "UPDATE ticket SET stan = '9' || substr(stan, 2) WHERE state = 'approved'",
    )


def approve_a_reversed_ticket(told: Told, conn: Connection) -> None:
    """A till holds to be paid what it has had reversed or refused."""
    for till in ("POS00001", "POS00002"):
        path = told.folder / till / "journal.db"
        edit(
            path,
            "UPDATE ticket SET state = 'approved' WHERE kind = 'purchase' AND state <> 'approved'",
            least=0,
        )
        edit(path, "UPDATE ticket SET amount_fen = amount_fen + 1 WHERE state = 'approved'")


def lose_an_answer(told: Told, conn: Connection) -> None:
    """A program has asked something and no answer is written down."""
    path = told.folder / "shop" / "diary.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    assert "answered" in read_diary(path)[-1]
    path.write_text("".join(lines[:-1]), encoding="utf-8")


def pay_more_at_the_insurer(told: Told, conn: Connection) -> None:
    """The insurer owes another amount than we claim from it, or for a bill that we do not have."""
    edit(
        told.folder / "insurer" / "insurer.db",
        "UPDATE claim SET fund_fen = fund_fen + 1, standing = 'approved'",
    )


def forget_a_write_off(told: Told, conn: Connection) -> None:
    """A biller has lost what it confirmed."""
    edit(told.folder / GAS / "biller.db", "DELETE FROM write_off WHERE state = 'written_off'")


def write_off_twice(told: Told, conn: Connection) -> None:
    """A biller has written off what nobody paid."""
    edit(
        told.folder / GAS / "biller.db",
        "INSERT INTO write_off VALUES ('bill:x', 'A0', 'GAS-1-0', 5, '2026-03-02', 'written_off', '', '')",
    )


def lose_a_load(told: Told, conn: Connection) -> None:
    """The load counter does not know of a load that the books have."""
    edit(told.folder / "depot" / "loads.db", "DELETE FROM load WHERE state = 'confirmed'")


def edit(path: Path, statement: str, *, least: int = 1) -> None:
    """Change a program's own file behind its back."""
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement).rowcount >= least


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (pay_again, {"doubled: payment", "differs: pocket"}),
        (move_past_the_tables, {"differs: pocket"}),
        (forget_a_payment, {"lost: payment", "doubled: payment"}),
        (approve_a_reversed_ticket, {"differs: payment", "differs: pocket"}),
        (lose_an_answer, {"complaint"}),
        (pay_more_at_the_insurer, {"differs: claim"}),
        (forget_a_write_off, {"lost: write-off"}),
        (write_off_twice, {"doubled: write-off"}),
        (lose_a_load, {"doubled: payment", "differs: pocket"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_somebody_forges_by_day_is_found(
    copy: Told, tamper: Callable[[Told, Connection], None], found: set[str]
) -> None:
    assert copy.audited_day() == []
    with writing(copy.engine) as conn:
        tamper(copy, conn)
    told = [str(difference) for difference in copy.audited_day()]
    assert {one for one in found if not any(line.startswith(one) for line in told)} == set(), told


def test_a_ride_lost_or_a_chip_refilled_is_found_after_the_night(copy: Told) -> None:
    assert copy.audited_night() == []
    edit(copy.folder / "depot" / "rides.db", "DELETE FROM record WHERE id = 1")
    edit(copy.folder / "depot" / "code-rides.db", "DELETE FROM record WHERE id = 1")
    drawer = Drawer(copy.folder / "city" / "city" / "cards.db")
    first = next(iter(drawer.chips()))
    purse = replace(first.state.purse, balance_fen=first.state.purse.balance_fen + 1)
    drawer.put([Chip(first.card_no, replace(first.state, purse=purse), first.wrapped_keys)])
    drawer.close()
    with copy.engine.connect() as conn:
        told = [str(difference) for difference in audit_chips(conn, copy.folder, copy.stage.town)]
    for expected in ("doubled: ride ", "doubled: ride on a code", "differs: chip"):
        assert any(line.startswith(expected) for line in told), told


def test_a_story_moves_money_through_every_door(story: Told) -> None:
    """A story in which nothing happened would agree with itself, too."""
    with story.engine.connect() as conn:
        channels = set(conn.scalars(select(payment.c.channel).distinct()))
        kinds = set(conn.scalars(select(payment.c.kind).distinct()))
    assert channels >= {"gateway", "http", "qr", "app"}
    assert kinds >= {"purchase", "hospital_bill", "utility_bill", "contribution"}
