"""Days whose lines have left the books are answered from the archive as they were from the books."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from clearing.online.load import LoadOrder, LoadProof, authorise_loads, confirm_loads
from clearing.online.wallet_load import LoadReturn, return_loads
from ledger.accounts import open_accounts
from ledger.archive import Archive, LinesArchived
from ledger.chart import account
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from settlement.account_statements import write_account_statements
from settlement.chips import chip_differences
from settlement.night import run_night
from settlement.reconcile import operator_stages
from settlement.trace import trace_tap
from tests.settlement.conftest import PreparedDay
from tests.settlement.small_day import AT, DAY, MORNING, card_no
from tests.support.archived_month import archived, over

EVENING = MORNING + timedelta(hours=15)


@dataclass(frozen=True)
class Month:
    """A small day after its night, and after the month that it was of; `today` is open."""

    engine: Engine
    folder: Path
    today: date

    def archive(self) -> Archive:
        return archived(self.engine, DAY, self.folder / "ledger-archive")


@pytest.fixture
def month(day: PreparedDay, tmp_path: Path) -> Month:
    with writing(day.engine) as conn:
        authorise_loads(conn, [LoadOrder(card_no(2), 700, "KIOSK-1", "LATER", DAY, EVENING)], at=EVENING)
        confirm_loads(conn, [LoadProof("LATER", 5_025, 2, bytes(4), DAY, EVENING)], at=EVENING)
        authorise_loads(conn, [LoadOrder(card_no(2), 300, "KIOSK-1", "BACK", DAY, EVENING)], at=EVENING)
        return_loads(conn, [LoadReturn("BACK", DAY, EVENING)], at=EVENING)
        confirm_loads(conn, [LoadProof("BACK", 5_325, 3, bytes(4), DAY, EVENING)], at=EVENING)
    run_night(day.engine, day.night)
    short(day.engine, DAY + timedelta(days=1), 30)
    today = over(day.engine, DAY + timedelta(days=1))
    short(day.engine, today, 5)
    return Month(day.engine, tmp_path, today)


def short(engine: Engine, business_date: date, amount_fen: int) -> None:
    """A tap of a card that its purse did not hold."""
    with writing(engine) as conn:
        open_accounts(conn, [account("suspense:purse_shortfall")], at=AT)
        line = Line("suspense:purse_shortfall", "clearing:METRO-1", amount_fen, f"{card_no(3)}:9")
        (answer,) = post(
            conn, [Entry(f"short:{business_date}", "clearing", business_date, AT, (line,))], at=AT
        )
        assert isinstance(answer, Posted)


def statements(conn: Connection, folder: Path, archive: Archive | None) -> dict[str, bytes]:
    """The files of the day's account statements, by name."""
    paths = write_account_statements(conn, DAY, folder, made_at=AT, archive=archive)
    return {path.name: path.read_bytes() for path in paths}


def test_an_archived_day_is_answered_as_it_was_before(month: Month) -> None:
    def told(archive: Archive | None) -> list[object]:
        with reading(month.engine) as conn:
            return [
                operator_stages(conn, DAY, archive),
                statements(conn, month.folder / "statements", archive),
                chip_differences(conn, DAY, archive),
                chip_differences(conn, month.today, archive),
                trace_tap(conn, "METRO-1", 1, 1, archive),
            ]

    before = told(None)
    with reading(month.engine) as conn:
        assert [one.booked_fen for one in operator_stages(conn, DAY)] == [720, 1_425]
        differences = {one.card_no: one for one in chip_differences(conn, month.today)}
    # Card 3 has a shortfall in the archive and one in the books; the loads of card 2, one of which had
    # been returned, are known to its purse alone.
    assert differences[card_no(3)].shortfall_fen == 35
    assert card_no(2) not in differences
    assert told(month.archive()) == before


@pytest.mark.parametrize(
    "ask",
    [
        lambda conn, _: operator_stages(conn, DAY),
        lambda conn, _: chip_differences(conn, DAY),
        lambda conn, folder: write_account_statements(conn, DAY, folder, made_at=AT),
        lambda conn, _: trace_tap(conn, "METRO-1", 1, 1),
    ],
    ids=["stages", "chips", "statements", "trace"],
)
def test_who_asks_without_the_archive_hears_that_it_is_needed_and_never_half(
    month: Month, ask: Callable[[Connection, Path], object]
) -> None:
    with reading(month.engine) as conn:
        before = ask(conn, month.folder)
    month.archive()
    with reading(month.engine) as conn:
        if month.engine.dialect.name == "postgresql":
            with pytest.raises(LinesArchived, match="2018-09 are archived; name the folder"):
                ask(conn, month.folder)
        else:
            assert ask(conn, month.folder) == before
