"""Reports: figures that agree with the books and with one another."""

import csv
import json
from io import StringIO
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from card.hsm.client import Hsm
from ledger.balances import balance_on, totals
from ledger.db import reading
from settlement.day_end import balances_at, trial_balance_at
from settlement.night import STEPS
from settlement.report_files import EXCEPTION_COLUMNS
from settlement.reports import night_summary
from tests.settlement.conftest import FinishedNight
from tests.settlement.small_day import DAY, card_no


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(path.read_bytes().decode("utf-8-sig"))))


def test_the_summary_tells_the_whole_night(finished: FinishedNight) -> None:
    with reading(finished.engine) as conn:
        summary = night_summary(conn, DAY)
    assert (summary.state, summary.refused) == ("finished", "")
    assert [record.step for record in summary.steps] == [name for name, _ in STEPS]
    assert (summary.files_accepted, summary.files_rejected, summary.presented) == (3, 1, 12)
    assert summary.taps_by_money == {"paid": 9, "suspended": 2, "none": 1}
    assert {row.verdict: row.taps for row in summary.verdicts} == {
        "duplicate": 1,
        "device_unknown": 1,
        "tac_wrong": 1,
        "balance_gap": 1,
        "price_differs": 1,
        "accepted": 7,
    }
    assert [(row.participant, row.gross_fen, row.fee_fen, row.net_fen) for row in summary.operators] == [
        ("BUS-1", 720, 5, 715),
        ("METRO-1", 1425, 9, 1416),
    ]
    assert summary.difference_fen == 0
    assert (summary.purse_liabilities_fen, summary.pending_loads_fen) == (5 * 5_000 - 2_145 - 40, 1_000)
    assert {mark.path.split("/")[1] for mark in summary.files} == {
        "accounts",
        "bank",
        "statements",
        "reports",
        "requests",
    }


def test_the_seal_of_the_night_verifies_with_the_public_key_alone(finished: FinishedNight, hsm: Hsm) -> None:
    seal = json.loads((finished.out / "reports" / "seal.json").read_text())
    with reading(finished.engine) as conn:
        kept = night_summary(conn, DAY).seal
    assert kept is not None
    assert (kept.root.hex(), kept.signature.hex()) == (seal["root"], seal["signature"])
    _, public = hsm.public_key(seal["key_version"])
    Ed25519PublicKey.from_public_bytes(public).verify(kept.signature, kept.root)


def test_a_night_that_never_began_has_an_empty_summary(finished: FinishedNight) -> None:
    with reading(finished.engine) as conn:
        summary = night_summary(conn, DAY.replace(day=2))
    assert (summary.state, summary.steps, summary.verdicts, summary.seal) == ("not started", (), (), None)


def test_the_trial_balance_adds_up_and_agrees_with_the_ledger(finished: FinishedNight) -> None:
    *rows, total = table(finished.out / "reports" / "trial_balance.csv")
    for side in ("debits yuan", "credits yuan", "debit balance yuan", "credit balance yuan"):
        assert sum(int(row[side].replace(".", "")) for row in rows) == int(total[side].replace(".", ""))
    assert total["debits yuan"] == total["credits yuan"]
    assert total["debit balance yuan"] == total["credit balance yuan"]
    with reading(finished.engine) as conn:
        ours = trial_balance_at(conn, DAY)
        assert ours == [row for row in totals(conn) if row.debits_fen or row.credits_fen]
        for balance in balances_at(conn, DAY, ("purse", "clearing", "payable")):
            assert balance == balance_on(conn, balance.code, DAY)


def test_every_exception_is_listed_once_with_what_it_is_about(finished: FinishedNight) -> None:
    rows = table(finished.out / "reports" / "exceptions.csv")
    assert tuple(rows[0]) == EXCEPTION_COLUMNS
    assert [(row["exception"], row["file"], row["record"], row["money"]) for row in rows] == [
        ("price_differs", "BUS-1-00000001.ocb", "1", "paid"),
        ("device_unknown", "BUS-1-00000001.ocb", "2", "suspended"),
        ("tac_wrong", "BUS-1-00000001.ocb", "3", "suspended"),
        ("duplicate", "BUS-1-00000003.ocb", "0", "none"),
        ("balance_gap", "METRO-1-00000001.ocb", "4", "paid"),
        ("file_rejected", "METRO-1-00000002.ocb", "", ""),
        ("file_missing", "BUS-1-00000002.ocb", "", ""),
    ]
    assert all(row["what"] for row in rows)
    assert rows[-1]["remedy"] == "ask the operator to send them"


def test_the_positions_on_paper_sum_to_zero(finished: FinishedNight) -> None:
    rows = table(finished.out / "reports" / "positions.csv")
    assert sum(int(row["position yuan"].replace(".", "")) for row in rows) == 0
    assert [row["party"] for row in rows] == ["BUS-1", "METRO-1", "SCHEME", "purse"]


def test_the_summary_file_carries_the_figures_in_fen(finished: FinishedNight) -> None:
    content = json.loads((finished.out / "reports" / "summary.json").read_text())
    assert content["trial_balance_difference_fen"] == 0
    assert content["operators"][1]["name"] == "深圳地铁一号线"
    assert sum(row["paid_fen"] for row in content["verdicts"]) == sum(
        row["gross_fen"] for row in content["operators"]
    )


def test_chips_and_purses_differ_only_for_listed_reasons(finished: FinishedNight) -> None:
    rows = table(finished.out / "reports" / "chips.csv")
    assert [(row["card"], row["difference yuan"], row["missing taps"], row["reason"]) for row in rows] == [
        (card_no(3), "1.60", "0", "explained"),
        (card_no(4), "1.60", "1", "taps_missing"),
    ]
