"""What decides at a gate or in a bus: one dialogue with card and SAM, in which no paid ride is lost.

The order is what makes it safe. A debit is remembered before the card is asked for it; the ride is on the
disk before the gate opens; and what a card does after that debit was remembered, it does to the end: it
proves the old ride, or its counter shows that there was none, before it pays for another.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from card.chip import commands, sam
from card.chip.commands import AnswerError, PurchaseOffer
from card.chip.files import FileError, PublicData
from card.chip.purse import MAX_SEQUENCE
from card.chip.records import Kind
from card.chip.sam import SamPurchase
from card.chip.status import StatusWord
from card.hsm.codec import CardKeyRef
from clearing.wire.batch import Ride, TapRecord
from clearing.wire.bcd import CITY_ZONE, moment_of, pack_moment
from clearing.wire.tariff import Tariff, fare_fen
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox, Pending
from terminals.outcome import Outcome, Refusal
from terminals.reader import CardGone, Sam, SamGone, Transmits
from terminals.trip import TRIP_ID, TRIP_SFI, Identity, trip_of

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


@dataclass(frozen=True, slots=True)
class RideFacts:
    """What the terminal knows of the ride before it sees the card; the list fare is 0 for a metro entry."""

    ride: Ride
    list_fare_fen: int
    linked: bool = False
    full_fare: bool = False
    line: int = 0
    station: int = 0


class _Refused(Exception):
    """Ends the dialogue inside this module; it leaves as a value, in the Outcome."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


@dataclass(slots=True)
class _Tap:
    """One card in the field: who it is, and what has come to light so far."""

    card: Transmits
    public: PublicData
    at: datetime
    moment: bytes
    balance_fen: int | None = None
    unproven: Pending | None = None
    recovered: TapRecord | None = None


