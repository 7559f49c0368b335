"""A counter terminal's messages: what it sends for a ticket, and what an answer must repeat to be one."""

from dataclasses import dataclass
from datetime import datetime

from clearing.wire.bcd import CITY_ZONE
from clearing.wire.iso8583 import Message
from terminals.pos_journal import Kind, State, Ticket

BATCH = "000001"
SIGN_ON, ECHO = "003", "301"
NO_ANSWER = "98"
"""Field 39 of a reversal: why it is sent."""
PURCHASE, BALANCE, REFUND = "000000", "310000", "200000"
PAN_DIGITS = 19


@dataclass(frozen=True, slots=True)
class PosIdentity:
    """Which terminal this is, whose, and how its messages are encoded: fields 41 and 42, and the encoding."""

    terminal: str
    merchant: str
    specification: str = "china-pos"


def of_ticket(identity: PosIdentity, ticket: Ticket, original: Ticket | None) -> Message:
    """The message that a ticket waits with: 0200, its reversal 0400, or an advice 0220."""
    fields = _fields(identity, ticket.card_no, ticket.stan, ticket.at) | {4: f"{ticket.amount_fen:012d}"}
    if ticket.state is State.REVERSING:
        return Message("0400", fields | {3: PURCHASE, 39: NO_ANSWER})
    if ticket.kind is Kind.REFUND and original is not None:
        told = f"{BATCH}{original.stan}{_local(original.at):%m%d}"
        return Message("0220", fields | {3: REFUND, 61: told})
    return Message("0220" if ticket.kind is Kind.STAND_IN else "0200", fields | {3: PURCHASE})


def of_balance(identity: PosIdentity, card_no: str, stan: str, at: datetime) -> Message:
    """A balance inquiry."""
    return Message("0200", _fields(identity, card_no, stan, at) | {3: BALANCE})


def of_network(identity: PosIdentity, management: str, stan: str) -> Message:
    """A sign-on or an echo test."""
    fields = {11: stan, 41: identity.terminal, 42: f"{identity.merchant:15}", 60: f"00{BATCH}{management}"}
    return Message("0800", fields)


def answers(question: Message, answer: Message) -> bool:
    """Whether a message is the answer to a question: its type, trace number and terminal, and its amount."""
    expected = f"{question.mti[:2]}{int(question.mti[2]) + 1}{question.mti[3]}"
    same = all(answer.get(number) == question.get(number) for number in (11, 41))
    return answer.mti == expected and same and answer.get(4) in (question.get(4), "")


def pan_of(card_no: str) -> str:
    """Field 2: the card number without the digit 0 that fills up its ten bytes. Raises ValueError for others."""
    if len(card_no) != PAN_DIGITS + 1 or not card_no.isdecimal() or card_no[0] != "0":
        raise ValueError(f"card number {card_no!r} is not 20 digits from 0; read it from the card again")
    return card_no[1:]


def balance_fen(answer: Message) -> int:
    """Field 54: the balance; raises ValueError where it has none."""
    amount = answer.get(54)
    if len(amount) != 20 or amount[7] not in "CD" or not amount[8:].isdecimal():
        raise ValueError("the answer holds no balance")
    return int(amount[8:]) if amount[7] == "C" else -int(amount[8:])


def _fields(identity: PosIdentity, card_no: str, stan: str, at: datetime) -> dict[int, str]:
    local = _local(at)
    return {
        2: pan_of(card_no),
        11: stan,
        12: f"{local:%H%M%S}",
        13: f"{local:%m%d}",
        22: "072",  # contactless chip, no PIN
        25: "00",
        41: identity.terminal,
        42: f"{identity.merchant:15}",
        49: "156",
        60: f"22{BATCH}",
    }


def _local(at: datetime) -> datetime:
    return at.astimezone(CITY_ZONE)
