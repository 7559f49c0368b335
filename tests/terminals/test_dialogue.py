"""The tap as a machine, without any I/O: what it does with any event, and with none that is legal."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearing.wire.bcd import pack_moment
from terminals.actions import (
    ANSWERS,
    Action,
    Answered,
    AskCard,
    AskSam,
    CardLeft,
    Done,
    Event,
    Forget,
    GiveUp,
    MemoryFull,
    OpenGate,
    Recall,
    Recalled,
    Remember,
    Resumed,
    ResumeSam,
    SamSilent,
    Settle,
    Take,
)
from terminals.asking import run
from terminals.dialogue import dialogue
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox, Pending
from terminals.outcome import Refusal
from terminals.sam import HsmSam
from terminals.standing import RideFacts, Standing
from terminals.trip import Identity
from terminals.validator import Validator
from tests.terminals.depot import AT, BUS, EXIT, GATE, PUBLIC, TARIFF, Depot, returned
from tests.terminals.test_outbox import RIDE

STANDING = Standing(Identity(GATE), TARIFF, Hotlist(7))
TORN = Pending(replace(RIDE, ride=EXIT.ride, line=EXIT.line, station=EXIT.station, amount_fen=475,
                       moment=pack_moment(AT), tac=bytes(4)), b"\1\2\3\4")  # fmt: skip
OWED = replace(TORN.record, tac=b"\5\6\7\x08")
DONE = b"\x90\x00"

answers = st.binary(max_size=20) | st.sampled_from(
    [
        DONE, b"", b"\x94\x06", b"\x93\x02", b"\x65\x81", b"\x69\x85",
        bytes.fromhex("6F31 8408A000000632010105 A525 9F080102 9F0C1E") + PUBLIC.pack() + DONE,
        bytes.fromhex("00002710") + DONE,
        bytes.fromhex("00002710 0036 000000 01 00 00000001") + DONE,
        bytes.fromhex("00000057 ECE05309") + DONE,
        bytes.fromhex("800122FC 11223344") + DONE,
        bytes.fromhex("11223344 05060708") + DONE,
    ]
)  # fmt: skip
EVENTS: dict[type[Event], st.SearchStrategy[Event]] = {
    Answered: st.builds(Answered, answers),
    CardLeft: st.just(CardLeft()),
    SamSilent: st.just(SamSilent()),
    Resumed: st.builds(Resumed, st.booleans()),
    Recalled: st.builds(
        Recalled,
        st.sampled_from([None, TORN]),
        st.sampled_from([None, OWED]),
        st.sampled_from([None, 0x35, 0x36]),
    ),
    Done: st.just(Done()),
    MemoryFull: st.just(MemoryFull()),
}


@settings(max_examples=400)
@given(st.data(), st.sampled_from([BUS, EXIT]), st.booleans())
def test_whatever_card_sam_and_memory_say_the_gate_opens_only_for_a_durable_ride(
    data: st.DataObject, ride: RideFacts, full: bool
) -> None:
    """Never an exception, never an open gate without a record, never a debit that is not remembered."""
    said: list[tuple[Action, Event]] = []

    def perform(action: Action) -> Event:
        event = data.draw(st.one_of([EVENTS[kind] for kind in ANSWERS[type(action)]]), type(action).__name__)
        said.append((action, event))
        return event

    outcome = run(dialogue(replace(STANDING, full=full), ride, AT), perform)
    kept = [action.record for action, event in said if isinstance(action, Take) and isinstance(event, Done)]
    recalled = [event.owed for _, event in said if isinstance(event, Recalled)]
    opened = [action.record for action, _ in said if isinstance(action, OpenGate)]
    assert opened == ([outcome.record] if outcome.opened else [])
    assert all(record in kept or record in recalled for record in opened)
    for place, (action, _) in enumerate(said):
        if isinstance(action, AskCard) and action.apdu[1] == 0x54:
            before, event = said[place - 1]
            assert isinstance(before, Remember)
            assert event == Done()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoilt=st.integers(0, 12), answer=answers)
def test_a_bad_answer_anywhere_in_a_good_dialogue_never_opens_the_gate_on_it(
    depot: Depot, tmp_path_factory: pytest.TempPathFactory, spoilt: int, answer: bytes
) -> None:
    """With a real SAM: only the card's own answers open, and a spoilt debit comes home with the next tap."""
    card = depot.card()
    with Outbox(tmp_path_factory.mktemp("bad") / "outbox.db", "off") as outbox:
        validator = Validator(Identity(GATE), HsmSam(GATE, depot.hsm, outbox), outbox, TARIFF, Hotlist(7))
        asked: list[Action] = []

        def perform(action: Action) -> Event:
            event = validator.perform(action, card)
            asked.append(action)
            if len(asked) - 1 == spoilt and isinstance(action, AskCard) and isinstance(event, Answered):
                lies.append(event.data != answer)
                return Answered(answer)
            return event

        lies: list[bool] = []
        outcome = run(validator.begin(EXIT, at=AT), perform)
        if any(lies) and outcome.opened:
            # A lie about what needs no proof is outvoted by what does: balance shown, counter offered.
            assert outcome.record is not None
            assert depot.tac_holds(outcome.record)
        later = validator.tap(returned(card), EXIT, at=AT + timedelta(seconds=20))
        assert later.opened
        debits = card.state.purse.purchase_sequence - 0x36
        assert len(outbox.records()) == debits
        assert all(depot.tac_holds(record) for record in outbox.records())
        assert outbox.pendings() == []


