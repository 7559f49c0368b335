"""Rides on riders' codes: from presented to judged, as a pure function of the rides and the facts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

from clearing.devices import Device
from clearing.qr_verdict import QrVerdict
from clearing.sectors.transit.fare_reference import lone_fare_fen
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.sectors.transit.matrix_file import fare_tariffs
from clearing.sectors.transit.recorded_taps import RecordedTap
from clearing.verdict import WINDOW_DAYS, Money
from clearing.wire.bcd import CITY_ZONE, moment_of
from clearing.wire.qr import FORGERIES, QrCode, QrError, check_code, read_code
from clearing.wire.qr_record import QrRide
from clearing.wire.record import RecordError
from clearing.wire.tariff import Tariff, fare_fen, tariff_on

CodeKey = tuple[bytes, bytes]
"""Serial of the certificate and nonce."""
Place = tuple[str, int, int]
"""Operator, sequence of the batch, position in it from 0."""


@dataclass(frozen=True, slots=True)
class PresentedRide:
    """A record of a batch; `presented_on` is the night it first came to, `retried` that this is a later one."""

    operator: str
    sequence: int
    position: int
    presented_on: date
    retried: bool
    record: bytes

    @property
    def place(self) -> Place:
        """What the ride is known by."""
        return self.operator, self.sequence, self.position

    @property
    def digest(self) -> str:
        """SHA-256 of the record: two that are alike are one ride."""
        return sha256(self.record).hexdigest()


@dataclass(frozen=True, slots=True)
class QrFacts:
    """Everything that decides over rides, loaded before.

    `keys` are the issuer's public keys by version; `holders` those among the rides' holders that have a
    wallet; `locked` since when, for losses that are not lifted; `paid` the codes paid before tonight;
    `known` (operator, digest) of records presented before tonight.
    """

    devices: Sequence[Device]
    keys: Mapping[int, bytes]
    holders: Collection[str]
    locked: Mapping[str, datetime]
    paid: Collection[CodeKey]
    known: Collection[tuple[str, str]]
    tariffs: Sequence[Tariff | FareTariff]


@dataclass(frozen=True, slots=True)
class JudgedRide:
    """A ride and its verdict; `ride` and `code` are None where they cannot be read, and `flaw` says why.

    `price_fen` is the tariff's, None where no tariff prices it; `paid_fen` what the operator is owed.
    """

    presented: PresentedRide
    ride: QrRide | None
    code: QrCode | None
    flaw: str
    verdict: QrVerdict
    money: Money
    price_fen: int | None
    paid_fen: int

    @property
    def event_at(self) -> datetime | None:
        """When the validator took it, in UTC."""
        return None if self.ride is None else moment_of(self.ride.moment).astimezone(UTC)

    @property
    def holder(self) -> str:
        """Who the code speaks of, empty where it cannot be read."""
        return "" if self.code is None else self.code.certificate.holder

    @property
    def code_key(self) -> tuple[str, str]:
        """Serial and nonce in hex, empty where the code cannot be read."""
        return ("", "") if self.code is None else (self.code.key[0].hex(), self.code.key[1].hex())


@dataclass(frozen=True, slots=True)
class _Readable:
    presented: PresentedRide
    ride: QrRide
    code: QrCode
    at: datetime


def decide_qr(
    rides: Sequence[PresentedRide], facts: QrFacts, *, business_date: date
) -> tuple[JudgedRide, ...]:
    """Judge rides, in the order given; the result does not depend on that order.

    Of several rides on one code the earliest counts, unless one was paid on an earlier night.
    """
    read = {presented.place: _read(presented) for presented in rides}
    readable = [found for found in read.values() if isinstance(found, _Readable)]
    seen: set[tuple[str, str]] = set(facts.known)
    copies: set[Place] = set()
    for presented in sorted((found.presented for found in readable), key=_original_first):
        # An operator cannot make another's record a copy by bringing it first.
        content = presented.operator, presented.digest
        if not presented.retried and content in seen:
            copies.add(presented.place)
        seen.add(content)
    judge = _Judge(facts, business_date)
    verdicts: dict[Place, tuple[QrVerdict, int | None]] = {}
    for found in sorted(readable, key=_in_time):
        place = found.presented.place
        copied = place in copies
        verdicts[place] = (QrVerdict.DUPLICATE, None) if copied else judge.verdict(found)
    return tuple(_judged(presented, read, verdicts, business_date) for presented in rides)


class _Judge:
    """Judges rides in the order of time, and remembers which codes are used up."""

    def __init__(self, facts: QrFacts, business_date: date) -> None:
        self._facts = facts
        self._business_date = business_date
        self._used: set[CodeKey] = set(facts.paid)
        self._devices: dict[tuple[str, str], list[Device]] = {}
        for device in facts.devices:
            self._devices.setdefault((device.terminal, device.operator), []).append(device)

    def verdict(self, found: _Readable) -> tuple[QrVerdict, int | None]:
        """The first verdict that applies, and the tariff's price where it was asked."""
        devices = self._devices.get((found.ride.terminal, found.presented.operator), [])
        device = next((one for one in devices if _in_service(one, found.at)), None)
        if device is None:
            return QrVerdict.DEVICE_UNKNOWN, None
        refusal = check_code(found.code, self._facts.keys, at=found.at)
        if refusal is not None:
            return (QrVerdict.SIGNATURE_WRONG if refusal in FORGERIES else QrVerdict.EXPIRED), None
        holder = found.code.certificate.holder
        if holder not in self._facts.holders:
            return QrVerdict.HOLDER_UNKNOWN, None
        locked_at = self._facts.locked.get(holder)
        if locked_at is not None and found.at >= locked_at:
            return QrVerdict.HOLDER_LOCKED, None
        if found.code.key in self._used:
            return QrVerdict.REPLAYED, None
        self._used.add(found.code.key)
        if _age(found.presented.presented_on, found.at) > WINDOW_DAYS:
            return QrVerdict.TOO_LATE, None
        return self._amount(found, device)

    def _amount(self, found: _Readable, device: Device) -> tuple[QrVerdict, int | None]:
        price = _price_fen(found, self._facts.tariffs)
        amount_fen, limit_fen = found.ride.amount_fen, found.code.certificate.limit_fen
        if device.max_amount_fen is not None:
            limit_fen = min(limit_fen, device.max_amount_fen)
        if price is None or amount_fen > limit_fen or (amount_fen == 0 and price > 0):
            return QrVerdict.AMOUNT_OUT_OF_BOUNDS, price
        return (QrVerdict.ACCEPTED if amount_fen == price else QrVerdict.PRICE_DIFFERS), price


