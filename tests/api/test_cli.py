"""The command line, run as its user runs it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from city.biller import running_biller
from city.insurer import running_insurer
from city.sectors import GAS
from clearing.sectors.utilities.catalogue import Supply
from tests.support.night_books import csv_table, fen_of, statement_fen
from tests.support.told import untimed
from tests.support.typed_commands import TypedCommands

DEMO_DAY = "2026-03-02"
RIDER = "03104870000000000001"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home after `onecard demo`, and what that printed; started as the program that is installed."""
    home = tmp_path_factory.mktemp("demo") / "var"
    ended = subprocess.run(
        [Path(sys.executable).with_name("onecard"), "demo"],
        env={**os.environ, "ONECARD_HOME": str(home)},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return home, ended.stdout


@pytest.mark.parametrize(
    "said",
    [
        "presented", "accepted", "suspended", "rejected", "malformed", "duplicate", "device_unknown",
        "card_unknown", "tac_wrong", "counter_conflict", "hotlisted", "balance_gap", "amount_out_of_bounds",
        "the metro is ridden", "a bus is ridden  on card", "→ clearing:BUS-EAST",
        "purse:03104870000000000001 → clearing:METRO-1",
        "a holder is enrolled", "the wallet is topped up", "a hospital bill is split and settled",
        "the gas bill is paid", "a contribution is paid", "a benefit arrives", "a bus is ridden on a code",
        "a shop's code is paid from the phone", "a card is loaded from the wallet", "a lost card is reported",
        "fund:MED-POOL → clearing:HOSPITAL-1", "HOSPITAL-1", "GAS-1", "SSB", "SHOP-1",
        "METRO-1", "METRO-2", "BUS-EAST", "BUS-WEST", "Trial balance difference: 0.00", "0.00 unexplained",
        "an insurer's answer is lost", "Rides on codes", "Reconciled with GAS-1: 1 of 68.40 yuan on both sides",
        "Reconciled with insurer: 2 of 155.96 yuan on both sides",
        "Seal of", "out/bank/pain001-", "Next:", "make serve",
    ],
)  # fmt: skip
def test_the_demonstration_says_what_it_promises(demo: tuple[Path, str], said: str) -> None:
    assert said in demo[1]


def test_the_files_that_the_demonstration_names_are_there(demo: tuple[Path, str]) -> None:
    home, said = demo
    named = [line.strip() for line in said.splitlines() if line.startswith("  out/")]
    assert len(named) > 10
    assert all((home / "nights" / DEMO_DAY / name).stat().st_size for name in named)


def test_the_lines_of_every_statement_add_up_to_the_gross_position(demo: tuple[Path, str]) -> None:
    """Taps, rides on codes, a hospital's bills, the gas company's, contributions, a shop's code: all kinds."""
    out = demo[0] / "nights" / DEMO_DAY / "out"
    sheet = [row for row in csv_table(out / "reports" / "positions.csv") if row["role"] == "participant"]
    said = {row["party"]: fen_of(row["gross yuan"]) for row in sheet}
    statements = {
        party: statement_fen(out / "statements", party, DEMO_DAY.replace("-", "")) for party in said
    }
    assert statements == {party: (gross_fen, gross_fen) for party, gross_fen in said.items()}
    assert said.keys() >= {"BUS-EAST", "METRO-1", "HOSPITAL-1", "GAS-1", "SSB", "SHOP-1"}
    assert (out / "statements" / "BUS-EAST-20260302-codes.csv").exists()


def test_a_night_asks_the_institutions_that_the_settings_name(
    onecard: TypedCommands, demo: tuple[Path, str], tmp_path: Path
) -> None:
    home = shutil.copytree(demo[0], tmp_path / "var")
    words = ("night", "2026-03-03", "--at", "2026-03-03T23:30:00")
    with (
        running_insurer(home / "city" / "insurer") as insurer,
        running_biller(home / "city" / "gas", GAS, Supply.GAS) as gas,
    ):
        named = {"ONECARD_INSURER": insurer.url, "ONECARD_BILLERS": json.dumps({GAS: gas.url})}
        ended = onecard(home, *words, **named)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Reconciled with GAS-1: 0 of 0.00 yuan on both sides" in ended.stdout
    assert "Reconciled with insurer: 0 of 0.00 yuan on both sides" in ended.stdout


def test_a_second_demonstration_starts_afresh_and_says_the_same(
    onecard: TypedCommands, demo: tuple[Path, str], tmp_path: Path
) -> None:
    second = onecard(shutil.copytree(demo[0], tmp_path / "var"), "demo")
    assert second.returncode == 0, second.stderr
    # Holders' ids and one-time codes come from keys that are new each time; money does not.
    told = [
        untimed(said.partition("309 cards")[2].partition("Seal of")[0]) for said in (demo[1], second.stdout)
    ]
    assert told[0] == told[1]
    assert "0.00 unexplained" in told[0]


def test_a_home_with_another_city_is_not_cleared_away(onecard: TypedCommands, tmp_path: Path) -> None:
    (tmp_path / "onecard.db").write_bytes(b"precious")
    ended = onecard(tmp_path, "demo")
    assert ended.returncode == 1
    assert "already keeps a city that is not a demonstration" in ended.stderr
    assert (tmp_path / "onecard.db").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", DEMO_DAY), "finished"),
        (("night", DEMO_DAY), "was finished before; nothing changed"),
        (("card", "03104870000000000001"), "yuan cleared"),
        (("ledger", "trial-balance"), "Difference: 0.00 yuan"),
        (("ledger", "check"), "The books are sound."),
        (("ledger", "account", "clearing:METRO-1"), "net"),
        (("status", "2026-03-09"), "No night of 2026-03-09"),
        (("--help",), "replay"),
    ],
)
def test_a_command_shows_what_it_is_for(
    onecard: TypedCommands, demo: tuple[Path, str], words: tuple[str, ...], said: str
) -> None:
    ended = onecard(demo[0], *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert said in ended.stdout


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (("card", "42"), {}, "A card number has 20 digits; this one has 2"),
        (("card", "09999999999999999999"), {}, "No card of this city has that number"),
        (("night", "2026-03-09"), {}, "was never opened; give a business date that is open"),
        (("ledger", "account", "purse:nobody"), {}, "purse:nobody"),
        (("replay", "nowhere.csv", "--business-date", "2018-09-01"), {}, "give the path of the trace"),
        (("bench", "nonsense"), {}, "give one of hsm, ledger, night, spark, terminal"),
        (
            ("ledger", "check"),
            {"ONECARD_DATABASE": "postgresql+psycopg://x@/y?host=/nowhere"},
            "check ONECARD_DATABASE",
        ),
        (("demo",), {"ONECARD_DATABASE": "sqlite:///x.db"}, "unset ONECARD_DATABASE"),
        (("night", DEMO_DAY), {"ONECARD_HSM": "nonsense"}, "give host:port"),
        (
            ("night", DEMO_DAY),
            {"ONECARD_INSURER": "10.0.0.5:80"},
            "ONECARD_INSURER: Value error, address '10.0.0.5:80'",
        ),
        (("night", DEMO_DAY), {"ONECARD_BILLERS": '{"GAS-1": "http://"}'}, "give http://host:port"),
        (("night", "2026-03-03"), {"ONECARD_HSM": "127.0.0.1:1"}, "unreachable"),
        (("night", DEMO_DAY), {"ONECARD_PRODUCTION": "1"}, "production needs a real HSM"),
    ],
)
def test_what_a_person_can_mend_is_said_in_a_line(
    onecard: TypedCommands,
    demo: tuple[Path, str],
    words: tuple[str, ...],
    environment: dict[str, str],
    said: str,
) -> None:
    ended = onecard(demo[0], *words, **environment)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_production_refuses_a_simulated_hsm(
    onecard: TypedCommands, demo: tuple[Path, str], hsm_address: str
) -> None:
    ended = onecard(demo[0], "night", "2026-03-03", ONECARD_PRODUCTION="1", ONECARD_HSM=hsm_address)
    assert ended.returncode == 1
    assert "production refuses 'SIMULATOR hsm-sim" in ended.stderr


