"""The maker of generated days' TACs makes what a card would make."""

import subprocess
import sys

from tests.hsm_sim.worked_example import bulk_columns

ROWS = 700


def test_the_maker_answers_each_row_with_its_cards_tac() -> None:
    asked = ROWS.to_bytes(4, "big") + bulk_columns(ROWS) + bytes(4 * ROWS)
    command = [sys.executable, "-m", "hsm_sim.bulk_make"]
    made = subprocess.run(command, input=asked, capture_output=True, check=True).stdout
    assert made == bytes.fromhex("CFF2892D") * ROWS
