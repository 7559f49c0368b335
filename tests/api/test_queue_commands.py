"""`onecard queue show`: everything that happened to an item, with the deadline that it has had since it came back."""

from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import Engine
from typer.testing import CliRunner

from api.cli import app
from ledger.db import writing
from settlement.work_queue import Found, Happened, Kind, hand_over, move
from tests.settlement.small_day import AT, DAY
from tests.support.ledger_cli import ledger_cli


def night(engine: Engine, day: date, *, missing: bool) -> None:
    """Hand over what a night finds: a file that is missing, or nothing."""
    due_on = day + timedelta(days=2)
    found = [Found(Kind.FILE_MISSING, "BUS-1", due_on, 1, 0, "batch 2 never came", "ask for it")]
    with writing(engine) as conn:
        hand_over(conn, found if missing else [], (Kind.FILE_MISSING,), day, at=AT)


def test_an_item_that_came_back_shows_its_new_deadline_and_who_looked_at_it_before(
    engine: Engine, tmp_path: Path, database_url: str, hsm_address: str
) -> None:
    night(engine, DAY, missing=True)
    with writing(engine) as conn:
        move(conn, 1, Happened.TAKEN, who="Li", note="asked the depot", at=AT)
    night(engine, DAY + timedelta(days=1), missing=False)
    night(engine, date(2018, 10, 8), missing=True)
    with ledger_cli(tmp_path / "var", database_url, hsm_address):
        shown = CliRunner().invoke(app, ["queue", "show", "1"])
    assert shown.exit_code == 0, shown.output
    assert "raised, due 2018-10-10" in shown.output
    assert "2018-09-03" not in shown.output, "the first deadline binds nobody any more"
    assert "Li" in shown.output and "asked the depot" in shown.output