def test_a_replay_in_a_home_of_another_day_gets_a_city_of_its_own(
    onecard: TypedCommands, demo: tuple[Path, str], tmp_path: Path
) -> None:
    trace, totals = tmp_path / "trace.csv", tmp_path / "totals.json"
    trace.write_text(
        "card_no,deal_date,mode,company_name,site,equ_no,site_code,deal_value,deal_money,fare_class\n"
        "AAAAAAAAC,2018-09-01 08:01:00,BUS,巴士集团,M506,231017343,,200,160,STD\n"
        "AAAAAAAAC,2018-09-01 08:01:00,TAXI,巴士集团,M506,231017343,,200,160,STD\n"
    )
    words = ("replay", "--format", "szt", trace, "--business-date", "2018-09-01", "--report", totals)
    first, again = onecard(demo[0], *words), onecard(demo[0], *words)
    assert (first.returncode, first.stderr) == (0, "")
    assert f"ONECARD_HOME={demo[0] / 'replay'}" in first.stdout
    assert json.loads(totals.read_text())["all"] == {"rows": 1, "list_fen": 200, "paid_fen": 160}
    (left_out,) = json.loads(totals.with_suffix(".left-out.json").read_text())
    assert (left_out["row"], left_out["field"], left_out["value"]) == (3, "mode", "TAXI")
    assert "was replayed before, on 2018-09-01; nothing changed" in again.stdout


