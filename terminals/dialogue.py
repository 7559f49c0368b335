"""A tap as a machine without I/O: actions come out, events go in, and at the end there is an Outcome.

The order is what makes it safe. A debit is remembered before the card is asked for it; the ride is on the
disk before the gate opens; a gate that never opened is owed; and what a card does after its debit was
remembered, it does to the end: it proves the old ride, or its counter shows that there was none, before it
pays for another.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from card.chip import commands, sam
from card.chip.commands import AnswerError, PurchaseOffer
from card.chip.files import FileError, PublicData
from card.chip.purse import MAX_SEQUENCE
from card.chip.records import Kind
from card.chip.sam import SamPurchase
from card.chip.status import StatusWord, is_legal
from card.hsm.codec import CardKeyRef
from clearing.wire.batch import Ride, TapRecord
from clearing.wire.bcd import moment_of, pack_moment
from terminals.actions import (
    ANSWERS,
    Action,
    Answered,
    AskCard,
    AskSam,
    CardLeft,
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
from terminals.outbox import Pending
from terminals.outcome import Outcome, Refusal
from terminals.standing import RideFacts, Standing
from terminals.trip import TRIP_ID, TRIP_SFI, trip_of

KIND = int(Kind.CAPP_PURCHASE)
"""Every ride is a CAPP purchase: the trip is written in the same step as the debit."""
RETURN_WINDOW = timedelta(minutes=10)
"""How long a torn ride that comes back is still this ride, and opens the gate without another fare."""
NO_TAC = bytes(4)
_OFFER_REFUSED: dict[int, Refusal] = {
    StatusWord.FUNDS: Refusal.INSUFFICIENT,
    StatusWord.KEY_INDEX: Refusal.KEY_UNKNOWN,
}
_KEY_WORDS = (StatusWord.KEY_NOT_FOUND, StatusWord.FUNCTION_NOT_SUPPORTED)

T = TypeVar("T")
Steps = Generator[Action, Event, T]


class _Refused(Exception):
    """Ends the dialogue inside this module; it leaves as a value, in the Outcome."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class _Torn(Exception):
    """The card is gone; inside this module only."""


class _NoSam(Exception):
    """The SAM is silent; inside this module only."""


@dataclass(slots=True)
class _Tap:
    """One card in the field: who it is, and what has come to light so far."""

    standing: Standing
    ride: RideFacts
    at: datetime
    moment: bytes
    public: PublicData
    balance_fen: int | None = None
    unproven: Pending | None = None
    recovered: TapRecord | None = None


def dialogue(standing: Standing, ride: RideFacts, at: datetime) -> Steps[Outcome]:
    """One tap at an aware instant. No card, SAM or memory makes it raise; only an illegal event does."""
    try:
        public = yield from _read()
    except _Torn:
        return Outcome(Refusal.TORN)
    except (AnswerError, FileError, _Refused):
        return Outcome(Refusal.UNREADABLE)
    tap = _Tap(standing, ride, at, pack_moment(at), public)
    try:
        record = (yield from _recover(tap)) or (yield from _purchase(tap))
        yield from _open(record)
    except _Refused as refused:
        return Outcome(refused.refusal, recovered=tap.recovered, balance_fen=tap.balance_fen)
    except (_Torn, AnswerError):
        return Outcome(Refusal.TORN, recovered=tap.recovered)
    except _NoSam:
        return Outcome(Refusal.SAM_UNAVAILABLE, recovered=tap.recovered, balance_fen=tap.balance_fen)
    return Outcome(None, record, tap.recovered, record.balance_before_fen - record.amount_fen)


def run(machine: Steps[Outcome], perform: Callable[[Action], Event]) -> Outcome:
    """Let the world perform what the machine asks, until it ends."""
    try:
        action = next(machine)
        while True:
            action = machine.send(perform(action))
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


def _read() -> Steps[PublicData]:
    fci = commands.parse_select((yield from _card(commands.select())))
    if isinstance(fci, commands.Refusal):
        raise _Refused(Refusal.UNREADABLE)
    return PublicData.unpack(fci.public)


def _recover(tap: _Tap) -> Steps[TapRecord | None]:
    """What this card has paid for and did not get; the ride, where it is the ride of this tap."""
    event = yield from _ask(Recall(tap.public.card_no))
    assert isinstance(event, Recalled)
    if event.pending is not None:
        return (yield from _prove(tap, event.pending))
    if event.owed is not None:
        return (yield from _claim(tap, event.owed))
    return None


