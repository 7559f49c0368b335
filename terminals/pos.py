"""A counter's terminal: purchases online, and what must reach the host kept until the host has it.

A purchase whose answer does not come is not paid: it is reversed, now or whenever the host can be reached,
and the next purchase waits for that. So whatever is lost on the way, host and terminal agree in the end.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from clearing.wire.iso8583 import (
    Message,
    MessageError,
    decode,
    encode,
    encode_with_mac,
    mac_parts,
    specification,
)
from terminals.pos_journal import Kind, PosJournal, State, Ticket
from terminals.pos_line import HostGone, Line
from terminals.pos_messages import (
    ECHO,
    SIGN_ON,
    PosIdentity,
    answers,
    balance_fen,
    of_balance,
    of_network,
    of_ticket,
)
from terminals.pos_pinpad import KeyRefused, PinPad

APPROVED, MAC_WRONG, NOT_NOW = "00", "A0", "96"


class Result(StrEnum):
    """What the cashier is told."""

    APPROVED = "approved"
    DECLINED = "declined"
    NOT_PAID = "not_paid"
    """The host did not answer: the purchase is reversed, at once or later."""
    HOST_AWAY = "host_away"
    """Nothing was begun: the host cannot be reached, or does not know this terminal."""
    KEPT = "kept"
    """The advice is in the terminal and goes to the host when it can."""


@dataclass(frozen=True, slots=True)
class PosOutcome:
    """The answer to a cashier: `code` is field 39 where the host gave one, `balance_fen` only for an inquiry."""

    result: Result
    ticket: Ticket | None = None
    code: str = ""
    balance_fen: int | None = None


@dataclass(frozen=True, slots=True)
class _Heard:
    """An answer; without a MAC of the host's it is only a hint."""

    message: Message
    authentic: bool

    @property
    def code(self) -> str:
        return self.message.get(39)


