"""`/metrics`: figures of what waits, in the text format that Prometheus reads (version 0.0.4)."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from api.pages.readers import reader
from api.pages.visitor import Doors
from ledger.db import reading
from settlement.bank.drop_folder import lying
from settlement.gauges import Gauge, Labels, gauges_of

SCOPE: Final = "metrics:read"
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

router = APIRouter(dependencies=[Depends(reader(SCOPE, "onecard metrics"))])


@router.get("/metrics")
def metrics(doors: Doors) -> Response:
    """All figures as they stand now; nothing is kept between two questions, so any of several servers may be asked."""
    at = doors.now()
    with reading(doors.engine) as conn:
        gauges = gauges_of(conn, at)
    if doors.bank_folder is not None:
        gauges += _of_folder(doors.bank_folder, at)
    return Response(exposition(gauges), media_type=MEDIA_TYPE)


def exposition(gauges: Iterable[Gauge]) -> str:
    """Gauges as lines; every value is a whole number and stays one."""
    return "".join(line for gauge in gauges for line in _lines(gauge))


def _lines(gauge: Gauge) -> Iterator[str]:
    yield f"# HELP {gauge.name} {gauge.what}\n"
    yield f"# TYPE {gauge.name} gauge\n"
    for labels, value in gauge.values:
        yield f"{gauge.name}{_shown(labels)} {value}\n"


def _shown(labels: Labels) -> str:
    escaped = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
    pairs = ",".join(f'{name}="{value.translate(escaped)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _of_folder(folder: Path, at: datetime) -> list[Gauge]:
    """What lies in the bank's folder: what grows old there is taken by nobody. None of one that cannot be used."""
    try:
        found = lying(folder)
    except OSError:
        return []
    oldest = max((int((at - one.written_at).total_seconds()) for one in found), default=0)
    return [
        Gauge("onecard_bank_folder_files", "Files that lie in the bank's folder.", [({}, len(found))]),
        Gauge(
            "onecard_bank_folder_oldest_seconds",
            "How long ago the oldest of them was written; 0 where none lies there.",
            [({}, max(0, oldest))],
        ),
    ]
