"""A terminal and its depot over HTTP, the depot a process of its own: files down, health up, and days without."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from card.algorithms import Algorithm
from card.hsm.client import Hsm
from city.distribution import running_yard
from clearing.publication import keys_of, publish_document, publish_hotlist, signer_of
from clearing.wire.hotlist import numbers_of
from clearing.wire.signed import Kind
from terminals.health import Vitals, health_report
from terminals.holdings import Holdings, Receipt
from terminals.hotlist import Hotlist
from terminals.line import MOST_BYTES, DepotLine, LineGone
from terminals.outbox import Outbox
from terminals.sam import HsmSam
from terminals.trip import Identity
from terminals.validator import Validator
from tests.terminals.depot import AT, BUS, CARD_NO, GATE, TARIFF, Depot
from tests.terminals.signed_files import settings_text, tariff_text

MADE = AT - timedelta(hours=1)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    return folder


@pytest.fixture
def line(tmp_path: Path, published: Path) -> Iterator[DepotLine]:
    with (
        running_yard(tmp_path / "yard", published) as address,
        httpx.Client(base_url=address, trust_env=False, verify=False) as client,
    ):
        yield DepotLine(client)


@pytest.fixture
def holdings(tmp_path: Path, hsm: Hsm) -> Holdings:
    return Holdings(tmp_path / "held", keys_of(hsm, Algorithm.ED25519), GATE)


def listed(*cards: int) -> list[str]:
    return [f"0310487{card:013d}" for card in cards]


def test_what_the_office_publishes_holds_at_the_terminal_after_the_next_call(
    depot: Depot, hsm: Hsm, line: DepotLine, holdings: Holdings, published: Path, tmp_path: Path
) -> None:
    def publish(cards: list[str]) -> list[Path]:
        return publish_hotlist(published, numbers_of(cards), signer_of(hsm), at=MADE)

    assert line.refresh(holdings) == {}
    publish(listed(1))
    publish_document(published, Kind.TARIFF, 4, tariff_text(version=4), signer_of(hsm), at=MADE)
    publish_document(published, Kind.SETTINGS, 2, settings_text(version=2), signer_of(hsm), at=MADE)
    assert set(line.refresh(holdings).values()) == {Receipt.TAKEN}
    assert holdings.versions == {"hotlist": 1, "tariff": 4, "settings": 2}

    publish([*listed(1, 2), CARD_NO])
    assert line.refresh(holdings) == {"hotlist-00002-change.ohl": Receipt.TAKEN}
    sam = HsmSam(GATE, hsm, depot.outbox)
    validator = Validator(Identity(GATE), sam, depot.outbox, TARIFF, Hotlist(0), holdings=holdings)
    assert validator.tap(depot.card(), BUS, at=AT).refusal == "hotlisted"

    # Days offline: the change in between was missed and is no longer there.
    publish(listed(3))
    (published / "hotlist-00003-change.ohl").unlink()
    publish(listed(4))
    assert line.refresh(holdings) == {
        "hotlist-00004-change.ohl": Receipt.GAP,
        "hotlist-00004.ohl": Receipt.TAKEN,
    }
    assert validator.tap(depot.card(), BUS, at=AT).opened

    # A depot that was set back offers nothing that a terminal would take.
    shutil.copy(published / "hotlist-00001.ohl", published / "hotlist-00009.ohl")
    assert line.refresh(holdings) == {"hotlist-00009.ohl": Receipt.OLDER}
    assert holdings.hotlist.version == 4


def test_the_health_report_arrives_and_tells_the_clock_apart(
    depot: Depot, line: DepotLine, holdings: Holdings, tmp_path: Path
) -> None:
    validator = depot.validator()
    card = depot.card(balance_fen=200)
    for _ in range(2):
        card.reset()
        validator.tap(card, BUS, at=AT)
    assert validator.outcomes == Counter(opened=1, insufficient=1)
    vitals = Vitals(AT, 30_000_000, 1_000_000_000, last_upload=MADE, clock_offset_s=1.5)
    report = health_report(GATE, vitals, depot.outbox, holdings, validator.outcomes)
    assert report["outbox"] == {
        "unacknowledged": 1, "waiting": 1, "pending": 0, "owed": 0, "unresolved": 0, "batches_held": 0,
    }  # fmt: skip
    before = datetime.now(UTC)
    offset = line.report(report, at=before)
    assert timedelta() <= offset <= datetime.now(UTC) - before
    kept = httpx.get(f"{line.address}/health", trust_env=False, verify=False).json()
    (seen,) = kept
    assert (seen["terminal"], seen["outcomes"], seen["versions"]) == (
        GATE,
        {"opened": 1, "insufficient": 1},
        {"hotlist": 0, "tariff": 0, "settings": 0},
    )
    assert datetime.fromisoformat(seen["last_upload"]) == MADE


@pytest.mark.parametrize("change", [{"terminal": "bus 1"}, {"memory_bytes": -1}, {"colour": "red"}])
def test_a_report_that_is_none_is_turned_away_and_the_terminal_goes_on(
    outbox: Outbox, line: DepotLine, holdings: Holdings, change: dict[str, object]
) -> None:
    report = health_report(GATE, Vitals(AT, 1, 1), outbox, holdings, {})
    with pytest.raises(LineGone, match="422"):
        line.report(report | change, at=AT)


def test_without_a_depot_the_line_says_so_and_what_is_held_holds(holdings: Holdings) -> None:
    with httpx.Client(base_url="http://127.0.0.1:1", trust_env=False, verify=False) as nowhere:
        with pytest.raises(LineGone):
            DepotLine(nowhere).refresh(holdings)
        with pytest.raises(LineGone):
            DepotLine(nowhere).report({}, at=AT)
    assert holdings.versions["hotlist"] == 0


@contextmanager
def saying(body: bytes) -> Iterator[str]:
    """A server that answers everything with this."""

    class Says(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Says) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[{}]",
        b'[{"name": 1, "kind": "tariff", "version": "x"}]',
        b'[{"name": "tariff", "kind": "tariff", "version": Infinity}]',
        b'[{"name": "tariff\\u0007", "kind": "tariff", "version": 1}]',
        b"[" * 9999,
        b"7",
    ],
)
def test_a_depot_that_talks_nonsense_is_as_good_as_none(holdings: Holdings, body: bytes) -> None:
    with saying(body) as address, httpx.Client(base_url=address, trust_env=False, verify=False) as client:
        with pytest.raises(LineGone):
            DepotLine(client).refresh(holdings)
        with pytest.raises(LineGone):
            DepotLine(client).report({}, at=AT)


def test_a_depot_that_never_ends_is_not_heard_to_the_end(holdings: Holdings) -> None:
    with (
        saying(b" " * (MOST_BYTES + 1)) as address,
        httpx.Client(base_url=address, trust_env=False, verify=False) as client,
        pytest.raises(LineGone, match="longer than"),
    ):
        DepotLine(client).refresh(holdings)
