"""Reconciliation: what was lost between two stages is found, to the fen."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from clearing.context import StepResult
from clearing.online.load import LoadOrder, LoadProof, authorise_loads, confirm_loads
from clearing.online.wallet_load import LoadReturn, return_loads
from ledger.balances import balance
from ledger.db import reading, writing
from settlement.chips import Difference, Reason, chip_differences
from settlement.night import NightRefused, run_night
from settlement.reconcile import operator_stages
from tests.settlement.conftest import FinishedNight, PreparedDay
from tests.settlement.small_day import DAY, METRO_TAPS, MORNING, card_no, night_of, put

AGREES = Difference(
    card_no=card_no(1), chip_fen=4_000, loaded_fen=500, purse_fen=4_500, suspended_fen=0, rejected_fen=0,
    shortfall_fen=0, pending_fen=0, doubtful_fen=0, missing_taps=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("difference", "remainder_fen", "reason"),
    [
        (replace(AGREES, purse_fen=4_660, suspended_fen=160), 0, Reason.EXPLAINED),
        (replace(AGREES, purse_fen=4_900, suspended_fen=160, rejected_fen=240), 0, Reason.EXPLAINED),
        (replace(AGREES, purse_fen=4_530, shortfall_fen=30), 0, Reason.EXPLAINED),
        (replace(AGREES, chip_fen=5_000, pending_fen=1_000), -1_000, Reason.LOAD_PENDING),
        (replace(AGREES, purse_fen=4_600, doubtful_fen=100, missing_taps=1), 100, Reason.TAPS_DOUBTFUL),
        (replace(AGREES, purse_fen=4_600, doubtful_fen=99, missing_taps=1), 100, Reason.TAPS_MISSING),
        (replace(AGREES, purse_fen=4_600, doubtful_fen=99), 100, Reason.UNEXPLAINED),
        (replace(AGREES, purse_fen=4_499), -1, Reason.UNEXPLAINED),
    ],
)
def test_the_first_reason_that_covers_a_difference_is_given(
    difference: Difference, remainder_fen: int, reason: Reason
) -> None:
    assert (difference.remainder_fen, difference.reason) == (remainder_fen, reason)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            "DELETE FROM tap WHERE operator = 'BUS-1' AND sequence = 3 AND position = 1",
            "BUS-1: files hold 7 records of 1240 fen, taps are 6 of 1000 fen; 480 fen are paid, 720 fen booked",
        ),
        (
            "UPDATE tap SET amount_fen = amount_fen + 1 WHERE operator = 'METRO-1' AND position = 0",
            "METRO-1: files hold 5 records of 1425 fen, taps are 5 of 1426 fen",
        ),
        (
            "UPDATE tap SET paid_fen = paid_fen - 1 WHERE operator = 'METRO-1' AND position = 1",
            "1424 fen are paid, 1425 fen booked",
        ),
    ],
)
def test_a_loss_between_stages_stops_the_night(day: PreparedDay, damage: str, words: str) -> None:
    def spoil(step: str, state: str, _result: StepResult | None) -> None:
        if (step, state) == ("reconcile", "started"):
            with writing(day.engine) as conn:
                assert conn.execute(text(damage)).rowcount == 1

    with pytest.raises(NightRefused) as refused:
        run_night(day.engine, day.night, observe=spoil)
    assert refused.value.step == "reconcile"
    assert words in refused.value.reason
    listed = day.night.folder / "out" / "reports" / "reconciliation.csv"
    assert str(listed) in refused.value.remedy
    assert b",NO\r\n" in listed.read_bytes()


def test_files_taps_and_books_agree_for_every_operator(finished: FinishedNight) -> None:
    with reading(finished.engine) as conn:
        stages = operator_stages(conn, DAY)
    assert all(one.agrees for one in stages)
    assert [(one.operator, one.files, one.taps, one.filed_fen, one.booked_fen) for one in stages] == [
        ("BUS-1", 2, 7, 1_240, 720),
        ("METRO-1", 1, 5, 1_425, 1_425),
    ]


def test_a_load_after_the_last_tap_and_one_never_proved_are_accounted_for(day: PreparedDay) -> None:
    evening = MORNING + timedelta(hours=15)
    with writing(day.engine) as conn:
        orders = [LoadOrder(card_no(2), 700, "KIOSK-1", "LATER", DAY, evening)]
        authorise_loads(conn, orders, at=evening)
        confirm_loads(conn, [LoadProof("LATER", 5_025, 2, bytes(4), DAY, evening)], at=evening)
        authorise_loads(conn, [LoadOrder(card_no(4), 900, "KIOSK-1", "UNPROVED", DAY, MORNING)], at=evening)
        # Card 4 took the load before its taps without our hearing of it: its chip has 9 yuan more than we know.
    (day.night.inbox / "METRO-1-00000001.ocb").unlink()
    loaded = [
        replace(tap, before_fen=tap.before_fen + 900)
        for tap in METRO_TAPS
        if (tap.card, tap.counter) == (4, 1)
    ]
    put(day.night.inbox, day.night.hsm, "METRO-1", 1, (*METRO_TAPS[:3], *loaded))
    run_night(day.engine, night_of(day.home, day.night.hsm))
    with reading(day.engine) as conn:
        found = {one.card_no: (one.difference_fen, one.reason) for one in chip_differences(conn, DAY)}
    assert found == {card_no(3): (160, Reason.EXPLAINED), card_no(4): (-900, Reason.LOAD_PENDING)}


def test_a_load_that_was_returned_and_proved_all_the_same_is_accounted_for(day: PreparedDay) -> None:
    evening = MORNING + timedelta(hours=15)
    with writing(day.engine) as conn:
        authorise_loads(conn, [LoadOrder(card_no(2), 700, "KIOSK-1", "BACK", DAY, evening)], at=evening)
        return_loads(conn, [LoadReturn("BACK", DAY, evening)], at=evening)
        confirm_loads(conn, [LoadProof("BACK", 5_025, 2, bytes(4), DAY, evening)], at=evening)
    run_night(day.engine, night_of(day.home, day.night.hsm))
    with reading(day.engine) as conn:
        assert balance(conn, "suspense:load_returned").net_fen == 700
        assert card_no(2) not in {one.card_no for one in chip_differences(conn, DAY)}
