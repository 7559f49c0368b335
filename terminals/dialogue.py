"""A tap as a machine without I/O: actions come out, events go in, and at the end there is an Outcome.

The order is what makes it safe. A debit is remembered before the card is asked for it; the ride is on the
disk before the gate opens; a gate that never opened is owed; and what a card does after its debit was
remembered, it does to the end: it proves the old ride, or its counter shows that there was none, before it
pays for another.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from card.chip import commands, sam
from card.chip.commands import AnswerError, PurchaseOffer
from card.chip.files import FileError, PublicData
from card.chip.purse import MAX_SEQUENCE
from card.chip.records import Kind
from card.chip.sam import SamPurchase
from card.chip.status import StatusWord, is_legal
from card.chip.t0 import MORE, WRONG_LE
from card.hsm.codec import CardKeyRef
from clearing.wire.batch import Ride, TapRecord
from clearing.wire.bcd import moment_of, pack_moment
from clearing.wire.journey import Finding, leg_of
from terminals.actions import (
    Forget,
    GiveUp,
    MemoryFull,
    OpenGate,
    Recall,
    Recalled,
    Remember,
    Resumed,
    ResumeSam,
    Settle,
    Take,
)
from terminals.asking import NoSam, Refused, Steps, Torn, ask, ask_card, ask_sam, keep, read_journey
from terminals.outbox import Pending
from terminals.outcome import Outcome, Refusal
from terminals.standing import RideFacts, Standing
from terminals.trip import trip_records

RIDE_KIND, SALE_KIND = int(Kind.CAPP_PURCHASE), int(Kind.PURCHASE)
"""Every ride is a CAPP purchase: the trip is written in the same step as the debit. A sale writes no trip."""
RETURN_WINDOW = timedelta(minutes=10)
"""How long a torn ride that comes back is still this ride, and opens the gate without another fare."""
NO_TAC = bytes(4)
_ONE_PLACE = (Ride.BUS, Ride.PURCHASE)
"""Where another terminal is another place: in a station the next gate will do."""
_OFFER_REFUSED: dict[int, Refusal] = {
    StatusWord.FUNDS: Refusal.INSUFFICIENT,
    StatusWord.KEY_INDEX: Refusal.KEY_UNKNOWN,
}
_KEY_WORDS = (StatusWord.KEY_NOT_FOUND, StatusWord.FUNCTION_NOT_SUPPORTED)


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
    finding: Finding = Finding.COMPLETE
    last_counter: int | None = None


def dialogue(standing: Standing, ride: RideFacts, at: datetime) -> Steps[Outcome]:
    """One tap at an aware instant. No card, SAM or memory makes it raise; only an illegal event does."""
    try:
        public = yield from _read()
    except Torn:
        return Outcome(Refusal.TORN)
    except (AnswerError, FileError, Refused):
        return Outcome(Refusal.UNREADABLE)
    tap = _Tap(standing, ride, at, pack_moment(at), public)
    try:
        record = (yield from _recover(tap)) or (yield from _purchase(tap))
        yield from _open(record)
    except Refused as refused:
        return Outcome(
            refused.refusal, recovered=tap.recovered, balance_fen=tap.balance_fen, finding=tap.finding
        )
    except (Torn, AnswerError):
        return Outcome(Refusal.TORN, recovered=tap.recovered)
    except NoSam:
        return Outcome(Refusal.SAM_UNAVAILABLE, recovered=tap.recovered, balance_fen=tap.balance_fen)
    balance_fen = record.balance_before_fen - record.amount_fen
    return Outcome(None, record, tap.recovered, balance_fen, tap.finding)


def _read() -> Steps[PublicData]:
    fci = commands.parse_select((yield from ask_card(commands.select())))
    if isinstance(fci, commands.Refusal):
        raise Refused(Refusal.UNREADABLE)
    return PublicData.unpack(fci.public)


def _recover(tap: _Tap) -> Steps[TapRecord | None]:
    """What this card has paid for and did not get; the ride, where it is the ride of this tap."""
    event = yield from ask(Recall(tap.public.card_no))
    assert isinstance(event, Recalled)
    tap.last_counter = event.last_counter
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
    event = yield from ask(ResumeSam(_sam_purchase(torn, pending.rnd), torn.terminal_sequence))
    assert isinstance(event, Resumed)
    if event.able and not (yield from _right(proof.mac2)):
        raise Refused(Refusal.MAC_WRONG)
    record = replace(torn, tac=proof.tac)
    yield from _take(record, passage=event.able)
    tap.recovered = record
    if not _is_this_ride(tap, torn):
        return None
    if not event.able:
        raise Refused(Refusal.UNPROVEN)
    return record


def _claim(tap: _Tap, owed: TapRecord) -> Steps[TapRecord | None]:
    """The paid ride whose gate never opened, from the card that paid for it: its TAC is on the record."""
    if _is_this_ride(tap, owed):
        proof = yield from _proof_of(owed)
        if not isinstance(proof, commands.Refusal) and proof.tac == owed.tac:
            return owed
    # It rode on, or comes too late or elsewhere: the record stands, and a person decides over a refund.
    yield from keep(Settle(owed.card_no))
    return None


def _proof_of(record: TapRecord) -> Steps[commands.Proof | commands.Refusal]:
    answer = yield from ask_card(commands.transaction_prove(record.kind, record.counter + 1))
    return _clear(answer, commands.parse_prove(answer))


def _is_this_ride(tap: _Tap, earlier: TapRecord) -> bool:
    ride, identity = tap.ride, tap.standing.identity
    if ride.ride is Ride.PURCHASE and earlier.list_fare_fen != ride.list_fare_fen:
        return False
    if abs(tap.at - moment_of(earlier.moment)) > RETURN_WINDOW or earlier.ride is not ride.ride:
        return False
    same_place = (earlier.line, earlier.station) == (ride.line, ride.station)
    return earlier.terminal == identity.terminal or (ride.ride not in _ONE_PLACE and same_place)


def _purchase(tap: _Tap) -> Steps[TapRecord]:
    """Decide, offer, debit, prove, record: the ride, durable, or Refused."""
    amount_fen = yield from _decide(tap)
    offer = yield from _offer(tap, amount_fen)
    unsigned = _unsigned(tap, amount_fen, offer)
    purchase = _sam_purchase(unsigned, offer.rnd)
    answer = sam.parse_init_purchase((yield from ask_sam(sam.init_purchase(purchase))))
    if isinstance(answer, commands.Refusal):
        raise Refused(Refusal.KEY_UNKNOWN if answer.word in _KEY_WORDS else Refusal.SAM_UNAVAILABLE)
    sequence, mac1 = answer
    pending = Pending(replace(unsigned, terminal_sequence=sequence), offer.rnd)
    for record_id, sfi, written in trip_records(tap.standing.identity, pending.record):
        cached = yield from ask_card(commands.update_capp_cache(record_id, sfi, written))
        if commands.parse_done("UPDATE CAPP DATA CACHE", cached) is not None:
            raise Refused(Refusal.CARD_REFUSED)
    yield from keep(Remember(pending))
    return (yield from _debit(tap, pending, mac1))


def _decide(tap: _Tap) -> Steps[int]:
    """The fare in fen, by what the terminal itself knows and the card shows freely."""
    if (objection := tap.standing.objection(tap.public, tap.at)) is not None:
        raise Refused(objection)
    yield from _find_leg(tap)
    if (objection := tap.standing.fare_objection(tap.ride)) is not None:
        raise Refused(objection)
    amount_fen = tap.standing.fare_fen(tap.public.holder_class, tap.ride)
    balance = commands.parse_balance((yield from ask_card(commands.get_balance())))
    if isinstance(balance, commands.Refusal):
        raise Refused(Refusal.UNREADABLE)
    tap.balance_fen = balance
    if balance < amount_fen:
        raise Refused(Refusal.INSUFFICIENT)
    return amount_fen


def _find_leg(tap: _Tap) -> Steps[None]:
    """Where the tariff makes journeys of taps: list fare and link by what the card carries."""
    journeys, ride = tap.standing.tariff.journeys, tap.ride
    if journeys is None or ride.fares_fen is None:
        return
    says = yield from read_journey(ride.ride)
    leg = leg_of(
        journeys,
        ride=ride.ride,
        here=(ride.line, ride.station),
        fares_fen=ride.fares_fen,
        says=says,
        at=tap.at,
    )
    tap.finding = leg.finding
    if not leg.taken:
        inside = leg.finding is Finding.ALREADY_INSIDE
        raise Refused(Refusal.ALREADY_INSIDE if inside else Refusal.FARE_OUT_OF_BOUNDS)
    tap.ride = replace(ride, list_fare_fen=leg.list_fare_fen, linked=leg.linked)


def _offer(tap: _Tap, amount_fen: int) -> Steps[PurchaseOffer]:
    """INITIALIZE FOR (CAPP) PURCHASE; the offer also settles a torn debit that the card did not prove."""
    terminal = bytes.fromhex(tap.standing.identity.terminal)
    sold = tap.ride.ride is Ride.PURCHASE
    begin = commands.init_purchase if sold else commands.init_capp_purchase
    answer = yield from ask_card(begin(amount_fen, terminal))
    offer = commands.parse_init_purchase(answer)
    if isinstance(offer, commands.Refusal):
        raise Refused(_OFFER_REFUSED.get(offer.word, Refusal.CARD_REFUSED))
    if offer.balance_fen < amount_fen or offer.sequence >= MAX_SEQUENCE:
        raise Refused(Refusal.CARD_REFUSED)
    # Version 0 means "the newest" to the HSM; a record must name the key that it was made with.
    if offer.key_version == 0:
        raise Refused(Refusal.KEY_UNKNOWN)
    # A card's counter never goes back: this is a copy of it, or what somebody recorded of it.
    if tap.last_counter is not None and offer.sequence <= tap.last_counter:
        raise Refused(Refusal.COUNTER_REUSED)
    if tap.unproven is not None and offer.sequence == tap.unproven.record.counter:
        yield from keep(Forget(tap.unproven))
    elif tap.unproven is not None:
        yield from keep(GiveUp(tap.unproven, offer.sequence))
    return offer


def _unsigned(tap: _Tap, amount_fen: int, offer: PurchaseOffer) -> TapRecord:
    standing, ride = tap.standing, tap.ride
    return TapRecord(
        ride=ride.ride, issuer=tap.public.issuer, card_no=tap.public.card_no, counter=offer.sequence,
        balance_before_fen=offer.balance_fen, amount_fen=amount_fen,
        kind=SALE_KIND if ride.ride is Ride.PURCHASE else RIDE_KIND,
        terminal=standing.identity.terminal, terminal_sequence=0, moment=tap.moment,
        key_version=offer.key_version, algorithm=offer.algorithm, tac=NO_TAC,
        list_fare_fen=ride.list_fare_fen, holder_class=tap.public.holder_class, linked=ride.linked,
        full_fare=ride.full_fare, line=ride.line, station=ride.station,
        tariff_version=standing.tariff.version, hotlist_version=standing.hotlist.version,
    )  # fmt: skip


def _debit(tap: _Tap, pending: Pending, mac1: bytes) -> Steps[TapRecord]:
    """From here on the card may be debited: only a clear refusal of the card closes the pending ride."""
    asked = commands.debit(pending.record.terminal_sequence, tap.moment, mac1)
    answer = yield from ask_card(asked)
    proof = _clear(answer, commands.parse_debit(answer))
    if isinstance(proof, commands.Refusal):
        # What is forgotten is lost for good, so the card says it twice.
        proof = yield from _proof_of(pending.record)
    if isinstance(proof, commands.Refusal):
        yield from keep(Forget(pending))
        raise Refused(Refusal.CARD_REFUSED)
    try:
        right = yield from _right(proof.mac2)
    except NoSam:
        # The SAM made MAC1 a moment ago: it was there for this ride. The TAC proves it at clearing.
        right = True
    if not right:
        raise Refused(Refusal.MAC_WRONG)
    record = replace(pending.record, tac=proof.tac)
    yield from _take(record, passage=True)
    return record


def _clear(answer: bytes, proof: commands.Proof | commands.Refusal) -> commands.Proof | commands.Refusal:
    """A refusal that can be relied on is a status word of the profile and nothing else; the rest is a tear.

    The end of a spoilt answer looks like a status word, a memory failure may have come after the debit, and a
    word about lengths says that there is an answer which has not come.
    """
    if isinstance(proof, commands.Refusal) and (
        len(answer) != 2
        or not is_legal(proof.word)
        or proof.word == StatusWord.MEMORY_FAILURE
        or proof.word >> 8 in (MORE, WRONG_LE)
    ):
        raise Torn
    return proof


def _right(mac2: bytes) -> Steps[bool]:
    return (yield from ask_sam(sam.credit_purchase(mac2))) == StatusWord.DONE.to_bytes(2, "big")


def _open(record: TapRecord) -> Steps[None]:
    yield from ask(OpenGate(record))
    # If this cannot be kept, the rider may pass once more: better than to pay for nothing.
    yield from ask(Settle(record.card_no))


def _take(record: TapRecord, *, passage: bool) -> Steps[None]:
    """Without room for the record the gate stays shut; the debit stays remembered and is proven later."""
    if isinstance((yield from ask(Take(record, passage))), MemoryFull):
        raise Refused(Refusal.UNPROVEN)


def _sam_purchase(record: TapRecord, rnd: bytes) -> SamPurchase:
    keys = CardKeyRef.of(record.issuer, record.card_no, record.key_version, record.algorithm)
    return SamPurchase(
        rnd, record.counter, record.amount_fen, record.kind, record.moment, record.key_version,
        record.algorithm, keys.card, keys.issuer,
    )  # fmt: skip
