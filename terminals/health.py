"""How a terminal is: what it tells its depot of itself, as one flat document of JSON values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from terminals.holdings import Holdings
from terminals.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the terminal's edge measures: its clock, memory, free disk, last upload, and how far its clock was off.

    `clock_offset_s` is the depot's time less ours when last compared; None before the first time.
    """

    at: datetime
    memory_bytes: int
    disk_free_bytes: int
    last_upload: datetime | None = None
    clock_offset_s: float | None = None


def health_report(
    terminal: str, vitals: Vitals, outbox: Outbox, holdings: Holdings, outcomes: Mapping[str, int]
) -> dict[str, Any]:
    """The report (docs/formats/terminal-files.md). Its size does not depend on how many rides there were."""
    return {
        "terminal": terminal,
        "at": vitals.at.isoformat(),
        "memory_bytes": vitals.memory_bytes,
        "disk_free_bytes": vitals.disk_free_bytes,
        "last_upload": None if vitals.last_upload is None else vitals.last_upload.isoformat(),
        "clock_offset_s": vitals.clock_offset_s,
        "outbox": outbox.depth(),
        "versions": holdings.versions,
        "outcomes": dict(sorted(outcomes.items())),
    }
