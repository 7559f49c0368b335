"""Loads at a counter: the worked example, every refusal, and money that is neither lost nor given twice."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from card.hsm.client import Hsm
from card.hsm.codec import CardKeyRef
from terminals.counter import LoadCounter, LoadRefusal
from terminals.hotlist import Hotlist
from terminals.loads import Decline, Declined, LoadJournal, LoadReceipt, LoadRequest, OfficeGone, Waiting
from tests.terminals.depot import AT, BUS, CARD_NO, GATE, PUBLIC, Depot, PowerLoss, TearingCard, returned

APDUS = 3
CREDIT = 2
"""SELECT, INITIALIZE FOR LOAD, CREDIT FOR LOAD."""
SOON = AT + timedelta(seconds=20)


@dataclass(slots=True)
class Office:
    """The agent's side of the city: money by reference, MACs and TACs by the real HSM."""

    hsm: Hsm
    says_no: bool = False
    gone: str = ""
    taken: dict[str, tuple[str, int, bytes]] = field(default_factory=dict)
    arrived: dict[str, LoadReceipt] = field(default_factory=dict)

    def waiting(self, card_no: str) -> list[Waiting]:
        raise OfficeGone("this office takes and confirms loads, and keeps no list")

    def settle(self, request: LoadRequest) -> Declined | None:
        raise OfficeGone("this office takes and confirms loads, and keeps no list")

    def give_back(self, request: LoadRequest, attempts: int) -> Declined | None:
        raise OfficeGone("this office takes and confirms loads, and keeps no list")

    def authorise(self, request: LoadRequest) -> bytes | Declined:
        if self.gone == "before":
            raise OfficeGone("no answer")
        if self.says_no:
            return Declined(Decline.BOOKS_REFUSE, "no")
        order = request.card_no, request.amount_fen, request.ordered_at
        assert self.taken.setdefault(request.reference, order) == order
        mac2 = self.hsm.authorise_load(
            keys_of(request), rnd=request.rnd, counter=request.counter, balance_fen=request.balance_fen,
            amount_fen=request.amount_fen, kind=request.kind, terminal=bytes.fromhex(request.terminal),
            moment=request.moment, mac1=request.mac1,
        )  # fmt: skip
        if self.gone == "after":
            raise OfficeGone("no answer")
        return mac2 or Declined(Decline.MAC_WRONG, "MAC1 is wrong")

    def confirm(self, receipt: LoadReceipt) -> Declined | None:
        if self.gone:
            raise OfficeGone("no answer")
        request = receipt.request
        assert self.hsm.verify_load_tac(
            keys_of(request), new_balance_fen=receipt.new_balance_fen, counter=request.counter,
            amount_fen=request.amount_fen, kind=request.kind, terminal=bytes.fromhex(request.terminal),
            moment=request.moment, tac=receipt.tac,
        )  # fmt: skip
        assert self.arrived.setdefault(request.reference, receipt) == receipt
        return None


def keys_of(request: LoadRequest) -> CardKeyRef:
    return CardKeyRef.of(request.issuer, request.card_no, request.key_version, request.algorithm)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[LoadJournal]:
    with LoadJournal(tmp_path / "loads.db", "off") as opened:
        yield opened


@pytest.fixture
def office(hsm: Hsm) -> Office:
    return Office(hsm)


@pytest.fixture
def counter(journal: LoadJournal, office: Office) -> LoadCounter:
    return LoadCounter(GATE, journal, office, Hotlist(7))


def test_the_worked_load_runs_byte_by_byte(depot: Depot, counter: LoadCounter, office: Office) -> None:
    card = TearingCard(depot.card(rnd=bytes.fromhex("11223344")))
    outcome = counter.load(card, 200, at=AT)
    assert [(command.hex().upper(), reply.hex().upper()) for command, reply in card.heard[1:]] == [
        ("805000020B01000000C851800000000110", "00002710000501001122334459B8C4F09000"),
        ("805200000B202601311643299A4E8EB604", "877B32219000"),
    ]
    assert outcome.refusal is None
    assert outcome.receipt is not None
    assert (outcome.receipt.new_balance_fen, outcome.receipt.tac.hex()) == (10200, "877b3221")
    assert card.card.state.purse.balance_fen == 10200
    assert list(office.arrived.values()) == [outcome.receipt]