class Validator:
    """A terminal with its SAM, the depot's outbox, and the tariff and hotlist in force on it."""

    def __init__(
        self, identity: Identity, sam: Sam, outbox: Outbox, tariff: Tariff, hotlist: Hotlist
    ) -> None:
        self.identity = identity
        self.tariff = tariff
        self.hotlist = hotlist
        self._terminal = bytes.fromhex(identity.terminal)
        self._sam = sam
        self._outbox = outbox

    def tap(self, card: Transmits, ride: RideFacts, *, at: datetime) -> Outcome:
        """Take a ride from the card, at an aware instant; the gate opens where the Outcome says so.

        No card makes this raise; a full disk does (sqlite3.Error), and then the gate stays shut.
        """
        try:
            tap = self._read(card, at)
        except CardGone:
            return Outcome(Refusal.TORN)
        except (AnswerError, FileError, _Refused):
            return Outcome(Refusal.UNREADABLE)
        try:
            record = self._recover(tap, ride) or self._purchase(tap, ride)
        except _Refused as refused:
            return Outcome(refused.refusal, recovered=tap.recovered, balance_fen=tap.balance_fen)
        except (CardGone, AnswerError):
            return Outcome(Refusal.TORN, recovered=tap.recovered)
        except SamGone:
            return Outcome(Refusal.SAM_UNAVAILABLE, recovered=tap.recovered, balance_fen=tap.balance_fen)
        return Outcome(None, record, tap.recovered, record.balance_before_fen - record.amount_fen)

    def _read(self, card: Transmits, at: datetime) -> _Tap:
        fci = commands.parse_select(card.transmit(commands.select()))
        if isinstance(fci, commands.Refusal):
            raise _Refused(Refusal.UNREADABLE)
        return _Tap(card, PublicData.unpack(fci.public), at, pack_moment(at))

    def _recover(self, tap: _Tap, ride: RideFacts) -> TapRecord | None:
        """Bring a torn ride home by GET TRANSACTION PROVE; returned where it is the ride of this tap."""
        pending = self._outbox.pending_of(tap.public.card_no)
        if pending is None:
            return None
        torn = pending.record
        asked = commands.transaction_prove(torn.kind, torn.counter + 1)
        proof = commands.parse_prove(tap.card.transmit(asked))
        if isinstance(proof, commands.Refusal):
            tap.unproven = pending
            return None
        checked = self._sam.resume(_sam_purchase(torn, pending.rnd), torn.terminal_sequence)
        if checked and not self._right(proof.mac2):
            raise _Refused(Refusal.MAC_WRONG)
        tap.recovered = replace(torn, tac=proof.tac)
        self._outbox.take(tap.recovered)
        if not self._is_this_ride(torn, ride, tap.at):
            return None
        if not checked:
            raise _Refused(Refusal.UNPROVEN)
        return tap.recovered

    def _is_this_ride(self, torn: TapRecord, ride: RideFacts, at: datetime) -> bool:
        if abs(at - moment_of(torn.moment)) > RETURN_WINDOW or torn.ride is not ride.ride:
            return False
        # In a station the next gate will do; another bus of the same line is another ride.
        same_place = (torn.line, torn.station) == (ride.line, ride.station)
        return torn.terminal == self.identity.terminal or (ride.ride is not Ride.BUS and same_place)

    def _purchase(self, tap: _Tap, ride: RideFacts) -> TapRecord:
        """Decide, offer, debit, prove, record: the ride, durable, or _Refused."""
        amount_fen = self._decide(tap, ride)
        offer = self._offer(tap, amount_fen)
        unsigned = self._unsigned(tap, ride, amount_fen, offer)
        purchase = _sam_purchase(unsigned, offer.rnd)
        answer = sam.parse_init_purchase(self._sam.transmit(sam.init_purchase(purchase)))
        if isinstance(answer, commands.Refusal):
            raise _Refused(Refusal.KEY_UNKNOWN if answer.word in _KEY_WORDS else Refusal.SAM_UNAVAILABLE)
        sequence, mac1 = answer
        pending = Pending(replace(unsigned, terminal_sequence=sequence), offer.rnd)
        cache = commands.update_capp_cache(TRIP_ID, TRIP_SFI, trip_of(self.identity, pending.record))
        if commands.parse_done("UPDATE CAPP DATA CACHE", tap.card.transmit(cache)) is not None:
            raise _Refused(Refusal.CARD_REFUSED)
        self._outbox.remember(pending)
        return self._debit(tap, pending, mac1)

    def _decide(self, tap: _Tap, ride: RideFacts) -> int:
        """The fare in fen, by what the terminal itself knows and the card shows freely."""
        public = tap.public
        if (objection := self._objection(public, tap.at.astimezone(CITY_ZONE).date(), ride)) is not None:
            raise _Refused(objection)
        amount_fen = fare_fen(
            self.tariff, ride=ride.ride, list_fare_fen=ride.list_fare_fen, holder_class=public.holder_class,
            linked=ride.linked, full_fare=ride.full_fare,
        )  # fmt: skip
        balance = commands.parse_balance(tap.card.transmit(commands.get_balance()))
        if isinstance(balance, commands.Refusal):
            raise _Refused(Refusal.UNREADABLE)
        tap.balance_fen = balance
        if balance < amount_fen:
            raise _Refused(Refusal.INSUFFICIENT)
        return amount_fen

    def _objection(self, public: PublicData, day: date, ride: RideFacts) -> Refusal | None:
        """What speaks against the ride before a fare is asked, in the order of `Refusal`."""
        if self._outbox.is_full():
            return Refusal.OUTBOX_FULL
        if not self.tariff.in_force(day):
            return Refusal.TARIFF_NOT_IN_FORCE
        if public.card_no in self.hotlist.cards:
            return Refusal.HOTLISTED
        if not public.starts <= day <= public.expires:
            return Refusal.NOT_VALID
        if public.holder_class not in self.tariff.class_pay_bp:
            return Refusal.CLASS_UNKNOWN
        if not 0 <= ride.list_fare_fen <= self.tariff.max_fare_fen[ride.ride]:
            return Refusal.FARE_OUT_OF_BOUNDS
        return None

    def _offer(self, tap: _Tap, amount_fen: int) -> PurchaseOffer:
        """INITIALIZE FOR CAPP PURCHASE; the offer also settles a torn debit that the card did not prove."""
        asked = commands.init_capp_purchase(amount_fen, self._terminal)
        offer = commands.parse_init_purchase(tap.card.transmit(asked))
        if isinstance(offer, commands.Refusal):
            raise _Refused(_OFFER_REFUSED.get(offer.word, Refusal.CARD_REFUSED))
        if offer.balance_fen < amount_fen or offer.sequence >= MAX_SEQUENCE:
            raise _Refused(Refusal.CARD_REFUSED)
        # Version 0 means "the newest" to the HSM; a record must name the key that it was made with.
        if offer.key_version == 0:
            raise _Refused(Refusal.KEY_UNKNOWN)
        if tap.unproven is not None and offer.sequence == tap.unproven.record.counter:
            self._outbox.forget(tap.unproven)
        elif tap.unproven is not None:
            self._outbox.give_up(tap.unproven, counter_found=offer.sequence)
        return offer

    def _unsigned(self, tap: _Tap, ride: RideFacts, amount_fen: int, offer: PurchaseOffer) -> TapRecord:
        return TapRecord(
            ride=ride.ride, issuer=tap.public.issuer, card_no=tap.public.card_no, counter=offer.sequence,
            balance_before_fen=offer.balance_fen, amount_fen=amount_fen, kind=KIND,
            terminal=self.identity.terminal, terminal_sequence=0, moment=tap.moment,
            key_version=offer.key_version, algorithm=offer.algorithm, tac=NO_TAC,
            list_fare_fen=ride.list_fare_fen, holder_class=tap.public.holder_class, linked=ride.linked,
            full_fare=ride.full_fare, line=ride.line, station=ride.station,
            tariff_version=self.tariff.version, hotlist_version=self.hotlist.version,
        )  # fmt: skip

    def _debit(self, tap: _Tap, pending: Pending, mac1: bytes) -> TapRecord:
        """From here on the card may be debited: only a clear refusal of the card closes the pending ride."""
        asked = commands.debit(pending.record.terminal_sequence, tap.moment, mac1)
        proof = commands.parse_debit(tap.card.transmit(asked))
        if isinstance(proof, commands.Refusal):
            if proof.word == StatusWord.MEMORY_FAILURE:
                raise CardGone(str(proof))
            self._outbox.forget(pending)
            raise _Refused(Refusal.CARD_REFUSED)
        try:
            right = self._right(proof.mac2)
        except SamGone:
            # The SAM made MAC1 a moment ago: it was there for this ride. The TAC proves it at clearing.
            right = True
        if not right:
            raise _Refused(Refusal.MAC_WRONG)
        record = replace(pending.record, tac=proof.tac)
        self._outbox.take(record)
        return record

    def _right(self, mac2: bytes) -> bool:
        return self._sam.transmit(sam.credit_purchase(mac2)) == StatusWord.DONE.to_bytes(2, "big")


def _sam_purchase(record: TapRecord, rnd: bytes) -> SamPurchase:
    keys = CardKeyRef.of(record.issuer, record.card_no, record.key_version, record.algorithm)
    return SamPurchase(
        rnd, record.counter, record.amount_fen, record.kind, record.moment, record.key_version,
        record.algorithm, keys.card, keys.issuer,
    )  # fmt: skip
