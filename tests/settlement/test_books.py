"""Conservation: a day in which money came from nowhere or was lost is not sealed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from clearing.context import StepResult
from ledger.db import make_engine, reading, writing
from settlement.books import check_conservation
from settlement.night import NightRefused, run_night
from tests.settlement.conftest import FinishedNight, PreparedDay
from tests.settlement.small_day import DAY

SHEET = "UPDATE settlement_position SET"


@pytest.fixture
def copy(finished: FinishedNight, tmp_path: Path) -> Iterator[Engine]:
    """The finished night's database, to be damaged."""
    with (
        closing(sqlite3.connect(finished.home / "onecard.db")) as source,
        closing(sqlite3.connect(tmp_path / "copy.db")) as target,
    ):
        source.backup(target)
    engine = make_engine(f"sqlite:///{tmp_path / 'copy.db'}")
    yield engine
    engine.dispose()


def test_a_sound_night_has_no_findings(copy: Engine) -> None:
    with reading(copy) as conn:
        assert check_conservation(conn, DAY) == []


@pytest.mark.parametrize(
    ("damage", "subjects"),
    [
        ("UPDATE batch_file SET amount_fen = amount_fen + 1 WHERE operator = 'METRO-1'", {"taps": -1}),
        ("DELETE FROM tap WHERE verdict = 'tac_wrong'", {"taps": -160}),
        ("DELETE FROM tap WHERE verdict = 'price_differs'", {"taps": -200, "purses": 200, "operators": 160}),
        ("UPDATE tap SET paid_fen = paid_fen - 1 WHERE verdict = 'balance_gap'", {"operators": 1}),
        (
            f"{SHEET} fee_fen = fee_fen - 1, position_fen = position_fen + 1 WHERE party = 'BUS-1'",
            {"payable": -1, "positions": 1},
        ),
        (
            f"{SHEET} position_fen = position_fen - 1 WHERE party = 'SCHEME'",
            {"income:fee": 1, "positions": -1},
        ),
        ("UPDATE chip_load SET amount_fen = amount_fen + 5 WHERE reference = 'LX'", {"load": -5}),
    ],
)
def test_every_loss_is_found_with_its_amount(copy: Engine, damage: str, subjects: dict[str, int]) -> None:
    with writing(copy) as conn:
        assert conn.execute(text(damage)).rowcount == 1
    with reading(copy) as conn:
        findings = check_conservation(conn, DAY)
    assert {one.subject: one.found_fen - one.expected_fen for one in findings} == subjects
    assert all(one.message for one in findings)


def test_a_finding_stops_the_night_before_its_seal(day: PreparedDay) -> None:
    def spoil(step: str, state: str, _result: StepResult | None) -> None:
        if (step, state) == ("check_books_after", "started"):
            with writing(day.engine) as conn:
                conn.execute(text("UPDATE chip_load SET amount_fen = 995 WHERE reference = 'LX'"))

    with pytest.raises(NightRefused, match=r"load: 9\.95 yuan expected, 10\.00 found") as refused:
        run_night(day.engine, day.night, observe=spoil)
    assert refused.value.step == "check_books_after"
    findings = day.night.folder / "out" / "reports" / "check_books_after.csv"
    assert str(findings) in refused.value.remedy
    assert b"conservation,load,995,1000," in findings.read_bytes()
