"""What decides over a rider's code in a bus or at a gate, with no line to anybody.

The issuer's public keys, the tariff and the list of locked holders came with the last update. The ride is
on the disk before the gate opens; the same row remembers that the code is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from clearing.wire.bcd import CITY_ZONE, pack_moment
from clearing.wire.qr import Certificate, CodeRefusal, QrCode, QrError, check_code, raw_of, read_code
from clearing.wire.qr_record import CODE_BYTES, QrRide
from clearing.wire.tariff import Tariff
from terminals.holdings import Holdings
from terminals.hotlist import Hotlist
from terminals.qr_outbox import QrOutbox
from terminals.standing import RideFacts, Standing, standing_at
from terminals.trip import Identity


class QrRefusal(StrEnum):
    """Why the gate stays shut, in order of precedence: the first that applies is the outcome."""

    UNREADABLE = "unreadable"
    OUTBOX_FULL = "outbox_full"
    CLOCK_WRONG = "clock_wrong"
    TARIFF_NOT_IN_FORCE = "tariff_not_in_force"
    ISSUER_KEY_UNKNOWN = "issuer_key_unknown"
    CERTIFICATE_FORGED = "certificate_forged"
    DEVICE_SIGNATURE_WRONG = "device_signature_wrong"
    NOT_YET_VALID = "not_yet_valid"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CODE_STALE = "code_stale"
    HOLDER_LOCKED = "holder_locked"
    CLASS_UNKNOWN = "class_unknown"
    FARE_OUT_OF_BOUNDS = "fare_out_of_bounds"
    OVER_LIMIT = "over_limit"
    REPLAYED = "replayed"
    NUMBERS_EXHAUSTED = "numbers_exhausted"


_OF_CODE = {refusal: QrRefusal(refusal.value) for refusal in CodeRefusal}


@dataclass(frozen=True, slots=True)
class QrOutcome:
    """The gate's decision. Where it opens, `record` is the ride it opens for, and that record is durable."""

    refusal: QrRefusal | None
    record: QrRide | None = None

    @property
    def opened(self) -> bool:
        """Whether the rider may pass."""
        return self.refusal is None


class QrValidator:
    """A terminal that takes codes: its depot's outbox, the issuer's public keys by version, tariff, lock list.

    With `holdings` it obeys the signed tariff of the day and the settings in them; `tariff` is what it was
    installed with, and holds where no file does.
    """

    def __init__(
        self,
        identity: Identity,
        outbox: QrOutbox,
        keys: Mapping[int, bytes],
        tariff: Tariff,
        locked: frozenset[str] = frozenset(),
        *,
        holdings: Holdings | None = None,
    ) -> None:
        self.identity = identity
        self.tariff = tariff
        self.locked = locked
        self._keys = keys
        self._outbox = outbox
        self._holdings = holdings

    def scan(self, text: str, ride: RideFacts, *, at: datetime) -> QrOutcome:
        """Take a ride for the text of a code, at an aware instant; the gate opens where the Outcome says so.

        No text makes this raise; a full disk does (sqlite3.Error), and then the gate stays shut.
        """
        try:
            raw = raw_of(text)
            code = read_code(raw)
        except QrError:
            return QrOutcome(QrRefusal.UNREADABLE)
        if len(raw) > CODE_BYTES:
            return QrOutcome(QrRefusal.UNREADABLE)
        # The list is of cards; whose codes are locked comes by itself.
        standing = standing_at(at, self.identity, self._outbox, self.tariff, Hotlist(0), self._holdings)
        certificate = code.certificate
        refusal = self._objection(standing, code, at) or _ride_objection(standing, certificate, ride)
        if refusal is not None:
            return QrOutcome(refusal)
        amount_fen = standing.fare_fen(certificate.holder_class, ride)
        if amount_fen > certificate.limit_fen:
            return QrOutcome(QrRefusal.OVER_LIMIT)
        serial, nonce = code.key
        if self._outbox.has_taken(self.identity.terminal, serial, nonce):
            return QrOutcome(QrRefusal.REPLAYED)
        sequence = self._outbox.next_terminal_sequence(self.identity.terminal)
        if sequence is None:
            return QrOutcome(QrRefusal.NUMBERS_EXHAUSTED)
        record = QrRide(
            ride.ride, self.identity.terminal, sequence, pack_moment(at), amount_fen, ride.list_fare_fen,
            ride.linked, ride.full_fare, ride.line, ride.station, standing.tariff.version, raw,
        )  # fmt: skip
        self._outbox.take(record, serial=serial, nonce=nonce)
        return QrOutcome(None, record)

    def _objection(self, standing: Standing, code: QrCode, at: datetime) -> QrRefusal | None:
        """What speaks against the code, in the order of `QrRefusal`."""
        if standing.full:
            return QrRefusal.OUTBOX_FULL
        if standing.clock.is_wrong(at):
            return QrRefusal.CLOCK_WRONG
        day: date = at.astimezone(CITY_ZONE).date()
        if not standing.tariff.in_force(day):
            return QrRefusal.TARIFF_NOT_IN_FORCE
        if (refusal := check_code(code, self._keys, at=at)) is not None:
            return _OF_CODE[refusal]
        if code.certificate.holder in self.locked:
            return QrRefusal.HOLDER_LOCKED
        return None


def _ride_objection(standing: Standing, certificate: Certificate, ride: RideFacts) -> QrRefusal | None:
    if not standing.takes_class(certificate.holder_class):
        return QrRefusal.CLASS_UNKNOWN
    return None if standing.fare_objection(ride) is None else QrRefusal.FARE_OUT_OF_BOUNDS