def _prove(tap: _Tap, pending: Pending) -> Steps[TapRecord | None]:
    """Bring a torn ride home by GET TRANSACTION PROVE."""
    torn = pending.record
    proof = yield from _proof_of(torn)
    if isinstance(proof, commands.Refusal):
        tap.unproven = pending
        return None
    event = yield from _ask(ResumeSam(_sam_purchase(torn, pending.rnd), torn.terminal_sequence))
    assert isinstance(event, Resumed)
    if event.able and not (yield from _right(proof.mac2)):
        raise _Refused(Refusal.MAC_WRONG)
    record = replace(torn, tac=proof.tac)
    yield from _take(record, passage=event.able)
    tap.recovered = record
    if not _is_this_ride(tap, torn):
        return None
    if not event.able:
        raise _Refused(Refusal.UNPROVEN)
    return record


def _claim(tap: _Tap, owed: TapRecord) -> Steps[TapRecord | None]:
    """The paid ride whose gate never opened, from the card that paid for it: its TAC is on the record."""
    if _is_this_ride(tap, owed):
        proof = yield from _proof_of(owed)
        if not isinstance(proof, commands.Refusal) and proof.tac == owed.tac:
            return owed
    # It rode on, or comes too late or elsewhere: the record stands, and a person decides over a refund.
    yield from _keep(Settle(owed.card_no))
    return None


def _proof_of(record: TapRecord) -> Steps[commands.Proof | commands.Refusal]:
    answer = yield from _card(commands.transaction_prove(record.kind, record.counter + 1))
    return _clear(answer, commands.parse_prove(answer))


def _is_this_ride(tap: _Tap, earlier: TapRecord) -> bool:
    ride, identity = tap.ride, tap.standing.identity
    if abs(tap.at - moment_of(earlier.moment)) > RETURN_WINDOW or earlier.ride is not ride.ride:
        return False
    # In a station the next gate will do; another bus of the same line is another ride.
    same_place = (earlier.line, earlier.station) == (ride.line, ride.station)
    return earlier.terminal == identity.terminal or (ride.ride is not Ride.BUS and same_place)


def _purchase(tap: _Tap) -> Steps[TapRecord]:
    """Decide, offer, debit, prove, record: the ride, durable, or _Refused."""
    amount_fen = yield from _decide(tap)
    offer = yield from _offer(tap, amount_fen)
    unsigned = _unsigned(tap, amount_fen, offer)
    purchase = _sam_purchase(unsigned, offer.rnd)
    answer = sam.parse_init_purchase((yield from _sam(sam.init_purchase(purchase))))
    if isinstance(answer, commands.Refusal):
        raise _Refused(Refusal.KEY_UNKNOWN if answer.word in _KEY_WORDS else Refusal.SAM_UNAVAILABLE)
    sequence, mac1 = answer
    pending = Pending(replace(unsigned, terminal_sequence=sequence), offer.rnd)
    trip = trip_of(tap.standing.identity, pending.record)
    cached = yield from _card(commands.update_capp_cache(TRIP_ID, TRIP_SFI, trip))
    if commands.parse_done("UPDATE CAPP DATA CACHE", cached) is not None:
        raise _Refused(Refusal.CARD_REFUSED)
    yield from _keep(Remember(pending))
    return (yield from _debit(tap, pending, mac1))


def _decide(tap: _Tap) -> Steps[int]:
    """The fare in fen, by what the terminal itself knows and the card shows freely."""
    if (objection := tap.standing.objection(tap.public, tap.at, tap.ride)) is not None:
        raise _Refused(objection)
    amount_fen = tap.standing.fare_fen(tap.public, tap.ride)
    balance = commands.parse_balance((yield from _card(commands.get_balance())))
    if isinstance(balance, commands.Refusal):
        raise _Refused(Refusal.UNREADABLE)
    tap.balance_fen = balance
    if balance < amount_fen:
        raise _Refused(Refusal.INSUFFICIENT)
    return amount_fen


def _offer(tap: _Tap, amount_fen: int) -> Steps[PurchaseOffer]:
    """INITIALIZE FOR CAPP PURCHASE; the offer also settles a torn debit that the card did not prove."""
    terminal = bytes.fromhex(tap.standing.identity.terminal)
    answer = yield from _card(commands.init_capp_purchase(amount_fen, terminal))
    offer = commands.parse_init_purchase(answer)
    if isinstance(offer, commands.Refusal):
        raise _Refused(_OFFER_REFUSED.get(offer.word, Refusal.CARD_REFUSED))
    if offer.balance_fen < amount_fen or offer.sequence >= MAX_SEQUENCE:
        raise _Refused(Refusal.CARD_REFUSED)
    # Version 0 means "the newest" to the HSM; a record must name the key that it was made with.
    if offer.key_version == 0:
        raise _Refused(Refusal.KEY_UNKNOWN)
    if tap.unproven is not None and offer.sequence == tap.unproven.record.counter:
        yield from _keep(Forget(tap.unproven))
    elif tap.unproven is not None:
        yield from _keep(GiveUp(tap.unproven, offer.sequence))
    return offer


