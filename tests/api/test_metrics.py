"""`/metrics`: lines that Prometheus reads, for clients that may, from the books as they stand."""

import os
import re
from datetime import timedelta
from pathlib import Path

from fastapi.testclient import TestClient

from api.http.clients import register_client
from api.pages.metrics import exposition
from api.web import make_service
from ledger.db import writing
from settlement.gauges import Gauge
from tests.api.http_doors import Doors

SECRET = "a secret of the watcher's own"
_LABELS = r'(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\})?'
_LINE = re.compile(rf"(?P<name>onecard_[a-z_]+)(?P<labels>{_LABELS}) (?P<value>-?[0-9]+)")


def values_of(text: str) -> dict[str, int]:
    """The values by name and labels, of an exposition of which every line is one, or what comes before the first."""
    found: dict[str, int] = {}
    told: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            told.append(line.split(" ")[2])
        elif line.startswith("# TYPE "):
            assert line == f"# TYPE {told[-1]} gauge"
        else:
            matched = _LINE.fullmatch(line)
            assert matched is not None and matched["name"] == told[-1], line
            found[matched["name"] + matched["labels"]] = int(matched["value"])
    assert len(told) == len(set(told)) and text.endswith("\n")
    return found


def test_a_client_with_the_scope_reads_the_figures_and_nobody_else_does(doors: Doors, tmp_path: Path) -> None:
    with writing(doors.engine) as conn:
        register_client(conn, "watcher", SECRET, "SCHEME", ["metrics:read"], doors.clock())
        register_client(conn, "finance", SECRET, "SCHEME", ["finance:read"], doors.clock())
    with TestClient(make_service(doors.deps, tmp_path), "https://onecard.test") as client:
        for nobody in (None, ("watcher", "wrong"), ("finance", SECRET)):
            refused = client.get("/metrics", auth=nobody)
            assert refused.status_code == 401 and "onecard_bank" not in refused.text
            assert refused.headers["www-authenticate"].startswith('Basic realm="onecard metrics"')
        answer = client.get("/metrics", auth=("watcher", SECRET))
        assert client.get("/finance", auth=("watcher", SECRET)).status_code == 401
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(
        "text/plain; version=0.0.4"
    )
    assert answer.headers["cache-control"] == "no-store"
    found = values_of(answer.text)
    assert found['onecard_bank_points{kind="rejected",age_days="0"}'] == 0
    assert found['onecard_approvals_waiting{room="city"}'] == 0
    assert not [name for name in found if name.startswith("onecard_bank_folder")]


def test_what_lies_in_the_banks_folder_is_counted_with_the_age_of_the_oldest(
    doors: Doors, tmp_path: Path
) -> None:
    now, folder = doors.clock(), tmp_path / "bank"
    folder.mkdir()
    for name, ago in (("a.xml", timedelta(hours=2, milliseconds=500)), ("b.xml", timedelta(minutes=1))):
        (folder / name).write_bytes(b"<a/>")
        at_s = (now - ago).timestamp()
        os.utime(folder / name, (at_s, at_s))

    def asked(folder: Path) -> dict[str, int]:
        service = make_service(doors.rewired(bank_folder=folder).deps, tmp_path, open_finance=True)
        with TestClient(service, "https://onecard.test") as client:
            return values_of(client.get("/metrics").text)

    found = asked(folder)
    assert found["onecard_bank_folder_files"] == 2
    assert found["onecard_bank_folder_oldest_seconds"] == 7200
    found = asked(tmp_path / "none")
    assert found["onecard_bank_folder_files"] == found["onecard_bank_folder_oldest_seconds"] == 0


def test_a_label_is_written_so_that_it_ends_where_it_ends() -> None:
    gauge = Gauge("onecard_odd", "Odd ones.", [({"kind": 'a "b"\\\nc'}, 3), ({}, 1 << 62)])
    assert exposition([gauge]) == (
        "# HELP onecard_odd Odd ones.\n# TYPE onecard_odd gauge\n"
        'onecard_odd{kind="a \\"b\\"\\\\\\nc"} 3\n'
        f"onecard_odd {1 << 62}\n"
    )
    assert len(values_of(exposition([gauge]))) == 2