def in_time(one: JudgedRide) -> tuple[datetime, Place]:
    """The order in which readable rides happened, by what their validators say."""
    if one.event_at is None:
        raise ValueError(f"ride {one.presented.place} cannot be read: it has no moment")
    return one.event_at, one.presented.place


def _read(presented: PresentedRide) -> _Readable | tuple[QrRide | None, str]:
    """The ride and its code, or what of it can be read and why not all."""
    try:
        ride = QrRide.unpack(presented.record)
    except RecordError as error:
        return None, str(error)
    try:
        code = read_code(ride.code)
    except QrError as error:
        return ride, str(error)
    return _Readable(presented, ride, code, moment_of(ride.moment).astimezone(UTC))


def _judged(
    presented: PresentedRide,
    read: Mapping[Place, _Readable | tuple[QrRide | None, str]],
    verdicts: Mapping[Place, tuple[QrVerdict, int | None]],
    business_date: date,
) -> JudgedRide:
    found = read[presented.place]
    if not isinstance(found, _Readable):
        ride, flaw = found
        return JudgedRide(presented, ride, None, flaw, QrVerdict.MALFORMED, Money.NONE, None, 0)
    verdict, price_fen = verdicts[presented.place]
    money = verdict.money
    # What nobody could settle within the window is not paid any more; its verdict still says why.
    if money is Money.SUSPENDED and presented.retried and _age(business_date, found.at) > WINDOW_DAYS:
        money = Money.REJECTED
    amount_fen = found.ride.amount_fen
    paid_fen = min(amount_fen, price_fen or 0) if money is Money.PAID else 0
    return JudgedRide(presented, found.ride, found.code, "", verdict, money, price_fen, paid_fen)


def _price_fen(found: _Readable, tariffs: Sequence[Tariff | FareTariff]) -> int | None:
    """The price by the tariff in force on the day of the ride, the later of two; None where none prices it.

    A code has no history: by a fare tariff it pays what a lone ride pays, and a journey as its gate took it.
    """
    simple = [tariff for tariff in tariffs if isinstance(tariff, Tariff)]
    if len(simple) < len(tariffs):
        return lone_fare_fen(fare_tariffs(tariffs), _recorded(found))
    return _simple_fen(found, simple)


def _recorded(found: _Readable) -> RecordedTap:
    ride, place = found.ride, found.presented.place
    return RecordedTap(
        found.presented.operator,
        place[1],
        place[2],
        found.code.certificate.holder,
        int(found.at.timestamp()),
        ride.ride,
        ride.line,
        ride.station,
        found.code.certificate.holder_class,
        ride.list_fare_fen,
        ride.linked,
        ride.full_fare,
    )


def _simple_fen(found: _Readable, tariffs: Sequence[Tariff]) -> int | None:
    day, holder_class = found.at.astimezone(CITY_ZONE).date(), found.code.certificate.holder_class
    tariff = tariff_on(tariffs, day)
    if tariff is None or holder_class not in tariff.class_pay_bp or found.ride.ride not in tariff.bands:
        return None
    ride = found.ride
    if ride.amount_fen > tariff.max_fare_fen[ride.ride]:
        return None
    return fare_fen(
        tariff, ride=ride.ride, list_fare_fen=ride.list_fare_fen, holder_class=holder_class,
        linked=ride.linked, full_fare=ride.full_fare,
    )  # fmt: skip


def _in_service(device: Device, at: datetime) -> bool:
    return device.valid_from <= at and (device.valid_to is None or at < device.valid_to)


def _age(day: date, at: datetime) -> int:
    return (day - at.astimezone(CITY_ZONE).date()) // timedelta(days=1)


def _original_first(presented: PresentedRide) -> tuple[bool, Place]:
    return not presented.retried, presented.place


def _in_time(found: _Readable) -> tuple[datetime, Place]:
    return found.at, found.presented.place