def _unsigned(tap: _Tap, amount_fen: int, offer: PurchaseOffer) -> TapRecord:
    standing, ride = tap.standing, tap.ride
    return TapRecord(
        ride=ride.ride, issuer=tap.public.issuer, card_no=tap.public.card_no, counter=offer.sequence,
        balance_before_fen=offer.balance_fen, amount_fen=amount_fen, kind=KIND,
        terminal=standing.identity.terminal, terminal_sequence=0, moment=tap.moment,
        key_version=offer.key_version, algorithm=offer.algorithm, tac=NO_TAC,
        list_fare_fen=ride.list_fare_fen, holder_class=tap.public.holder_class, linked=ride.linked,
        full_fare=ride.full_fare, line=ride.line, station=ride.station,
        tariff_version=standing.tariff.version, hotlist_version=standing.hotlist.version,
    )  # fmt: skip


def _debit(tap: _Tap, pending: Pending, mac1: bytes) -> Steps[TapRecord]:
    """From here on the card may be debited: only a clear refusal of the card closes the pending ride."""
    asked = commands.debit(pending.record.terminal_sequence, tap.moment, mac1)
    answer = yield from _card(asked)
    proof = _clear(answer, commands.parse_debit(answer))
    if isinstance(proof, commands.Refusal):
        # What is forgotten is lost for good, so the card says it twice.
        proof = yield from _proof_of(pending.record)
    if isinstance(proof, commands.Refusal):
        yield from _keep(Forget(pending))
        raise _Refused(Refusal.CARD_REFUSED)
    try:
        right = yield from _right(proof.mac2)
    except _NoSam:
        # The SAM made MAC1 a moment ago: it was there for this ride. The TAC proves it at clearing.
        right = True
    if not right:
        raise _Refused(Refusal.MAC_WRONG)
    record = replace(pending.record, tac=proof.tac)
    yield from _take(record, passage=True)
    return record


def _clear(answer: bytes, proof: commands.Proof | commands.Refusal) -> commands.Proof | commands.Refusal:
    """A refusal that can be relied on is a status word of the profile and nothing else; the rest is a tear.

    The end of a spoilt answer looks like a status word, and a memory failure may have come after the debit.
    """
    if isinstance(proof, commands.Refusal) and (
        len(answer) != 2 or not is_legal(proof.word) or proof.word == StatusWord.MEMORY_FAILURE
    ):
        raise _Torn
    return proof


def _right(mac2: bytes) -> Steps[bool]:
    return (yield from _sam(sam.credit_purchase(mac2))) == StatusWord.DONE.to_bytes(2, "big")


def _open(record: TapRecord) -> Steps[None]:
    yield from _ask(OpenGate(record))
    # If this cannot be kept, the rider may pass once more: better than to pay for nothing.
    yield from _ask(Settle(record.card_no))


def _take(record: TapRecord, *, passage: bool) -> Steps[None]:
    """Without room for the record the gate stays shut; the debit stays remembered and is proven later."""
    if isinstance((yield from _ask(Take(record, passage))), MemoryFull):
        raise _Refused(Refusal.UNPROVEN)


def _keep(action: Action) -> Steps[None]:
    if isinstance((yield from _ask(action)), MemoryFull):
        raise _Refused(Refusal.OUTBOX_FULL)


def _card(apdu: bytes) -> Steps[bytes]:
    event = yield from _ask(AskCard(apdu))
    if isinstance(event, CardLeft):
        raise _Torn
    assert isinstance(event, Answered)
    return event.data


def _sam(apdu: bytes) -> Steps[bytes]:
    event = yield from _ask(AskSam(apdu))
    if isinstance(event, SamSilent):
        raise _NoSam
    if isinstance(event, MemoryFull):
        raise _Refused(Refusal.OUTBOX_FULL)
    assert isinstance(event, Answered)
    return event.data


def _ask(action: Action) -> Steps[Event]:
    event = yield action
    if not isinstance(event, ANSWERS[type(action)]):
        raise TypeError(f"{event!r} does not answer {type(action).__name__}: see ANSWERS")
    return event


def _sam_purchase(record: TapRecord, rnd: bytes) -> SamPurchase:
    keys = CardKeyRef.of(record.issuer, record.card_no, record.key_version, record.algorithm)
    return SamPurchase(
        rnd, record.counter, record.amount_fen, record.kind, record.moment, record.key_version,
        record.algorithm, keys.card, keys.issuer,
    )  # fmt: skip
