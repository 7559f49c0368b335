"""A holder sees what moved in months whose lines have left the books."""

from pathlib import Path
from typing import Any

from ledger.archive import Archive
from tests.api.http_doors import Doors, list_of
from tests.support.archived_month import archived, over
from tests.support.clearing_day import DAY


def test_a_holders_history_and_record_are_the_same_before_and_after_archiving(
    doors: Doors, tmp_path: Path
) -> None:
    holder = doors.enrol(1)
    pocket = f"medical:{holder}"
    for amount_fen in (100, 200, 300):
        doors.fund(pocket, amount_fen)
    over(doors.engine, DAY)
    me = doors.session(holder)

    def told(archive: Archive | None) -> list[Any]:
        doors.rewired(archive=archive)
        record = doors.client.get("/v1/me/social-security", headers=me).json()
        return [list_of(doors, "/v1/me/pockets/medical/history", me, {"limit": 2}), record]

    before = told(None)
    assert [row["amount_fen"] for row in before[0]] == [300, 200, 100]
    assert [row["amount_fen"] for row in before[1]["movements"]] == [300, 200, 100]
    assert told(archived(doors.engine, DAY, tmp_path)) == before