@pytest.mark.parametrize(
    ("refusal", "amount_fen", "hotlisted", "valid"),
    [
        (LoadRefusal.HOTLISTED, 0, True, False),
        (LoadRefusal.NOT_VALID, 0, False, False),
        (LoadRefusal.AMOUNT, 0, False, True),
        (LoadRefusal.AMOUNT, -1, False, True),
        (LoadRefusal.AMOUNT, 100_001, False, True),
        (LoadRefusal.BALANCE_TOO_HIGH, 90_001, False, True),
        (LoadRefusal.NOT_AUTHORISED, 90_000, False, True),
    ],
)
def test_the_first_refusal_that_applies_is_the_outcome_and_no_money_moves(
    depot: Depot, counter: LoadCounter, office: Office, journal: LoadJournal, refusal: LoadRefusal, amount_fen: int,
    hotlisted: bool, valid: bool,
) -> None:  # fmt: skip
    office.says_no = True
    counter.hotlist = Hotlist(8, frozenset({CARD_NO} if hotlisted else ()))
    public = PUBLIC if valid else replace(PUBLIC, expires=date(2026, 1, 30))
    card = depot.card(public)
    assert counter.load(card, amount_fen, at=AT).refusal is refusal
    assert (card.state.purse.balance_fen, journal.begun(CARD_NO), office.taken) == (10000, None, {})


@pytest.mark.parametrize("algorithm", [0, 1])
def test_a_card_of_either_suite_is_loaded_at_one_counter(
    depot: Depot, counter: LoadCounter, office: Office, algorithm: int
) -> None:
    card = depot.card(algorithm=algorithm)
    outcome = counter.load(card, 5_000, at=AT)
    assert (outcome.refusal, card.state.purse.balance_fen) == (None, 15_000)
    (receipt,) = office.arrived.values()
    assert (receipt.request.algorithm, receipt.new_balance_fen) == (algorithm, 15_000)


def test_a_card_with_a_false_mac1_is_not_authorised(depot: Depot, counter: LoadCounter) -> None:
    lying = TearingCard(depot.card(), at=1, spoil=lambda reply: reply[:12] + bytes(4) + reply[16:])
    assert counter.load(lying, 200, at=AT).refusal is LoadRefusal.NOT_AUTHORISED


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(APDUS))
def test_torn_at_any_apdu_the_money_arrives_once(
    depot: Depot, counter: LoadCounter, office: Office, journal: LoadJournal, at: int, after: bool
) -> None:
    card = TearingCard(depot.card(), at=at, after=after)
    assert counter.load(card, 200, at=AT).refusal is LoadRefusal.TORN
    outcome = counter.load(returned(card.card), 200, at=SOON)
    assert outcome.refusal is None
    assert (outcome.recovered is not None) is (at == CREDIT and after)
    assert card.card.state.purse.balance_fen == 10200
    assert list(office.taken) == list(office.arrived) == [f"{CARD_NO}:5"]
    assert (journal.begun(CARD_NO), journal.unconfirmed()) == (None, [])


@pytest.mark.parametrize("at", range(APDUS))
def test_power_lost_at_any_apdu_the_money_arrives_once(
    depot: Depot, office: Office, tmp_path: Path, at: int
) -> None:
    path, card = tmp_path / "power.db", TearingCard(depot.card(), at=at, after=True, error=PowerLoss)
    with LoadJournal(path) as journal, pytest.raises(PowerLoss):
        LoadCounter(GATE, journal, office, Hotlist(7)).load(card, 200, at=AT)
    with LoadJournal(path) as journal:
        again = LoadCounter(GATE, journal, office, Hotlist(7))
        assert again.load(returned(card.card), 200, at=SOON).refusal is None
    assert card.card.state.purse.balance_fen == 10200
    assert list(office.arrived) == list(office.taken)


@pytest.mark.parametrize("gone", ["before", "after"])
def test_an_office_that_goes_away_is_asked_again_for_the_same_money(
    depot: Depot, counter: LoadCounter, office: Office, gone: str
) -> None:
    card, office.gone = depot.card(), gone
    assert counter.load(card, 200, at=AT).refusal is LoadRefusal.OFFICE_GONE
    office.gone = ""
    assert counter.load(returned(card), 200, at=SOON).refusal is None
    assert card.state.purse.balance_fen == 10200
    assert list(office.taken) == list(office.arrived) == [f"{CARD_NO}:5"]


def test_a_refusal_after_the_office_took_the_money_leaves_the_load_begun(
    depot: Depot, counter: LoadCounter, office: Office, journal: LoadJournal
) -> None:
    card, office.gone = depot.card(), "after"
    counter.load(card, 200, at=AT)
    office.gone, office.says_no = "", True
    assert counter.load(returned(card), 200, at=SOON).refusal is LoadRefusal.NOT_AUTHORISED
    assert journal.begun(CARD_NO) is not None
    office.says_no = False
    assert counter.load(returned(card), 200, at=SOON).refusal is None
    assert list(office.taken) == list(office.arrived) == [f"{CARD_NO}:5"]


