"""The validator's own code over real PC/SC: card and SAM in the two slots of a reader that pcscd runs."""

from collections.abc import Iterator

import pytest

from card.chip.applet import VirtualCard
from city.pcsc import PcscReader
from terminals.outbox import Outbox
from terminals.outcome import Refusal
from terminals.pcsc import Pcsc, PcscSam
from terminals.reader import CardGone
from tests.support.slots import PulledCard, in_slot, sam_in_service
from tests.terminals.depot import AT, BUS, GATE, Depot

DEBIT_IS = 4
"""SELECT, GET BALANCE, INITIALIZE, UPDATE CAPP DATA CACHE, DEBIT."""
LEFT_FEN = 10_000 - 160
"""A bus ride of 2 yuan costs a card of the city a fifth less."""


@pytest.fixture
def pcsc(pcsc_reader: PcscReader) -> Iterator[Pcsc]:
    with Pcsc() as opened:
        yield opened


@pytest.mark.parametrize("algorithm", [0, 1])
def test_a_ride_is_paid_over_two_slots_in_either_suite(
    pcsc_reader: PcscReader, pcsc: Pcsc, depot: Depot, outbox: Outbox, algorithm: int
) -> None:
    chip = depot.card(algorithm=algorithm)
    with in_slot(pcsc_reader, pcsc, sam_in_service(GATE), sam=True) as sam:
        validator = depot.validator(sam=PcscSam(sam))
        with in_slot(pcsc_reader, pcsc, chip) as card:
            outcome = validator.tap(card, BUS, at=AT)
    assert outcome.refusal is None and outcome.record is not None
    assert outcome.record.terminal_sequence == 1
    assert chip.state.purse.balance_fen == 10_000 - outcome.record.amount_fen == LEFT_FEN
    assert depot.tac_holds(outcome.record)


@pytest.mark.parametrize("at", range(DEBIT_IS + 1))
@pytest.mark.parametrize("after", [False, True])
def test_a_card_pulled_in_the_middle_of_an_apdu_pays_once_when_it_is_back(
    pcsc_reader: PcscReader, pcsc: Pcsc, depot: Depot, outbox: Outbox, at: int, after: bool
) -> None:
    """Where the debit was done, GET TRANSACTION PROVE brings the ride home and the SAM checks its MAC2."""
    chip = depot.card()
    with in_slot(pcsc_reader, pcsc, sam_in_service(GATE), sam=True) as sam:
        validator = depot.validator(sam=PcscSam(sam))
        with in_slot(pcsc_reader, pcsc, PulledCard(chip, at, after)) as card:
            torn = validator.tap(card, BUS, at=AT)
        assert torn.refusal is Refusal.TORN
        debited = after and at == DEBIT_IS
        assert chip.state.purse.balance_fen == (LEFT_FEN if debited else 10_000)
        with in_slot(pcsc_reader, pcsc, chip) as card:
            outcome = validator.tap(card, BUS, at=AT)
    assert outcome.refusal is None and outcome.record is not None
    assert (outcome.recovered is not None) is debited
    assert chip.state.purse.balance_fen == LEFT_FEN
    assert depot.tac_holds(outcome.record)


def test_a_ride_torn_before_the_sam_was_changed_is_brought_home_unproven(
    pcsc_reader: PcscReader, pcsc: Pcsc, depot: Depot, outbox: Outbox
) -> None:
    """A chip knows only its last purchase: the ride is booked on the card's word, and the gate stays shut."""
    chip = depot.card()
    for sam_chip, card, refusal in (
        (sam_in_service(GATE), PulledCard(chip, DEBIT_IS, after=True), Refusal.TORN),
        (sam_in_service(GATE), chip, Refusal.UNPROVEN),
    ):
        with (
            in_slot(pcsc_reader, pcsc, sam_chip, sam=True) as sam,
            in_slot(pcsc_reader, pcsc, card) as connected,
        ):
            outcome = depot.validator(sam=PcscSam(sam)).tap(connected, BUS, at=AT)
        assert outcome.refusal is refusal
    assert outcome.recovered is not None and depot.tac_holds(outcome.recovered)
    assert chip.state.purse.balance_fen == LEFT_FEN


def test_a_sam_taken_out_is_a_missing_sam_and_the_card_stays_whole(
    pcsc_reader: PcscReader, pcsc: Pcsc, depot: Depot
) -> None:
    chip = depot.card()
    with in_slot(pcsc_reader, pcsc, sam_in_service(GATE), sam=True) as sam:
        validator = depot.validator(sam=PcscSam(sam))
        pcsc_reader.sam.pull()
        with in_slot(pcsc_reader, pcsc, chip) as card:
            assert validator.tap(card, BUS, at=AT).refusal is Refusal.SAM_UNAVAILABLE
    assert chip.state.purse.balance_fen == 10_000


def test_a_card_that_was_taken_away_says_so(pcsc_reader: PcscReader, pcsc: Pcsc, depot: Depot) -> None:
    chip: VirtualCard = depot.card()
    with in_slot(pcsc_reader, pcsc, chip) as card:
        pcsc_reader.card.pull()
        with pytest.raises(CardGone, match=r"PC/SC error 801000.*put it back"):
            card.transmit(bytes(4))
