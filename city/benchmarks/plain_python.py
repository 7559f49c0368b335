"""The peer of the night's rules: the same decisions one tap at a time, in Python with dictionaries.

It is what one would write first: every TAC is checked through `cryptography` with the card's own key, and
nothing is left out that the generated day needs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from card.chip.keys import SUITES, CardKeys, Order, purchase_tac
from clearing.devices import Device
from clearing.verdict import WINDOW_DAYS, Verdict
from clearing.wire.batch import RECORD_BYTES, RecordError, Ride, TapRecord
from clearing.wire.bcd import moment_of
from clearing.wire.tariff import Tariff, fare_fen


@dataclass(frozen=True, slots=True)
class Known:
    """What the loop knows beforehand: keys by card, devices by terminal and operator, the hotlist, the tariff, the day.

    Of a listed card it knows since when, and from when every device had to know.
    """

    keys: Mapping[str, CardKeys]
    devices: Mapping[tuple[str, str], Device]
    listed: Mapping[str, tuple[datetime, datetime]]
    tariff: Tariff
    issuer: str
    business_date: date


def decide(bodies: Iterable[tuple[str, bytes]], known: Known) -> Counter[Verdict]:
    """Count the verdicts on every operator's records (64 bytes a tap, no header or trailer), operators in order."""
    counts: Counter[Verdict] = Counter()
    seen: set[bytes] = set()
    believed: dict[str, list[tuple[TapRecord, Device | None]]] = {}
    for operator, body in bodies:
        for start in range(0, len(body), RECORD_BYTES):
            raw = body[start : start + RECORD_BYTES]
            try:
                tap = TapRecord.unpack(raw)
            except RecordError:
                counts[Verdict.MALFORMED] += 1
                continue
            if raw in seen:
                counts[Verdict.DUPLICATE] += 1
                continue
            seen.add(raw)
            device = known.devices.get((tap.terminal, operator))
            signed = _signed(tap, known)
            refusal = _disbelief(tap, device, known, signed=signed)
            if refusal is not None:
                counts[refusal] += 1
            if signed:
                believed.setdefault(tap.card_no, []).append((tap, None if refusal else device))
    for taps in believed.values():
        counts.update(_judge_card(taps, known))
    return counts


def _disbelief(tap: TapRecord, device: Device | None, known: Known, *, signed: bool) -> Verdict | None:
    at = moment_of(tap.moment)
    if device is None or at < device.valid_from:
        return Verdict.DEVICE_UNKNOWN
    if device.valid_to is not None and at >= device.valid_to:
        return Verdict.DEVICE_WITHDRAWN
    if tap.card_no not in known.keys or tap.issuer != known.issuer:
        return Verdict.CARD_UNKNOWN
    return None if signed else Verdict.TAC_WRONG


def _signed(tap: TapRecord, known: Known) -> bool:
    """Whether it is one of our cards, and has signed."""
    keys = known.keys.get(tap.card_no)
    if keys is None or tap.issuer != known.issuer:
        return False
    order = Order(tap.kind, tap.amount_fen, bytes.fromhex(tap.terminal))
    tac = purchase_tac(SUITES[0], keys, order, terminal_sequence=tap.terminal_sequence, moment=tap.moment)
    return tac == tap.tac


def _judge_card(taps: list[tuple[TapRecord, Device | None]], known: Known) -> Iterator[Verdict]:
    """Verdicts on one card's believed taps; those without a device have theirs, but the card made them."""
    alike = Counter(tap.counter for tap, device in taps if device is not None)
    last: TapRecord | None = None
    for tap, device in sorted(taps, key=lambda one: one[0].counter):
        if device is not None and alike[tap.counter] > 1:
            yield Verdict.COUNTER_CONFLICT
            continue
        follows = last is None or (
            tap.counter == last.counter + 1
            and tap.balance_before_fen == last.balance_before_fen - last.amount_fen
        )
        last = tap
        if device is not None:
            yield _judge_tap(tap, device, known, follows=follows)


def _judge_tap(tap: TapRecord, device: Device, known: Known, *, follows: bool) -> Verdict:
    at = moment_of(tap.moment)
    listed_at, effective_at = known.listed.get(tap.card_no, (None, None))
    if listed_at is not None and effective_at is not None and at >= listed_at:
        return Verdict.HOTLISTED if at >= effective_at else Verdict.HOTLISTED_GRACE
    if (known.business_date - at.date()).days > WINDOW_DAYS:
        return Verdict.TOO_LATE
    price_fen = fare_fen(
        known.tariff, ride=tap.ride, list_fare_fen=tap.list_fare_fen, holder_class=tap.holder_class,
        linked=tap.linked, full_fare=tap.full_fare,
    )  # fmt: skip
    limit_fen = min(known.tariff.max_fare_fen[tap.ride], device.max_amount_fen or tap.amount_fen)
    unpaid = tap.amount_fen == 0 and tap.ride is not Ride.METRO_ENTRY and price_fen > 0
    if tap.amount_fen > limit_fen or unpaid:
        return Verdict.AMOUNT_OUT_OF_BOUNDS
    if not follows:
        return Verdict.BALANCE_GAP
    return Verdict.ACCEPTED if tap.amount_fen == price_fen else Verdict.PRICE_DIFFERS
