"""A holder sees what moved in months whose lines have left the books."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ledger.archive import Archive
from tests.api.http_doors import Doors
from tests.support.archived_month import archived, over
from tests.support.clearing_day import DAY


def pages(doors: Doors, address: str, headers: dict[str, str]) -> list[Any]:
    """All rows of a list, asked for two at a time."""
    rows: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        answer = doors.client.get(address, params={"limit": 2, **more}, headers=headers)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
    return rows


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
        doors.client.app.state.deps = replace(doors.deps, archive=archive)  # type: ignore[attr-defined]
        record = doors.client.get("/v1/me/social-security", headers=me).json()
        return [pages(doors, "/v1/me/pockets/medical/history", me), record]

    before = told(None)
    assert [row["amount_fen"] for row in before[0]] == [300, 200, 100]
    assert [row["amount_fen"] for row in before[1]["movements"]] == [300, 200, 100]
    assert told(archived(doors.engine, DAY, tmp_path)) == before