class Pos:
    """One terminal, used by one thread. `at` is always the terminal's own clock.

    Making one takes up what an earlier run left: what it was asking for is reversed.
    """

    def __init__(self, identity: PosIdentity, journal: PosJournal, pinpad: PinPad, line: Line) -> None:
        self._identity = identity
        self._journal = journal
        self._pinpad = pinpad
        self._line = line
        self._spec = specification(identity.specification)
        journal.recover()
        if (kept := journal.working_key()) is not None:
            pinpad.load(kept)

    def sign_on(self) -> bool:
        """Get a new working key; False where the host does not give one. Raises KeyRefused for a wrong one."""
        heard = self._network(SIGN_ON)
        if heard is None or heard.code != APPROVED:
            return False
        try:
            key = bytes.fromhex(heard.message.get(62))
        except ValueError:
            return False
        self._pinpad.load(key)
        self._journal.keep_working_key(key)
        return True

    def echo(self) -> bool:
        """Whether the host answers and knows this terminal."""
        heard = self._network(ECHO)
        return heard is not None and heard.code == APPROVED

    def purchase(self, card_no: str, amount_fen: int, *, at: datetime) -> PosOutcome:
        """Take `amount_fen` from the wallet behind a card. Raises ValueError for a number that is no card's."""
        of_balance(self._identity, card_no, "0", at)  # a card that cannot be asked for is no ticket
        if not self._ready():
            return PosOutcome(Result.HOST_AWAY)
        ticket = self._journal.begin(Kind.PURCHASE, card_no=card_no, amount_fen=amount_fen, at=at)
        heard = self._ask(of_ticket(self._identity, ticket, None))
        if heard is None or not heard.authentic or heard.code == NOT_NOW:
            ticket = self._journal.move(ticket, State.REVERSING)
            self.deliver()
            return PosOutcome(Result.NOT_PAID, self._journal.ticket(ticket.number))
        state = State.APPROVED if heard.code == APPROVED else State.DECLINED
        ticket = self._journal.move(ticket, state, code=heard.code, retrieval=heard.message.get(37))
        return PosOutcome(Result(state.value), ticket, heard.code)

    def balance(self, card_no: str, *, at: datetime) -> PosOutcome:
        """What is in the wallet behind a card. Raises ValueError for a number that is no card's."""
        message = of_balance(self._identity, card_no, self._journal.take_stan(), at)
        heard = self._ask(message) if self._keyed() else None
        if heard is None or not heard.authentic or heard.code == NOT_NOW:
            return PosOutcome(Result.HOST_AWAY)
        if heard.code != APPROVED:
            return PosOutcome(Result.DECLINED, code=heard.code)
        return PosOutcome(Result.APPROVED, code=heard.code, balance_fen=balance_fen(heard.message))

    def stand_in(self, card_no: str, amount_fen: int, *, at: datetime) -> PosOutcome:
        """Take a purchase while the host is away, at the merchant's risk; the host is told when it can be."""
        of_balance(self._identity, card_no, "0", at)
        ticket = self._journal.begin(Kind.STAND_IN, card_no=card_no, amount_fen=amount_fen, at=at)
        return self._advised(ticket)

    def refund(self, original: Ticket, amount_fen: int, *, at: datetime) -> PosOutcome:
        """Give back all or part of an approved ticket of this terminal. Raises ValueError for another ticket."""
        if original.state is not State.APPROVED or original.kind is Kind.REFUND:
            raise ValueError(
                f"ticket {original.number} is {original.state}; only an approved purchase is refunded"
            )
        ticket = self._journal.begin(
            Kind.REFUND, card_no=original.card_no, amount_fen=amount_fen, at=at, original=original.number
        )
        return self._advised(ticket)

    def deliver(self) -> int:
        """Send what waits, reversals first, until the host has it all or is gone; how much waits still."""
        waiting = self._journal.waiting()
        while waiting and self._keyed():
            if not self._delivered(waiting[0]):
                break
            waiting = waiting[1:]
        return len(waiting)

    def _advised(self, ticket: Ticket) -> PosOutcome:
        self.deliver()
        told = self._journal.ticket(ticket.number) or ticket
        results = {State.APPROVED: Result.APPROVED, State.HELD: Result.DECLINED}
        return PosOutcome(results.get(told.state, Result.KEPT), told, told.code)

    def _delivered(self, ticket: Ticket) -> bool:
        """Whether the host has acknowledged a reversal or advice, for good or ill."""
        original = None if ticket.original is None else self._journal.ticket(ticket.original)
        heard = self._ask(of_ticket(self._identity, ticket, original))
        if heard is None or not heard.authentic or heard.code == NOT_NOW:
            return False
        done = State.REVERSED if ticket.state is State.REVERSING else State.APPROVED
        state = done if heard.code == APPROVED else State.HELD
        self._journal.move(ticket, state, code=heard.code, retrieval=heard.message.get(37))
        return True

    def _ready(self) -> bool:
        """Whether a purchase may begin: there is a key, and the host has every reversal."""
        if not self._keyed():
            return False
        self.deliver()
        return not self._journal.tickets(State.REVERSING)

    def _keyed(self) -> bool:
        try:
            return self._pinpad.ready or self.sign_on()
        except KeyRefused:
            return False

    def _ask(self, message: Message) -> _Heard | None:
        """Ask, and once more under a new key where the host says that the MAC is wrong."""
        heard = self._exchange(message, signed=True)
        if heard is None or heard.code != MAC_WRONG or heard.authentic:
            return heard
        try:
            return self._exchange(message, signed=True) if self.sign_on() else heard
        except KeyRefused:
            return heard

    def _network(self, management: str) -> _Heard | None:
        message = of_network(self._identity, management, self._journal.take_stan())
        return self._exchange(message, signed=False)

    def _exchange(self, message: Message, *, signed: bool) -> _Heard | None:
        """The host's answer, None where none came that answers this very message."""
        spec = self._spec
        body = encode_with_mac(message, spec, self._pinpad.mac) if signed else encode(message, spec)
        try:
            return self._read(
                message, self._line.ask(body, lambda data: self._read(message, data) is not None)
            )
        except HostGone:
            return None

    def _read(self, question: Message, data: bytes) -> _Heard | None:
        """An answer to the question; None where it is another's, damaged, or has a MAC that is not the host's."""
        try:
            answer = decode(data, self._spec)
        except MessageError:
            return None
        if not answers(question, answer):
            return None
        parts = mac_parts(data, answer, self._spec)
        if parts is None:
            return _Heard(answer, authentic=False)
        return _Heard(answer, authentic=True) if self._pinpad.ready and self._pinpad.made(*parts) else None
