"""A validator's day, long or short: file and memory grow with the records and with nothing else.

`make soak` rides a whole day of 10,000 purchases an hour (VALIDATOR_RIDES); the tests, a few hundred.
"""

import json
import os
import tracemalloc
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

from card.chip.applet import VirtualCard
from terminals.outbox import Outbox
from terminals.shelf import BatchState
from terminals.upload import Uploader
from terminals.validator import Validator
from tests.terminals.depot import AT, BUS, PUBLIC, Depot

RIDES = int(os.environ.get("VALIDATOR_RIDES", "600"))
CARDS = 40
UPLOADS = 12
MOST_BYTES_A_RECORD = 256
"""64 of the record, its terminal and number, twice in an index, and once the card's number."""
MOST_MEMORY_BYTES = 1 << 20
"""The calendar of records remembers its last 4,096 moments; once it does, nothing grows."""
DAY = date(2026, 1, 31)


def test_file_and_memory_grow_with_the_records_and_with_nothing_else(depot: Depot, tmp_path: Path) -> None:
    path, drop = tmp_path / "day.db", tmp_path / "inbox"
    with Outbox(path, "off") as outbox:
        empty_bytes = outbox.file_bytes()
        bus = depot.with_outbox(outbox).validator()
        cards = [
            depot.card(
                replace(PUBLIC, card_no=f"0310487{number:013d}"),
                balance_fen=2_000_000_000,
                purchase_sequence=0,
            )
            for number in range(CARDS)
        ]
        uploader = Uploader("BUS-1", outbox, depot.hsm, drop)
        held: list[int] = []
        tracemalloc.start()
        for part in range(UPLOADS):
            for number in range(RIDES // UPLOADS):
                ride(bus, cards[number % CARDS], part * RIDES // UPLOADS + number)
            uploader.make(DAY, at=AT)
            acknowledge_all(uploader, drop)
            held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        taken = RIDES // UPLOADS * UPLOADS
        assert outbox.depth() == {
            "unacknowledged": 0, "waiting": 0, "pending": 0, "owed": 0, "unresolved": 0, "batches_held": 0,
        }  # fmt: skip
        assert bus.outcomes == {"opened": taken}
        assert len(outbox.records()) == taken
        assert all(batch.body is None for batch in outbox.batches(BatchState.ACKNOWLEDGED))
        assert max(held[2:]) - held[1] < MOST_MEMORY_BYTES
        # Files of batches that wait are given back: a batch's room is used again by the next.
        batch_bytes = 64 * (RIDES // UPLOADS + 2)
        assert outbox.file_bytes() - empty_bytes <= taken * MOST_BYTES_A_RECORD + 2 * batch_bytes + (64 << 10)


def ride(bus: Validator, card: VirtualCard, number: int) -> None:
    card.reset()
    outcome = bus.tap(card, BUS, at=AT + timedelta(milliseconds=360 * number))
    assert outcome.opened, outcome


def acknowledge_all(uploader: Uploader, drop: Path) -> None:
    """The clearing house takes every file and says so."""
    (drop / "acks").mkdir(parents=True, exist_ok=True)
    for path in uploader.send():
        answer = {"name": path.name, "sha256": sha256(path.read_bytes()).hexdigest(), "status": "accepted"}
        (drop / "acks" / f"{path.name}.ack").write_text(json.dumps(answer))
        path.unlink()
    uploader.take_acknowledgements()