def test_another_amount_waits_until_the_load_begun_is_finished(
    depot: Depot, counter: LoadCounter, office: Office
) -> None:
    card, office.gone = depot.card(), "after"
    counter.load(card, 200, at=AT)
    office.gone = ""
    assert counter.load(returned(card), 500, at=SOON).refusal is LoadRefusal.UNFINISHED
    assert counter.load(returned(card), 200, at=SOON).refusal is None
    assert counter.load(returned(card), 500, at=SOON).refusal is None
    assert card.state.purse.balance_fen == 10700


def test_a_torn_load_that_was_made_is_proven_before_another_amount_is_loaded(
    depot: Depot, counter: LoadCounter, office: Office
) -> None:
    card = TearingCard(depot.card(), at=CREDIT, after=True)
    counter.load(card, 200, at=AT)
    outcome = counter.load(returned(card.card), 500, at=SOON)
    assert outcome.recovered is not None
    assert outcome.recovered.request.amount_fen == 200
    assert card.card.state.purse.balance_fen == 10700
    assert [receipt.request.amount_fen for receipt in office.arrived.values()] == [200, 500]


def test_a_proof_the_office_missed_is_told_later(
    depot: Depot, counter: LoadCounter, office: Office, journal: LoadJournal
) -> None:
    class AwayForConfirming(Office):
        def confirm(self, receipt: LoadReceipt) -> Declined | None:
            raise OfficeGone("no answer")

    away = LoadCounter(GATE, journal, AwayForConfirming(office.hsm), Hotlist(7))
    assert away.load(depot.card(), 200, at=AT).refusal is None
    assert len(journal.unconfirmed()) == 1
    assert counter.confirm_outstanding() == 1
    assert counter.confirm_outstanding() == 0
    assert list(office.arrived) == [f"{CARD_NO}:5"]


def test_a_proof_that_the_office_does_not_believe_is_said_and_kept(
    depot: Depot, journal: LoadJournal, office: Office
) -> None:
    class Doubting(Office):
        def confirm(self, receipt: LoadReceipt) -> Declined | None:
            return Declined(Decline.MAC_WRONG, "TAC is wrong")

    doubting = LoadCounter(GATE, journal, Doubting(office.hsm), Hotlist(7))
    outcome = doubting.load(depot.card(), 200, at=AT)
    assert (outcome.refusal, outcome.receipt) == (LoadRefusal.UNPROVED, None)
    assert [request.reference for request in journal.lost()] == [f"{CARD_NO}:5"]
    assert journal.unconfirmed() == []


def test_a_torn_load_after_which_the_card_went_on_is_left_for_a_person(
    depot: Depot, counter: LoadCounter, journal: LoadJournal
) -> None:
    card = TearingCard(depot.card(), at=CREDIT, after=True)
    counter.load(card, 200, at=AT)
    assert (
        depot.validator().tap(returned(card.card), BUS, at=AT).opened
    )  # the purse proves only its last deed
    assert counter.load(returned(card.card), 300, at=SOON).refusal is None
    assert [request.counter for request in journal.lost()] == [5]
    assert card.card.state.purse.balance_fen == 10000 + 200 - 160 + 300


def test_a_copy_of_a_card_cannot_load_under_a_counter_that_is_used(
    depot: Depot, counter: LoadCounter
) -> None:
    assert counter.load(depot.card(), 200, at=AT).refusal is None
    copy = depot.card()
    assert counter.load(copy, 200, at=SOON).refusal is LoadRefusal.CARD_REFUSED
    assert copy.state.purse.balance_fen == 10000


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([100, 250]), st.none() | st.integers(0, APDUS), st.booleans(),
                  st.sampled_from(["", "", "before", "after"])),
        max_size=10,
    )
)  # fmt: skip
def test_whatever_breaks_what_the_card_holds_is_what_the_office_was_told(
    depot: Depot, tmp_path_factory: pytest.TempPathFactory, loads: list[tuple[int, int | None, bool, str]]
) -> None:
    office, card = Office(depot.hsm), depot.card()
    with LoadJournal(tmp_path_factory.mktemp("day") / "loads.db", "off") as journal:
        counter = LoadCounter(GATE, journal, office, Hotlist(7))
        for second, (amount_fen, at, after, office.gone) in enumerate(loads):
            card.reset()
            counter.load(TearingCard(card, at=at, after=after), amount_fen, at=AT + timedelta(seconds=second))
        office.gone = ""
        for amount_fen in (100, 250, 100):
            counter.load(returned(card), amount_fen, at=SOON)
        counter.confirm_outstanding()
        assert (journal.begun(CARD_NO), journal.unconfirmed(), journal.lost()) == (None, [], [])
    arrived_fen = sum(receipt.request.amount_fen for receipt in office.arrived.values())
    assert card.state.purse.balance_fen == 10000 + arrived_fen
    assert set(office.arrived) == set(office.taken)
