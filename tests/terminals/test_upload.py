"""Batches on their way: made once, the same bytes each time, sent until they are acknowledged."""

import json
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from clearing.wire.batch import BatchError, parse_batch_name, read_batch
from clearing.wire.names import batch_name
from terminals.outbox import Outbox
from terminals.shelf import BatchState
from terminals.upload import Uploader
from tests.terminals.depot import AT, BUS, EXIT, Depot
from tests.terminals.test_outbox import ride

DAY = date(2026, 1, 31)
FIRST = batch_name("BUS-1", 1)


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def uploader(outbox: Outbox, hsm: Hsm, drop: Path) -> Uploader:
    return Uploader("BUS-1", outbox, hsm, drop)


def answer(drop: Path, status: str, *, body: bytes | None = None, **said: str) -> None:
    """What the clearing house leaves beside the files."""
    content = (drop / FIRST).read_bytes() if body is None else body
    (drop / "acks").mkdir(exist_ok=True)
    text = json.dumps({"name": FIRST, "sha256": sha256(content).hexdigest(), "status": status, **said})
    (drop / "acks" / f"{FIRST}.ack").write_text(text)


def test_the_days_rides_arrive_as_one_batch_with_its_mac(
    depot: Depot, uploader: Uploader, drop: Path
) -> None:
    validator, card = depot.validator(), depot.card()
    taken = [validator.tap(card, ride, at=AT).record for ride in (BUS, EXIT, BUS)]
    (made,) = uploader.make(DAY, at=AT + timedelta(hours=8))
    assert uploader.send() == [drop / FIRST]

    batch = read_batch((drop / FIRST).read_bytes())
    assert (batch.header.operator, batch.header.sequence, batch.header.business_date) == ("BUS-1", 1, DAY)
    assert batch.header.made_at.hex() == "20260201004329"
    assert (batch.header.count, batch.header.amount_fen) == (3, 160 + 475 + 160) == (made.records, 795)
    assert [batch.tap(index) for index in range(3)] == taken
    assert depot.hsm.verify_batch_mac("BUS-1", batch.digest, batch.mac, batch.header.mac_key_version)
    assert not depot.hsm.verify_batch_mac("BUS-2", batch.digest, batch.mac, batch.header.mac_key_version)
    assert uploader.make(DAY, at=AT) == []


def test_one_bit_turned_on_the_way_is_found_by_reader_or_hsm(
    outbox: Outbox, uploader: Uploader, hsm: Hsm
) -> None:
    outbox.take(ride(1))
    (made,) = uploader.make(DAY, at=AT)
    assert made.body is not None
    for offset in range(len(made.body)):
        turned = bytearray(made.body)
        turned[offset] ^= 1 << offset % 8
        try:
            batch = read_batch(bytes(turned))
        except BatchError:
            continue
        assert not hsm.verify_batch_mac("BUS-1", batch.digest, batch.mac, batch.header.mac_key_version)


def test_many_rides_go_in_several_batches_without_a_gap(outbox: Outbox, uploader: Uploader) -> None:
    with outbox.together():
        for number in range(1, 8):
            outbox.take(ride(number))
    made = uploader.make(DAY, at=AT, max_records=3)
    assert [(batch.sequence, batch.records) for batch in made] == [(1, 3), (2, 3), (3, 1)]
    names = [path.name for path in uploader.send()]
    assert [parse_batch_name(name) for name in names] == [("BUS-1", 1), ("BUS-1", 2), ("BUS-1", 3)]
    outbox.take(ride(8))
    assert [batch.sequence for batch in uploader.make(DAY, at=AT)] == [4]


def test_a_batch_is_sent_again_as_the_same_bytes_until_it_is_acknowledged(
    outbox: Outbox, uploader: Uploader, hsm: Hsm, drop: Path
) -> None:
    outbox.take(ride(1))
    uploader.make(DAY, at=AT)
    uploader.send()
    first = (drop / FIRST).read_bytes()
    (drop / FIRST).unlink()  # collected, but the answer was lost
    assert uploader.take_acknowledgements() == []

    restarted = Uploader("BUS-1", outbox, hsm, drop)
    restarted.send()
    assert (drop / FIRST).read_bytes() == first
    answer(drop, "repeated")
    assert restarted.take_acknowledgements() == [1]
    assert restarted.take_acknowledgements() == []
    assert restarted.send() == []


def test_a_batch_turned_away_is_held_until_a_person_releases_it(
    outbox: Outbox, uploader: Uploader, drop: Path
) -> None:
    outbox.take(ride(1))
    uploader.make(DAY, at=AT)
    uploader.send()
    answer(drop, "rejected", reason="operator_unknown", message="operator BUS-1 has no registered device")
    assert uploader.take_acknowledgements() == []
    (held,) = outbox.batches(BatchState.HELD)
    assert held.reason == "operator BUS-1 has no registered device"
    assert uploader.send() == []

    outbox.release(1)
    assert uploader.send() == [drop / FIRST]
    assert uploader.take_acknowledgements() == []  # the old answer does not answer the new sending
    assert outbox.batches(BatchState.HELD) == []
    answer(drop, "accepted")
    assert uploader.take_acknowledgements() == [1]


def test_a_file_damaged_on_its_way_goes_out_again(outbox: Outbox, uploader: Uploader, drop: Path) -> None:
    outbox.take(ride(1))
    uploader.make(DAY, at=AT)
    uploader.send()
    answer(drop, "rejected", body=(drop / FIRST).read_bytes()[:100], reason="truncated")
    assert uploader.take_acknowledgements() == []
    assert uploader.send() == [drop / FIRST]


def test_other_content_accepted_under_our_number_is_held(
    outbox: Outbox, uploader: Uploader, drop: Path
) -> None:
    outbox.take(ride(1))
    uploader.make(DAY, at=AT)
    uploader.send()
    answer(drop, "accepted", body=b"another")
    assert uploader.take_acknowledgements() == []
    assert "other content" in outbox.batches(BatchState.HELD)[0].reason


@pytest.mark.parametrize("text", ["", "{", "[]", '"accepted"', "[" * 100_000, '{"status": "accepted"'])
def test_an_answer_that_cannot_be_read_is_no_answer(
    outbox: Outbox, uploader: Uploader, drop: Path, text: str
) -> None:
    outbox.take(ride(1))
    uploader.make(DAY, at=AT)
    uploader.send()
    (drop / "acks").mkdir()
    (drop / "acks" / f"{FIRST}.ack").write_text(text)
    assert uploader.take_acknowledgements() == []
    assert uploader.send() == [drop / FIRST]


def test_without_the_hsm_the_rides_wait_and_no_number_is_used(outbox: Outbox, drop: Path) -> None:
    outbox.take(ride(1))
    with Hsm("127.0.0.1", 1, timeout_s=0.5) as nobody, pytest.raises(HsmError):
        Uploader("BUS-1", outbox, nobody, drop).make(DAY, at=AT)
    assert (len(outbox.waiting(10)), outbox.next_batch(), outbox.batches()) == (1, 1, [])


def test_nothing_half_written_stands_in_the_drop_folder(
    outbox: Outbox, uploader: Uploader, drop: Path
) -> None:
    outbox.take(ride(1))
    uploader.make(DAY, at=AT)
    uploader.send()
    assert [path.name for path in drop.iterdir()] == [FIRST]
