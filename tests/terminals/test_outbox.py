"""The depot's memory: durable, in whole steps, and grouped where asked."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearing.wire.batch import Ride, TapRecord
from terminals.batch_numbers import BatchNumbers
from terminals.outbox import Outbox, Pending
from terminals.shelf import BatchState, OutboxError
from tests.terminals.depot import CARD_NO, GATE

DAY = date(2026, 1, 31)
RIDE = TapRecord(
    ride=Ride.BUS, issuer="01011000", card_no=CARD_NO, counter=1, balance_before_fen=10000, amount_fen=160, kind=9,
    terminal=GATE, terminal_sequence=1, moment=bytes.fromhex("20260131164329"), key_version=1, algorithm=0,
    tac=b"\1\2\3\4", list_fare_fen=200, holder_class=1, linked=False, full_fare=False, line=1, station=2,
    tariff_version=1, hotlist_version=7,
)  # fmt: skip


def ride(number: int) -> TapRecord:
    return replace(RIDE, terminal_sequence=number, counter=number)


@pytest.fixture
def other(tmp_path: Path, outbox: Outbox) -> Iterator[Outbox]:
    """A second look at the same file: it sees only what is committed."""
    with Outbox(tmp_path / "outbox.db", "off") as looking:
        yield looking


def test_each_step_is_on_the_disk_when_it_returns(outbox: Outbox, other: Outbox) -> None:
    pending = Pending(replace(ride(1), tac=bytes(4)), b"\1\1\1\1")
    outbox.remember(pending)
    assert other.pending_of(CARD_NO) == pending
    outbox.take(ride(1))
    assert (other.pending_of(CARD_NO), other.records()) == (None, [ride(1)])
    assert outbox.take_sequence(GATE) == 1
    assert other.take_sequence(GATE) == 2


def test_steps_together_are_committed_at_the_end_even_after_an_error(outbox: Outbox, other: Outbox) -> None:
    with pytest.raises(ZeroDivisionError), outbox.together():
        outbox.take(ride(1))
        with outbox.together():
            outbox.take(ride(2))
        assert other.records() == []
        raise ZeroDivisionError
    assert other.records() == [ride(1), ride(2)]


def test_a_step_that_fails_leaves_nothing_and_does_not_sink_the_others(outbox: Outbox, other: Outbox) -> None:
    outbox.remember(Pending(replace(ride(1), tac=bytes(4)), b"\1\1\1\1"))
    with outbox.together():
        outbox.take(ride(1))
        with pytest.raises(sqlite3.IntegrityError):
            outbox.take(ride(1))
        outbox.take(ride(2))
    with pytest.raises(sqlite3.IntegrityError):
        outbox.take(ride(2))
    assert other.records() == [ride(1), ride(2)]


def test_a_card_has_at_most_one_debit_open(outbox: Outbox) -> None:
    outbox.remember(Pending(ride(1), b"\1\1\1\1"))
    with pytest.raises(sqlite3.IntegrityError):
        outbox.remember(Pending(ride(2), b"\1\1\1\1"))
    assert [pending.record for pending in outbox.pendings()] == [ride(1)]


def test_what_was_given_up_stays_listed(outbox: Outbox) -> None:
    pending = Pending(ride(1), b"\1\1\1\1")
    outbox.remember(pending)
    outbox.give_up(pending, counter_found=9)
    assert (outbox.pendings(), outbox.unresolved()) == ([], [(ride(1), 9)])


def test_the_depot_is_full_until_batches_are_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "small.db"
    with Outbox(path, capacity=2) as outbox:
        outbox.take(ride(1))
        assert not outbox.is_full()
        outbox.take(ride(2))
        assert outbox.is_full()
        outbox.store_batch(sequence=1, operator="BUS-1", business_date=DAY, body=b"1", numbers=[1])
        assert outbox.is_full()
    with Outbox(path, capacity=2) as outbox:
        assert outbox.is_full()
        assert outbox.acknowledge(1)
        assert not outbox.is_full()
        assert not outbox.acknowledge(1)
        outbox.take(ride(3))
        assert outbox.is_full()
    with Outbox(path, capacity=2) as outbox:
        assert outbox.is_full()


def test_a_ride_is_in_one_batch_and_a_number_is_used_once(outbox: Outbox) -> None:
    outbox.take(ride(1))
    outbox.store_batch(sequence=1, operator="BUS-1", business_date=DAY, body=b"1", numbers=[1])
    for sequence, numbers, said in [
        (1, [], "not the next one"),
        (3, [], "not the next one"),
        (2, [1], "already"),
    ]:
        with pytest.raises(OutboxError, match=said):
            outbox.store_batch(
                sequence=sequence, operator="BUS-1", business_date=DAY, body=b"2", numbers=numbers
            )
    with pytest.raises(OutboxError, match="its own outbox"):
        outbox.store_batch(sequence=2, operator="BUS-2", business_date=DAY, body=b"2", numbers=[])
    assert [(batch.sequence, batch.body) for batch in outbox.batches()] == [(1, b"1")]


def test_an_acknowledged_batch_is_neither_held_nor_sent_again(outbox: Outbox) -> None:
    outbox.store_batch(sequence=1, operator="BUS-1", business_date=DAY, body=b"1", numbers=[])
    outbox.hold(1, "number taken")
    assert [batch.reason for batch in outbox.batches(BatchState.HELD)] == ["number taken"]
    outbox.release(1)
    assert [batch.sequence for batch in outbox.batches(BatchState.SENDING)] == [1]
    outbox.acknowledge(1)
    outbox.hold(1, "late")
    outbox.release(1)
    (batch,) = outbox.batches()
    assert (batch.state, batch.body, batch.reason) == (BatchState.ACKNOWLEDGED, None, "")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("ABC"), st.booleans()), max_size=30))
def test_numbers_only_rise_whatever_the_restarts(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bool]]
) -> None:
    path, last = tmp_path_factory.mktemp("numbers") / "outbox.db", dict.fromkeys("ABC", 0)
    outbox = Outbox(path, "off")
    for terminal, restart in steps:
        if restart:
            outbox.close()
            outbox = Outbox(path, "off")
        number = outbox.take_sequence(terminal)
        assert number == last[terminal] + 1
        last[terminal] = number
    outbox.close()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("ABC"), st.booleans()), max_size=20))
def test_outboxes_of_one_operator_number_their_batches_from_one_on_whoever_stops_halfway(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("shop")
    tills = {name: Outbox(folder / f"{name}.db", "off") for name in "ABC"}
    for name, till in tills.items():
        till.number_by(partial(BatchNumbers(folder / "numbers.db", "off").next_of, "SHOP-1", name))
    ended = [(name, False) for name in "ABC"]
    for name, stops in [*steps, *ended]:
        sequence = tills[name].next_batch()
        if not stops:
            tills[name].store_batch(
                sequence=sequence, operator="SHOP-1", business_date=DAY, body=b"sales", numbers=[]
            )
    kept = sorted(batch.sequence for till in tills.values() for batch in till.batches())
    assert kept == list(range(1, len(kept) + 1))
    assert BatchNumbers(folder / "numbers.db", "off").next_of("SHOP-2", "A", 1) == 1
