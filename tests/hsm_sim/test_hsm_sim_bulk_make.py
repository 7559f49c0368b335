"""The maker of generated days' TACs makes what a card would make."""

import subprocess
import sys

from tests.hsm_sim.worked_example import AMOUNT, CARD_FACTOR, ISSUER_FACTOR, TERMINAL, TERMINAL_SEQUENCE

ROWS = 700


def test_the_maker_answers_each_row_with_its_cards_tac() -> None:
    values = (
        "01",
        "00",
        ISSUER_FACTOR,
        CARD_FACTOR,
        AMOUNT,
        "06",
        TERMINAL,
        TERMINAL_SEQUENCE,
        "20260131",
        "164329",
    )
    columns = b"".join(bytes.fromhex(value) * ROWS for value in (*values, "00000000"))
    asked = ROWS.to_bytes(4, "big") + columns
    command = [sys.executable, "-m", "hsm_sim.bulk_make"]
    made = subprocess.run(command, input=asked, capture_output=True, check=True).stdout
    assert made == bytes.fromhex("CFF2892D") * ROWS