def test_a_debit_that_was_refused_and_yet_made_is_found_by_asking_twice(depot: Depot, outbox: Outbox) -> None:
    card, validator = depot.card(), depot.validator()
    asked = 0

    def perform(action: Action) -> Event:
        nonlocal asked
        event = validator.perform(action, card)
        asked += isinstance(action, AskCard)
        return Answered(b"\x93\x02") if isinstance(action, AskCard) and asked == 6 else event

    outcome = run(validator.begin(EXIT, at=AT), perform)
    assert outcome.opened
    assert outbox.records() == [outcome.record]
    assert card.state.purse.purchase_sequence == 0x37


@pytest.mark.parametrize("word", [b"\x61\x08", b"\x6c\x08"])
def test_a_debit_whose_answer_waits_to_be_fetched_is_torn_and_comes_home(
    depot: Depot, outbox: Outbox, word: bytes
) -> None:
    """A reader that does not fetch gives only the word about the length, for the proof as for the debit."""
    card, validator = depot.card(), depot.validator()

    def perform(action: Action) -> Event:
        event = validator.perform(action, card)
        return Answered(word) if isinstance(action, AskCard) and action.apdu[1] in (0x54, 0x5A) else event

    assert run(validator.begin(EXIT, at=AT), perform).refusal is Refusal.TORN
    assert (card.state.purse.purchase_sequence, len(outbox.pendings())) == (0x37, 1)
    later = validator.tap(returned(card), EXIT, at=AT + timedelta(seconds=20))
    assert later.opened
    assert outbox.records() == [later.recovered]


def test_every_action_has_its_answers_and_any_other_is_a_bug() -> None:
    assert set(ANSWERS) == {
        AskCard, AskSam, ResumeSam, Recall, Remember, Take, Forget, GiveUp, OpenGate, Settle,
    }  # fmt: skip
    for event in (Done(), SamSilent(), Resumed(True), Recalled(None, None), MemoryFull()):
        machine = dialogue(STANDING, BUS, AT)
        assert isinstance(next(machine), AskCard)
        with pytest.raises(TypeError, match="does not answer AskCard"):
            machine.send(event)


def test_a_full_memory_refuses_before_the_debit_and_keeps_the_debit_after_it(
    depot: Depot, tmp_path: Path
) -> None:
    for kind, refusal, taken_fen in ((Remember, Refusal.OUTBOX_FULL, 0), (Take, Refusal.UNPROVEN, 475)):
        card = depot.card()
        with Outbox(tmp_path / f"{kind.__name__}.db", "off") as outbox:
            full = depot.with_outbox(outbox).validator()

            def perform(action: Action, full: Validator = full, kind: type = kind) -> Event:
                return MemoryFull() if isinstance(action, kind) else full.perform(action, card)  # noqa: B023

            outcome = run(full.begin(EXIT, at=AT), perform)
            assert (outcome.refusal, outbox.records()) == (refusal, [])
            assert 10000 - card.state.purse.balance_fen == taken_fen
            assert full.tap(returned(card), EXIT, at=AT + timedelta(seconds=9)).opened
            assert 10000 - card.state.purse.balance_fen == 475
            assert len(outbox.records()) == 1


class SmallOutbox(Outbox):
    """An outbox on a disk that is nearly full: its file may not grow beyond a few pages more."""

    def shrink(self) -> None:
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        self._db.execute(f"PRAGMA max_page_count = {pages + 2}")


def test_a_disk_that_fills_up_turns_riders_away_politely_and_loses_nothing(
    depot: Depot, tmp_path: Path
) -> None:
    with SmallOutbox(tmp_path / "small.db", "off") as outbox:
        outbox.shrink()
        validator = depot.with_outbox(outbox).validator()
        refusals = []
        card = depot.card(balance_fen=100_000)
        for tap in range(400):
            card.reset()
            outcome = validator.tap(card, BUS, at=AT + timedelta(minutes=11 * tap))
            refusals.append(outcome.refusal)
            if outcome.refusal is not None:
                break
        assert refusals[0] is None
        assert refusals[-1] in (Refusal.OUTBOX_FULL, Refusal.UNPROVEN)
        debits = card.state.purse.purchase_sequence - 0x36
        assert len(outbox.records()) + len(outbox.pendings()) == debits
