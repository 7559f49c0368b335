"""`onecard tariff …` as an authority runs it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.doors import Refused
from api.groups.registers import tariff
from clearing.sectors.transit.fare_file import read_fares, write_fares
from clearing.sectors.transit.matrix_file import PaidArea, fares_of_rules
from tests.support.clearing_day import TARIFF_FILE, at, card_no, shenzhen
from tests.support.fare_examples import FARES, ROOT
from tests.support.written_taps import tap_row, write_taps

ONE, TWO = FARES / "example-city-1.json", FARES / "example-city-2.json"
TAPS = (
    "card,at,kind,mode,station,operator,line,paid_fen\n"
    "A,2026-03-02T08:00,entry,metro,东门,METRO,M1,0\n"
    "A,2026-03-02T08:30,exit,metro,机场,METRO,M1,700\n"
    "A,2026-03-02T08:40,ride,bus,,BUS,12,200\n"
    "B,2026-03-02T09:00,ride,bus,,BUS,12,150\n"
)


@dataclass(frozen=True)
class Ran:
    """What a command printed, its exit status, and what it refused with."""

    output: str
    status: int
    refused: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)


def run(*words: object) -> Ran:
    ended = CliRunner().invoke(tariff, [str(word) for word in words])
    if ended.exception is None or isinstance(ended.exception, SystemExit):
        return Ran(ended.output, ended.exit_code, "")
    if isinstance(ended.exception, Refused):
        return Ran(ended.output, 1, str(ended.exception))
    raise ended.exception


@pytest.fixture
def taps(tmp_path: Path) -> Path:
    path = tmp_path / "taps.csv"
    path.write_text(TAPS, encoding="utf-8")
    return path


def test_check_passes_shipped_tariffs_of_both_formats() -> None:
    ran = run("check", ONE, TWO, FARES / "stepped-monthly-1.json", TARIFF_FILE)
    assert (ran.status, ran.output) == (0, "4 tariffs checked: 0 flaws, 0 remarks\n")


def test_check_names_flaws_of_every_file_and_between_them(tmp_path: Path) -> None:
    whole = json.loads(ONE.read_text(encoding="utf-8"))
    whole["valid_to"], whole["caps"][0]["limit_fen"] = None, 100
    (tmp_path / "one.json").write_text(json.dumps(whole), encoding="utf-8")
    (tmp_path / "old.json").write_text('{"name": ""}', encoding="utf-8")
    ran = run("check", tmp_path / "one.json", tmp_path / "old.json", TWO)
    assert ran.status == 1
    for line in (
        "one.json: caps.0.limit_fen is 100: let it be at least 200, the lowest single fare of city bus",
        "old.json: version is None: it is missing: write it",
        "together: one.json: valid_to is None: end it before 2026-07-01, when example-city-2.json begins",
    ):
        assert line in ran.output
    shown = run("check", tmp_path / "one.json", "--json")
    assert shown.status == 1
    assert {flaw["field"] for flaw in shown.json if not flaw["remark"]} == {"caps.0.limit_fen"}


def test_explain_says_every_step_in_words_and_in_json(taps: Path) -> None:
    ran = run("explain", ONE, "--taps", taps, "--card", "A")
    for line in (
        "Card A, 2026-03-02 08:30, metro journey 东门 – 机场",
        "metro by stations: matrix fare from 东门 to 机场 → 700 fen",
        "card on the metro: pays 95% → 665 fen",
        "transfer: pays 40 fen less → 160 fen",
        "pays 160 fen (1.60)",
    ):
        assert line in ran.output
    metro, bus = run("explain", ONE, "--taps", taps, "--card", "A", "--json").json
    assert (metro["price_fen"], bus["price_fen"], bus["tariff"]["version"]) == (665, 160, 1)
    assert bus["steps"][-1] == {"rule": "transfer", "why": "pays 40 fen less", "after_fen": "160"}


def test_explain_prices_one_ride_given_by_hand_exactly() -> None:
    words = (
        "--mode",
        "metro",
        "--from",
        "东门",
        "--to",
        "中心",
        "--at",
        "2026-03-02T08:00",
        "--category",
        "student",
    )
    [leg] = run("explain", ONE, *words, "--json").json
    assert [step["after_fen"] for step in leg["steps"]][-1] == "142.5"
    assert (leg["leg"], leg["price_fen"]) == ("journey", 143)
    assert (
        "mode_unknown; name the tap's mode"
        in run("explain", ONE, "--mode", "tram", "--at", "2026-03-02T08:00").output
    )
    assert (
        run("explain", ONE).refused == "nothing to explain: give --taps FILE, or one ride by --mode and --at"
    )


def test_a_tariff_with_a_flaw_is_not_priced_by(tmp_path: Path, taps: Path) -> None:
    whole = json.loads(ONE.read_text(encoding="utf-8"))
    del whole["matrices"]
    (tmp_path / "one.json").write_text(json.dumps(whole), encoding="utf-8")
    flaw = "one.json: fares.2.price.matrix is metro: name one of the tariff's matrices"
    for words in (("explain", tmp_path / "one.json", "--taps", taps), ("diff", tmp_path / "one.json", TWO)):
        assert flaw in run(*words).refused


def test_diff_tells_fields_and_journeys() -> None:
    ran = run("diff", ONE, TWO)
    assert "fares.city bus.price.fare_fen: 200 → 250" in ran.output
    assert 'valid_to: "2026-06-30" → null' in ran.output
    shown = run("diff", ONE, TWO, "--json").json
    assert {"text": "standard, bus, eight rides in a day", "was": 1200, "now": 1500} in shown["journeys"]
    assert shown["journeys_unchanged"] > 0
    assert "0 example journeys cost another amount" in run("diff", ONE, ONE).output


def test_a_matrix_and_older_rules_become_a_tariff_that_checks(tmp_path: Path) -> None:
    (tmp_path / "matrix.csv").write_text("from,to,fare_yuan\n甲,甲,2\n甲,乙,3\n乙,乙,2\n", encoding="utf-8")
    (tmp_path / "codes.csv").write_text("site_code,site\n260001,甲\n260002,丙\n", encoding="utf-8")
    out = tmp_path / "made.json"
    ran = run(
        "import-matrix",
        tmp_path / "matrix.csv",
        "--rules",
        TARIFF_FILE,
        "--codes",
        tmp_path / "codes.csv",
        "--out",
        out,
    )
    assert "2 stations, 3 fares" in ran.output
    assert "left out: 260-2, whose station 丙 the matrix does not have" in ran.output
    assert run("check", out).status == 0
    assert read_fares(out.read_text(encoding="utf-8")).aliases == {"260-1": "甲"}
    long = run(
        "import-matrix", tmp_path / "matrix.csv", "--rules", TARIFF_FILE, "--out", out, "--limit-min", 50_000
    )
    assert "made.json: modes.metro.limit_min is 50000: Input should be less than or equal to" in long.output
    (tmp_path / "matrix.csv").write_text("from,to,fare_yuan\n甲,乙,much\n", encoding="utf-8")
    refused = run("import-matrix", tmp_path / "matrix.csv", "--rules", TARIFF_FILE, "--out", out).refused
    assert refused == "matrix.csv: row 2 fare_yuan is much: give yuan, such as 4 or 4.50"


def test_a_feed_becomes_a_tariff_and_the_rest_is_told(shared_data: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "made.json", tmp_path / "left-out.txt"
    feed = shared_data / "gtfs" / "zakroczym"
    ran = run("import-gtfs", feed, "--out", out, "--valid-from", "2026-01-01", "--report", report)
    assert "9 fares, 0 discounts" in ran.output
    assert "7 things that the feed says are not in the tariff" in ran.output
    assert len(report.read_text(encoding="utf-8").splitlines()) == 7
    assert run("check", out).status == 0
    assert (
        "give a GTFS feed's folder or zip"
        in run("import-gtfs", tmp_path / "no", "--out", out, "--valid-from", "2026-01-01").refused
    )


def test_what_if_compares_taps_with_what_was_paid_or_with_a_baseline(taps: Path) -> None:
    shown = run("what-if", "--tariff", TWO, "--taps", taps, "--json").json
    assert shown["total"] == {"taps": 4, "was_fen": 1050, "would_fen": 760 + 210 + 250}
    assert shown["by_operator"]["BUS"] == {"taps": 2, "was_fen": 350, "would_fen": 460}
    based = run("what-if", "--tariff", TWO, "--taps", taps, "--baseline", ONE, "--json").json
    assert based["total"]["was_fen"] == 665 + 160 + 200
    assert (
        "0 cards would pay less, 2 more, 0 the same" in run("what-if", "--tariff", TWO, "--taps", taps).output
    )
    assert "give either --day" in run("what-if", "--tariff", TWO).refused


def test_what_if_writes_which_taps_have_no_price(tmp_path: Path) -> None:
    path = tmp_path / "taps.csv"
    path.write_text("card,at,kind,mode,paid_fen\nA,2026-03-02T08:00,ride,tram,90\n", encoding="utf-8")
    shown = run("what-if", "--tariff", ONE, "--taps", path, "--json").json
    assert (shown["total"]["would_fen"], shown["unpriced"]) == (90, {"mode_unknown": 1})


def test_what_if_needs_to_know_what_was_paid(tmp_path: Path) -> None:
    path = tmp_path / "taps.csv"
    path.write_text("card,at,kind,mode\nA,2026-03-02T08:00,ride,bus\n", encoding="utf-8")
    refused = run("what-if", "--tariff", ONE, "--taps", path).refused
    assert "does not say what was paid; add the column paid_fen, or give --baseline TARIFF" in refused


@pytest.fixture
def cleared(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Path]:
    """Books with a cleared day, and a tariff that says what its rules said."""
    write_taps(engine, tap_row(0, at(8)), tap_row(1, at(9), card_no=card_no(2)))
    path = tmp_path / "shenzhen.json"
    path.write_text(
        write_fares(fares_of_rules(shenzhen(), None, {}, PaidArea(240, 0, 1200, 0))), encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONECARD_HOME", str(tmp_path / "var"))
        patch.setenv("ONECARD_DATABASE", database_url)
        yield path


def test_what_if_reads_a_cleared_day_of_the_books(cleared: Path) -> None:
    shown = run("what-if", "--tariff", cleared, "--day", "2018-09-01", "--json").json
    assert shown["total"] == {"taps": 2, "was_fen": 320, "would_fen": 320}
    assert (shown["winners"], shown["losers"], shown["same"]) == (0, 0, 2)
    refused = run("what-if", "--tariff", cleared, "--day", "2018-09-02").refused
    assert refused == "--day 2018-09-02: no tap was paid on it; give a business date whose night has run"


def test_the_schema_is_written_as_the_documents_have_it() -> None:
    assert run("schema").output == (ROOT / "docs" / "formats" / "tariff.schema.json").read_text(
        encoding="utf-8"
    )
