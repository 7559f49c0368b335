"""QR batches on their way: made once, sent until acknowledged, held where they were turned away."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from card.hsm.client import Hsm
from clearing.wire.qr_batch import read_qr_batch
from clearing.wire.qr_record import QrRide
from terminals.qr_outbox import QrOutbox
from terminals.qr_upload import QrUploader
from terminals.qr_validator import QrValidator
from terminals.shelf import BatchState
from terminals.trip import Identity
from tests.terminals.depot import AT, GATE, TARIFF
from tests.terminals.test_qr_validator import BUS, KEYS, phone


@pytest.fixture
def depot_of_codes(tmp_path: Path, hsm: Hsm) -> tuple[QrOutbox, QrUploader, Path]:
    outbox = QrOutbox(tmp_path / "qr.db", "off")
    one, door = phone(), QrValidator(Identity(GATE), outbox, KEYS, TARIFF)
    for _ in range(5):
        assert door.scan(one.show(at=AT), BUS, at=AT).opened
    return outbox, QrUploader("BUS-1", outbox, hsm, tmp_path / "drop"), tmp_path / "drop"


def answer(path: Path, status: str, *, digest: str | None = None) -> None:
    said = {"status": status, "sha256": digest or sha256(path.read_bytes()).hexdigest(), "message": "why"}
    (path.parent / "acks").mkdir(exist_ok=True)
    (path.parent / "acks" / f"{path.name}.ack").write_text(json.dumps(said))


def test_every_ride_leaves_in_exactly_one_batch(
    depot_of_codes: tuple[QrOutbox, QrUploader, Path], hsm: Hsm
) -> None:
    outbox, uploader, _ = depot_of_codes
    made = uploader.make(AT.date(), at=AT, max_records=2)
    assert [batch.sequence for batch in made] == [1, 2, 3]
    assert uploader.make(AT.date(), at=AT) == []
    paths = uploader.send()
    assert [path.name for path in paths] == [f"BUS-1-0000000{n}.oqb" for n in (1, 2, 3)]
    batches = [read_qr_batch(path.read_bytes()) for path in paths]
    assert all(hsm.verify_batch_mac("BUS-1", batch.digest, batch.mac, 1) for batch in batches)
    assert [QrRide.unpack(body) for batch in batches for body in batch.records] == outbox.records()


def test_what_is_not_acknowledged_goes_out_again_with_the_same_bytes(
    depot_of_codes: tuple[QrOutbox, QrUploader, Path],
) -> None:
    _outbox, uploader, _ = depot_of_codes
    uploader.make(AT.date(), at=AT, max_records=3)
    first = {path.name: path.read_bytes() for path in uploader.send()}
    paths = uploader.send()
    assert {path.name: path.read_bytes() for path in paths} == first
    answer(paths[0], "accepted")
    assert uploader.take_acknowledgements() == [1]
    assert [path.name for path in uploader.send()] == [paths[1].name]


@pytest.mark.parametrize(
    ("status", "digest", "state"),
    [
        ("repeated", None, BatchState.ACKNOWLEDGED),
        ("rejected", None, BatchState.HELD),
        ("rejected", "00" * 32, BatchState.SENDING),
        ("accepted", "00" * 32, BatchState.HELD),
        ("perhaps", None, BatchState.SENDING),
    ],
)
def test_an_answer_moves_a_batch_only_where_it_is_about_these_bytes(
    depot_of_codes: tuple[QrOutbox, QrUploader, Path], status: str, digest: str | None, state: BatchState
) -> None:
    outbox, uploader, _ = depot_of_codes
    uploader.make(AT.date(), at=AT)
    answer(uploader.send()[0], status, digest=digest)
    uploader.take_acknowledgements()
    assert [batch.state for batch in outbox.batches()] == [state]
    outbox.release(1)
    assert (outbox.batches()[0].state is BatchState.ACKNOWLEDGED) == (state is BatchState.ACKNOWLEDGED)


def test_an_unreadable_answer_is_no_answer(depot_of_codes: tuple[QrOutbox, QrUploader, Path]) -> None:
    _outbox, uploader, drop = depot_of_codes
    uploader.make(AT.date(), at=AT)
    path = uploader.send()[0]
    (drop / "acks").mkdir()
    (drop / "acks" / f"{path.name}.ack").write_text("[")
    assert uploader.take_acknowledgements() == []
    assert len(uploader.send()) == 1
