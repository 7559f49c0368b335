"""Anything at all done to a card, in any order: money moves under a right MAC and in no other way.

Hypothesis drives the card with good commands, nearly good ones and noise, with power cut between commands and in
the middle of writing; a model says what the card must hold.
"""

from collections.abc import Callable
from datetime import date
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from card.chip import commands as cmd
from card.chip import keys as crypto
from card.chip.apdu import Answer, Apdu, Instruction
from card.chip.applet import VirtualCard
from card.chip.files import PublicData
from card.chip.keys import SUITES, CardKeys, Order
from card.chip.phases import Phase
from card.chip.records import Kind
from card.chip.state import Lock, new_state
from card.chip.status import StatusWord, is_legal
from tests.support.eeprom import Eeprom, PowerCut

KEYS = CardKeys(bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48)), bytes(range(48, 64)))
PUBLIC = PublicData("01011000", "03104870000000001234", 1, date(2026, 1, 1), date(2036, 12, 31))
TERMINAL, MOMENT = bytes.fromhex("518000000001"), bytes.fromhex("20260131164329")
AMOUNTS = st.integers(0, 6_000)
NEAR = st.builds(
    lambda code, p1, p2, data, le: Apdu(code >> 8, code & 0xFF, p1, p2, data, le).pack(),
    st.sampled_from(list(Instruction)).map(int),
    st.sampled_from([0, 1, 2, 3, 4, 0x95, 0x97]) | st.integers(0, 255),
    st.sampled_from([0, 1, 2, 0xC4, 0xD0, 0xD4, 0xF0]) | st.integers(0, 255),
    st.sampled_from([0, 2, 4, 8, 11, 15, 48, 128]).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
    st.none() | st.integers(1, 256),
)