@pytest.mark.parametrize(("name", "size", "count"), [("hsm", "300", 6), ("terminal", "100", 3)])
def test_a_benchmark_writes_rows_of_figures(
    onecard: TypedCommands, tmp_path: Path, name: str, size: str, count: int
) -> None:
    rows = tmp_path / "rows.json"
    ended = onecard(tmp_path / "home", "bench", name, "--size", size, "--json", rows)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(rows.read_text())
    assert len(figures) == count
    for figure in figures:
        assert set(figure) == {"figure", "value", "unit", "against", "ratio", "goal", "held"}
        assert figure["value"] > 0
        assert figure["ratio"] > 0


@pytest.mark.parametrize(
    ("file", "column"), [("BUS-EAST-20260302-codes", "code"), ("SHOP-1-20260302-payments", "reference")]
)
def test_what_stands_on_a_statement_is_traced_by_what_it_is_called_there(
    onecard: TypedCommands, demo: tuple[Path, str], file: str, column: str
) -> None:
    row = csv_table(demo[0] / "nights" / DEMO_DAY / "out" / "statements" / f"{file}.csv")[0]
    shown = onecard(demo[0], "trace", row[column]).stdout
    assert row[column] in shown
    assert "from wallet to clearing:" in shown
    assert "it pays this" in shown
    refused = onecard(demo[0], "trace", f"{row[column]}0")
    assert refused.returncode == 1
    assert "as a statement has them" in refused.stderr


@pytest.mark.parametrize("format", ["hledger", "beancount"])
def test_an_export_is_accepted_by_the_tool_it_is_for(
    onecard: TypedCommands, demo: tuple[Path, str], tmp_path: Path, format: str
) -> None:
    written = tmp_path / f"books.{format}"
    ended = onecard(demo[0], "ledger", "export", "--format", format, "--output", written)
    assert ended.returncode == 0, ended.stderr
    checkers: dict[str, list[str | Path]] = {
        "hledger": ["hledger", "-f", written, "check", "--strict"],
        "beancount": [Path(sys.executable).with_name("bean-check"), written],
    }
    checked = subprocess.run(checkers[format], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


LISTS = (
    ("queue", "list", "--done-too"), ("queue", "show", "1"), ("bank", "statements"), ("bank", "files", "--all"),
    ("bank", "proposals", "--done-too"), ("bank", "show", "S1:1"), ("bank", "reserve"),
    ("suspense", "list"), ("suspense", "list", "--taps"), ("night", "plan", "2026-03-03"),
    ("night", "status", DEMO_DAY), ("night", "exceptions", DEMO_DAY), ("ledger", "trial-balance"),
    ("ledger", "account", "clearing:METRO-1"), ("terminals", "gaps"), ("terminals", "silent"), ("cards", "hotlist"),
    ("card", RIDER), ("trace", RIDER, "1"), ("trace", "BUS-EAST", "qr:1:0"), ("city", "show"),
    ("city", "show", "participants"), ("city", "show", "devices"), ("centres", "list"), ("clients", "list"),
)  # fmt: skip
"""Every command that lists something of the demonstration."""


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_no_word_on_a_screen_is_cut_or_broken(
    onecard: TypedCommands, demo: tuple[Path, str], words: tuple[str, ...]
) -> None:
    in_a_pipe = onecard(demo[0], *words)
    assert (in_a_pipe.returncode, in_a_pipe.stderr) == (0, "")
    for columns in ("60", "80"):
        shown = onecard(demo[0], *words, COLUMNS=columns).stdout
        assert "…" not in shown
        assert words_below_headings(in_a_pipe.stdout) <= set(shown.split())


def words_below_headings(shown: str) -> set[str]:
    """What is shown, without headings, which an empty column loses, and the space on the disk, which changes."""
    lines = [line for line in shown.splitlines() if not line.startswith("Space:")]
    beside = zip(lines, [*lines[1:], ""], strict=True)
    return {word for line, below in beside if "─" not in line + below for word in line.split()}
