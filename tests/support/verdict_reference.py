"""What the night must decide, said again slowly and obviously: one tap after another, in plain Python."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from clearing.devices import Device
from clearing.interop.centres import Answers, Centre
from clearing.verdict import Money, Verdict
from clearing.wire.bcd import CITY_ZONE, moment_of
from clearing.wire.record import RecordError, TapRecord
from clearing.wire.ride import Ride
from clearing.wire.tariff import Tariff, fare_fen

Key = tuple[str, int, int]
WINDOW_DAYS = 30
NEVER_MADE = {
    Verdict.CARD_UNKNOWN, Verdict.TAC_WRONG, Verdict.COUNTER_CONFLICT, Verdict.ROUTED, Verdict.ISSUER_REFUSED,
}  # fmt: skip


@dataclass
class Kept:
    """A tap that came before a night, and what became of it last."""

    key: Key
    raw: bytes
    presented_on: date
    verdict: Verdict = Verdict.ACCEPTED
    money: Money = Money.NONE
    paid_fen: int = 0

    @property
    def record(self) -> TapRecord:
        return TapRecord.unpack(self.raw)

    @property
    def readable(self) -> bool:
        try:
            TapRecord.unpack(self.raw)
        except RecordError:
            return False
        return True

    @property
    def at(self) -> datetime:
        return moment_of(self.record.moment)

    @property
    def identity(self) -> tuple[str, int]:
        return self.record.card_no, self.record.counter


def _within(at: datetime, valid_from: datetime, valid_until: datetime | None) -> bool:
    return valid_from <= at and (valid_until is None or at < valid_until)


@dataclass
class Reference:
    """Registries and everything presented so far; `night` decides one more night."""

    devices: Sequence[Device]
    issuers: Mapping[str, str]
    tariffs: Sequence[Tariff]
    tac_ok: Callable[[TapRecord], bool]
    hotlist: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    valid: dict[str, tuple[date, date]] = field(default_factory=dict)
    loads: list[tuple[str, datetime, int]] = field(default_factory=list)
    centres: Sequence[Centre] = ()
    answers: Sequence[Answers] = ()
    kept: dict[Key, Kept] = field(default_factory=dict)
    first_counter: dict[str, int] = field(default_factory=dict)

    def night(self, day: date, presented: Mapping[Key, bytes]) -> set[str]:
        """Decide all taps in suspense and the presented ones; the cards that turned out to be cloned."""
        waiting = [tap for tap in self.kept.values() if tap.money is Money.SUSPENDED]
        retried = [tap for tap in waiting if tap.verdict is not Verdict.ROUTED]
        decided = [
            tap
            for tap in self.kept.values()
            if tap not in retried and tap.verdict not in (Verdict.MALFORMED, Verdict.DUPLICATE)
        ]
        fresh = [Kept(key, raw, day) for key, raw in presented.items()]
        tonight = sorted(retried, key=lambda tap: tap.key) + sorted(fresh, key=lambda tap: tap.key)
        readable = [tap for tap in tonight if tap.readable]
        originals = self._originals(readable, decided)
        believed = [
            tap
            for tap in originals
            if self._ours(tap)
            and (self.tac_ok(tap.record) or (tap in retried and self._proved(tap, originals, decided)))
        ]
        twins = self._twins(believed, decided)
        chain = [tap for tap in believed if tap not in twins]
        for tap in chain:
            card_no, counter = tap.identity
            self.first_counter[card_no] = min(counter, self.first_counter.get(card_no, counter))
        before = chain + [tap for tap in decided if self._ours(tap) and tap.verdict not in NEVER_MADE]
        for tap in tonight:
            if not tap.readable:
                tap.verdict = Verdict.MALFORMED
            elif tap not in originals:
                tap.verdict = Verdict.DUPLICATE
            else:
                tap.verdict = self._verdict(tap, tap in believed, tap in twins, before)
            self._settle(tap, day)
            self.kept[tap.key] = tap
        return {tap.record.card_no for tap in twins}

    def _verdict(self, tap: Kept, believed: bool, twin: bool, before: Iterable[Kept]) -> Verdict:
        place = self._device(tap)
        if place is not None:
            return place
        routed = self._routed(tap)
        if not routed and (doubt := self._doubt(tap, believed, twin)) is not None:
            return doubt
        listed = self.hotlist.get(tap.record.card_no)
        if listed and tap.at >= listed[1]:
            return Verdict.HOTLISTED
        first, last = self.valid.get(tap.record.card_no, (date.min, date.max))
        if tap.at.astimezone(CITY_ZONE).date() < first:
            return Verdict.CARD_NOT_YET_VALID
        if tap.at.astimezone(CITY_ZONE).date() > last:
            return Verdict.CARD_EXPIRED
        if listed and tap.at >= listed[0] and not routed:
            return Verdict.HOTLISTED_GRACE
        if (tap.presented_on - tap.at.date()).days > WINDOW_DAYS:
            return Verdict.TOO_LATE
        if self._out_of_bounds(tap):
            return Verdict.AMOUNT_OUT_OF_BOUNDS
        if routed:
            return Verdict.ROUTED
        if self._gap(tap, before):
            return Verdict.BALANCE_GAP
        return Verdict.ACCEPTED if self._price_fen(tap) == tap.record.amount_fen else Verdict.PRICE_DIFFERS

    def _doubt(self, tap: Kept, believed: bool, twin: bool) -> Verdict | None:
        if not self._ours(tap):
            return Verdict.CARD_UNKNOWN
        if not believed:
            return Verdict.TAC_WRONG
        return Verdict.COUNTER_CONFLICT if twin else None

    def _settle(self, tap: Kept, day: date) -> None:
        tap.money, tap.paid_fen = tap.verdict.money, 0
        retried = tap.presented_on != day
        if tap.verdict is Verdict.TAC_WRONG and retried and (day - tap.at.date()).days > WINDOW_DAYS:
            tap.money = Money.REJECTED
        for_good = (Verdict.CARD_UNKNOWN, Verdict.AMOUNT_OUT_OF_BOUNDS)
        if tap.verdict in for_good and self._centre(tap) is not None:
            tap.money = Money.REJECTED
        if tap.money is Money.PAID:
            price_fen = self._price_fen(tap)
            amount_fen = tap.record.amount_fen
            tap.paid_fen = amount_fen if price_fen is None else min(amount_fen, price_fen)

    def _originals(self, readable: Sequence[Kept], decided: Sequence[Kept]) -> list[Kept]:
        known = {tap.raw for tap in decided}
        originals = []
        # Retried ones come first, and of all of them those whose operator has the terminal.
        for tap in sorted(readable, key=lambda tap: not self._has_terminal(tap)):
            if tap.raw not in known:
                known.add(tap.raw)
                originals.append(tap)
        return originals

    def _has_terminal(self, tap: Kept) -> bool:
        """Whether the operator has that terminal; another city's centre has those that nobody here has."""
        if self._device(tap) is not None:
            return False
        return not self._presented_abroad(tap) or not any(
            device.terminal == tap.record.terminal and _within(tap.at, device.valid_from, device.valid_to)
            for device in self.devices
        )

    def _device(self, tap: Kept) -> Verdict | None:
        record = tap.record
        if self._presented_abroad(tap):
            return None if self._centre(tap) is not None else Verdict.DEVICE_UNKNOWN
        begun = [
            device
            for device in self.devices
            if device.terminal == record.terminal
            and device.operator == tap.key[0]
            and device.valid_from <= tap.at
        ]
        if not begun:
            return Verdict.DEVICE_UNKNOWN
        if all(device.valid_to is not None and device.valid_to <= tap.at for device in begun):
            return Verdict.DEVICE_WITHDRAWN
        return None

    def _ours(self, tap: Kept) -> bool:
        return self.issuers.get(tap.record.card_no) == tap.record.issuer

    def _proved(self, tap: Kept, originals: Iterable[Kept], decided: Iterable[Kept]) -> bool:
        record = tap.record
        for other in [*originals, *(other for other in decided if other.verdict not in NEVER_MADE)]:
            after = other.record
            if (
                self._ours(other)
                and self.tac_ok(after)
                and (after.card_no, after.counter) == (record.card_no, record.counter + 1)
                and after.balance_before_fen == record.balance_before_fen - record.amount_fen
            ):
                return True
        return False

    def _twins(self, believed: Sequence[Kept], decided: Iterable[Kept]) -> list[Kept]:
        witnesses = [tap for tap in believed if self._device(tap) is None]
        settled = {tap.identity for tap in decided if self._ours(tap) and tap.verdict not in NEVER_MADE}
        return [
            tap
            for tap in witnesses
            if tap.identity in settled
            or any(other is not tap and other.identity == tap.identity for other in witnesses)
        ]

    def answered(self, key: Key, *, accepted: bool) -> None:
        """A centre says what becomes of a routed tap."""
        tap = self.kept[key]
        if not accepted:
            tap.verdict, tap.money = Verdict.ISSUER_REFUSED, Money.REJECTED
            return
        price_fen, amount_fen = self._price_fen(tap), tap.record.amount_fen
        assert price_fen is not None, "what has no price is not routed"
        tap.verdict = Verdict.ACCEPTED if price_fen == amount_fen else Verdict.PRICE_DIFFERS
        tap.money, tap.paid_fen = Money.PAID, min(price_fen, amount_fen)

    def _centre(self, tap: Kept) -> Centre | None:
        """The centre that presents this tap, while it is one."""
        for centre in self.centres:
            if centre.code == tap.key[0] and _within(tap.at, centre.valid_from, centre.valid_until):
                return centre
        return None

    def _presented_abroad(self, tap: Kept) -> bool:
        return tap.key[0] in [centre.code for centre in self.centres]

    def _routed(self, tap: Kept) -> bool:
        if self._ours(tap) or self._presented_abroad(tap):
            return False
        return any(
            one.issuer == tap.record.issuer and _within(tap.at, one.valid_from, one.valid_until)
            for one in self.answers
        )

    def _out_of_bounds(self, tap: Kept) -> bool:
        record, price_fen = tap.record, self._price_fen(tap)
        centre = self._centre(tap)
        if centre is not None:
            return record.amount_fen > centre.max_amount_fen
        if price_fen is None:
            return True
        limits_fen = [device.max_amount_fen for device in self.devices if device.terminal == record.terminal]
        sold = record.ride is Ride.PURCHASE
        most_fen = 100_000 if sold else self._tariff(tap).max_fare_fen[record.ride]
        too_much = record.amount_fen > most_fen or any(
            limit_fen is not None and record.amount_fen > limit_fen for limit_fen in limits_fen
        )
        nothing = record.amount_fen == 0 and record.ride is not Ride.METRO_ENTRY and price_fen > 0
        return too_much or nothing

    def _gap(self, tap: Kept, before: Iterable[Kept]) -> bool:
        record = tap.record
        if record.counter <= self.first_counter[record.card_no]:
            return False
        for other in before:
            last = other.record
            if (last.card_no, last.counter) == (record.card_no, record.counter - 1):
                loaded_fen = sum(
                    amount_fen
                    for card_no, at, amount_fen in self.loads
                    if card_no == record.card_no and other.at < at <= tap.at
                )
                if record.balance_before_fen == last.balance_before_fen - last.amount_fen + loaded_fen:
                    return False
        return True

    def _tariff(self, tap: Kept) -> Tariff:
        in_force = [tariff for tariff in self.tariffs if tariff.in_force(tap.at.date())]
        return max(in_force, key=lambda tariff: (tariff.valid_from, tariff.version))

    def _price_fen(self, tap: Kept) -> int | None:
        if self._centre(tap) is not None:
            return tap.record.amount_fen
        if tap.record.ride is Ride.PURCHASE:
            return tap.record.list_fare_fen
        if not any(tariff.in_force(tap.at.date()) for tariff in self.tariffs):
            return None
        record = tap.record
        return fare_fen(
            self._tariff(tap),
            ride=record.ride,
            list_fare_fen=record.list_fare_fen,
            holder_class=record.holder_class,
            linked=record.linked,
            full_fare=record.full_fare,
        )