class CardMachine(RuleBasedStateMachine):
    """The card, its memory, and what it must hold: `balance_fen`, and how many transactions it has done."""

    algorithm = 0

    def __init__(self) -> None:
        super().__init__()
        self.memory, self.numbers = Eeprom(), count(1)
        self.memory.keep(
            new_state(PUBLIC, key_version=1, balance_fen=10_000, algorithm=self.algorithm, pin=b"2468")
        )
        self.balance_fen, self.done = 10_000, 0
        self.lock = Lock.OPEN
        self.insert()

    def insert(self) -> None:
        self.card = VirtualCard(
            self.memory.state(), KEYS, lambda size: next(self.numbers).to_bytes(size, "big"), self.memory.keep
        )

    def send(self, command: bytes) -> Answer:
        answer = Answer.unpack(self.card.transmit(command))
        assert is_legal(answer.word)
        assert answer.word == StatusWord.DONE or not answer.data
        return answer

    @rule()
    def selects(self) -> None:
        self.send(cmd.select())

    @rule()
    def leaves_the_field_and_comes_back(self) -> None:
        self.insert()

    @rule(command=NEAR | st.binary(max_size=60))
    def is_sent_anything(self, command: bytes) -> None:
        """Nothing random is a right MAC, answers a challenge, or is the PIN: so nothing of weight happens."""
        verified = self.card.phase
        self.send(command)
        assert verified is not Phase.LOCKED or self.card.phase is Phase.LOCKED

    @rule(kind=st.sampled_from([Kind.PURCHASE, Kind.CAPP_PURCHASE]), amount_fen=AMOUNTS, right=st.booleans())
    def buys(self, kind: Kind, amount_fen: int, right: bool) -> None:
        self.transact(lambda: self.debit(kind, amount_fen, right), -amount_fen if right else None)

    @rule(amount_fen=AMOUNTS, right=st.booleans(), pin=st.sampled_from(["2468", "1357"]))
    def is_loaded(self, amount_fen: int, right: bool, pin: str) -> None:
        self.transact(lambda: self.credit(amount_fen, right, pin), amount_fen if right else None)

    @rule(amount_fen=AMOUNTS, power=st.integers(0, 1_500))
    def loses_its_power_while_it_pays(self, amount_fen: int, power: int) -> None:
        before = self.memory.state()
        self.send(cmd.select())
        self.memory.power = power
        try:
            answer = self.debit(Kind.PURCHASE, amount_fen, right=True)
        except PowerCut:
            answer = None
        self.memory.power = None
        after = self.memory.state()
        if answer is not None and answer.word == StatusWord.DONE:
            assert after.purse.purchase_sequence == before.purse.purchase_sequence + 1
        if after.purse.purchase_sequence != before.purse.purchase_sequence:
            self.balance_fen, self.done = self.balance_fen - amount_fen, self.done + 1
        self.insert()

    @rule(right=st.booleans(), what=st.sampled_from(["block", "unblock", "nothing"]))
    def is_maintained(self, right: bool, what: str) -> None:
        self.send(cmd.select())
        challenge = self.send(cmd.get_challenge()).data
        key = KEYS.authentication if right else bytes(16)
        assert key is not None
        cryptogram = SUITES[self.algorithm].cryptogram(key, challenge or bytes(8))
        known = self.send(cmd.external_authenticate(cryptogram)).word == StatusWord.DONE
        assert not known or right
        command = {"block": cmd.application_block(), "unblock": cmd.application_unblock()}.get(what)
        if command is not None and self.send(command).word == StatusWord.DONE:
            assert known
            self.lock = Lock.BLOCKED if what == "block" else Lock.OPEN

    def transact(self, deed: Callable[[], Answer], change_fen: int | None) -> None:
        """Do it in a fresh selection; `change_fen` is what it makes of the balance where it is done."""
        self.send(cmd.select())
        if deed().word == StatusWord.DONE:
            assert change_fen is not None
            self.balance_fen, self.done = self.balance_fen + change_fen, self.done + 1

    def debit(self, kind: Kind, amount_fen: int, right: bool) -> Answer:
        begin = cmd.init_capp_purchase if kind == Kind.CAPP_PURCHASE else cmd.init_purchase
        begun = self.send(begin(amount_fen, TERMINAL))
        if begun.word != StatusWord.DONE:
            return begun
        offer = cmd.parse_init_purchase(begun.pack())
        assert isinstance(offer, cmd.PurchaseOffer)
        suite = SUITES[self.algorithm]
        session = crypto.purchase_session(
            suite, KEYS.purchase, rnd=offer.rnd, sequence=offer.sequence, terminal_sequence=7
        )
        mac1 = crypto.purchase_mac1(suite, session, Order(kind, amount_fen, TERMINAL), MOMENT)
        return self.send(cmd.debit(7, MOMENT, mac1 if right else wrong(mac1)))

    def credit(self, amount_fen: int, right: bool, pin: str) -> Answer:
        verified = self.send(cmd.verify_pin(pin)).word == StatusWord.DONE
        begun = self.send(cmd.init_load(amount_fen, TERMINAL))
        if begun.word != StatusWord.DONE:
            return begun
        assert verified
        offer = cmd.parse_init_load(begun.pack())
        assert isinstance(offer, cmd.LoadOffer)
        suite = SUITES[self.algorithm]
        session = crypto.load_session(suite, KEYS, rnd=offer.rnd, sequence=offer.sequence)
        mac2 = crypto.load_mac2(suite, session, Order(Kind.LOAD, amount_fen, TERMINAL), MOMENT)
        return self.send(cmd.credit_load(MOMENT, mac2 if right else wrong(mac2)))

    @invariant()
    def holds_what_the_model_says_in_the_chip_and_in_its_memory(self) -> None:
        for state in (self.card.state, self.memory.state()):
            purse = state.purse
            assert purse.balance_fen == self.balance_fen >= 0
            assert purse.purchase_sequence + purse.load_sequence == self.done
            assert len(purse.log) == 23 * min(self.done, 10)
            assert state.lock is self.lock


def wrong(mac: bytes) -> bytes:
    return bytes((mac[0] ^ 1,)) + mac[1:]


class NationalCardMachine(CardMachine):
    """The same with a card of the national suite."""

    algorithm = 1


TestCardMachine = CardMachine.TestCase
TestCardMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestNationalCardMachine = NationalCardMachine.TestCase
TestNationalCardMachine.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
