"""Whatever a terminal sends, the card answers by the book, and money moves under a right MAC only."""

from collections.abc import Callable
from datetime import date
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from card.chip import keys as crypto
from card.chip.apdu import Answer, Apdu, Instruction
from card.chip.applet import VirtualCard
from card.chip.commands import init_capp_purchase, init_load, init_purchase, select
from card.chip.files import PublicData
from card.chip.keys import INTERNATIONAL, CardKeys, Order
from card.chip.purse import MAC_TRIES
from card.chip.records import Kind
from card.chip.state import CardState, new_state, state_from_json, state_to_json
from card.chip.status import StatusWord, is_legal

KEYS = CardKeys(bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48)))
PUBLIC = PublicData("01011000", "03104870000000001234", 1, date(2026, 1, 1), date(2036, 12, 31))
TERMINAL, MOMENT = bytes.fromhex("518000000001"), bytes.fromhex("20260131164329")
MOVES_MONEY = {Instruction.DEBIT_FOR_PURCHASE, Instruction.CREDIT_FOR_LOAD}

KNOWN = st.sampled_from(list(Instruction)).map(lambda one: one.to_bytes(2, "big"))
PARAMETERS = st.sampled_from([b"\x04\0", b"\0\2", b"\1\2", b"\3\2", b"\1\0", b"\0\0", b"\0\xf0", b"\x95\0"])
NEAR = st.builds(
    lambda head, p, data, le: Apdu(head[0], head[1], p[0], p[1], data, le).pack(),
    KNOWN,
    PARAMETERS | st.binary(min_size=2, max_size=2),
    st.sampled_from([0, 2, 11, 15, 48]).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
    st.none() | st.integers(1, 256),
)
GOOD = st.sampled_from(
    [
        select(),
        init_load(200, TERMINAL),
        init_purchase(200, TERMINAL),
        init_capp_purchase(0, TERMINAL),
        Apdu(0x80, 0x54, 1, 0, bytes(15)).pack(),
        Apdu(0x80, 0x52, 0, 0, bytes(11)).pack(),
        Apdu(0x80, 0xDC, 0, 0xF0, bytes(48)).pack(),
    ]
)


def fresh_card(state: CardState | None = None) -> VirtualCard:
    numbers = count(1)
    return VirtualCard(
        state or new_state(PUBLIC, key_version=1, balance_fen=10_000),
        KEYS,
        lambda n: next(numbers).to_bytes(n, "big"),
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(GOOD | NEAR | st.binary(max_size=40), max_size=25))
def test_only_legal_words_come_out_and_no_money_moves_without_a_right_mac(sent: list[bytes]) -> None:
    card = fresh_card()
    for command in sent:
        before = card.state
        answer = Answer.unpack(card.transmit(command))
        assert is_legal(answer.word)
        if answer.word != StatusWord.DONE:
            assert answer.data == b""
        # Four bytes may be guessed right once in four thousand million times: not here.
        if int.from_bytes(command[:2], "big") in MOVES_MONEY:
            assert answer.word != StatusWord.DONE
        after, tries = card.state.purse, card.state.purse.mac_tries_left
        assert (after.balance_fen, after.purchase_sequence, after.load_sequence) == (10_000, 0, 0)
        assert (after.log, after.done, card.state.trips) == (b"", None, b"")
        assert (tries < before.purse.mac_tries_left) is (answer.word == StatusWord.MAC_WRONG)
        assert 0 <= tries <= MAC_TRIES


Deed = Callable[[VirtualCard], int]


def purchase(kind: Kind, amount_fen: int) -> Deed:
    """Buy for real, with the SAM's MAC; gives the change of balance that must follow."""

    def deed(card: VirtualCard) -> int:
        init = init_capp_purchase if kind == Kind.CAPP_PURCHASE else init_purchase
        offer = Answer.unpack(card.transmit(init(amount_fen, TERMINAL)))
        if offer.word != StatusWord.DONE:
            return 0
        session = crypto.purchase_session(
            INTERNATIONAL,
            KEYS.purchase,
            rnd=offer.data[11:],
            sequence=int.from_bytes(offer.data[4:6], "big"),
            terminal_sequence=7,
        )
        mac1 = crypto.purchase_mac1(INTERNATIONAL, session, Order(kind, amount_fen, TERMINAL), MOMENT)
        debit = Apdu(0x80, 0x54, 1, 0, (7).to_bytes(4, "big") + MOMENT + mac1).pack()
        assert Answer.unpack(card.transmit(debit)).word == StatusWord.DONE
        return -amount_fen

    return deed


def load(amount_fen: int) -> Deed:
    """Load for real, with the office's MAC."""

    def deed(card: VirtualCard) -> int:
        offer = Answer.unpack(card.transmit(init_load(amount_fen, TERMINAL)))
        if offer.word != StatusWord.DONE:
            return 0
        sequence = int.from_bytes(offer.data[4:6], "big")
        session = crypto.load_session(INTERNATIONAL, KEYS, rnd=offer.data[8:12], sequence=sequence)
        mac2 = crypto.load_mac2(INTERNATIONAL, session, Order(Kind.LOAD, amount_fen, TERMINAL), MOMENT)
        credit = Apdu(0x80, 0x52, 0, 0, MOMENT + mac2).pack()
        assert Answer.unpack(card.transmit(credit)).word == StatusWord.DONE
        return amount_fen

    return deed


def nonsense(command: bytes) -> Deed:
    """Anything else, which must change nothing."""

    def deed(card: VirtualCard) -> int:
        card.transmit(command)
        return 0

    return deed


AMOUNTS = st.integers(0, 6_000)
DEEDS = st.one_of(
    st.builds(purchase, st.sampled_from([Kind.PURCHASE, Kind.CAPP_PURCHASE]), AMOUNTS),
    st.builds(load, AMOUNTS),
    st.builds(nonsense, GOOD | NEAR),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(DEEDS, max_size=20), st.booleans())
def test_the_balance_is_the_sum_of_what_was_loaded_less_what_was_bought(
    deeds: list[Deed], stored: bool
) -> None:
    """Also where the card is put away as a document and taken out again between any two deeds."""
    card, expected_fen, done = fresh_card(), 10_000, 0
    for deed in deeds:
        card.transmit(select())
        before = card.state
        expected_fen += deed(card)
        purse = card.state.purse
        done += purse.done != before.purse.done
        assert purse.balance_fen == expected_fen >= 0
        assert purse.purchase_sequence + purse.load_sequence == done
        assert len(purse.log) == 23 * min(done, 10)
        if stored:
            assert state_from_json(state_to_json(card.state)) == card.state
            card = fresh_card(state_from_json(state_to_json(card.state)))
