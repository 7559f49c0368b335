"""What the legs of a card cost: a pure function of the card's history and the tariffs (docs/fares.md).

A leg's fare goes through the discounts in their order, exactly; then it is rounded, once, half up; then the
caps take what is above them. Penalties stay outside all that.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from types import MappingProxyType

from clearing.sectors.transit.base_fare import Base, base_fare, fits
from clearing.sectors.transit.fare_legs import Leg, LegKind, legs_of
from clearing.sectors.transit.fare_taps import Holding, Tap, Unpriced
from clearing.sectors.transit.fare_tariff import (
    WHOLE_BP,
    Band,
    Discount,
    EntryExit,
    FareTariff,
    PayBands,
    PayFixed,
    PayLess,
    PayShare,
    PaySteps,
    PayTogether,
    Period,
    Transfer,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step to a price: which rule, why, and what the leg costs after it, in fen, exactly."""

    rule: str
    why: str
    after: Fraction


@dataclass(frozen=True, slots=True)
class Priced:
    """A leg with its price, of which `penalty_fen` is outside discounts and caps; or why it has none."""

    leg: Leg
    price_fen: int
    penalty_fen: int = 0
    refusal: Unpriced | None = None
    steps: tuple[Step, ...] = ()


Settled = Mapping[str, int | None]
"""What earlier nights have settled, by the id of the tap: its price in fen, None where it had none."""
NOTHING_SETTLED: Settled = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Judged:
    """A leg's price, and what the card is to remember of it: nothing where `base` is None."""

    priced: Priced
    base: Base | None = None
    given: frozenset[str] = frozenset()
    used: frozenset[tuple[str, date]] = frozenset()


@dataclass(slots=True)
class _Chain:
    """Legs that were linked by transfers: the first, how many transfers, what they paid together."""

    first: Leg
    transfers: int
    paid_fen: int


@dataclass(slots=True)
class _Card:
    """What the legs so far have left: sums and uses by rule and period, chains of transfers, the leg before."""

    holdings: tuple[Holding, ...]
    paid: dict[tuple[str, date], int] = field(default_factory=lambda: defaultdict(int))
    used: dict[tuple[str, date], int] = field(default_factory=lambda: defaultdict(int))
    chains: dict[str, _Chain] = field(default_factory=dict)
    before: tuple[Leg, str] | None = None


def price_cards(
    tariffs: tuple[FareTariff, ...],
    taps: Iterable[Tap],
    holdings: Iterable[Holding],
    as_of: datetime,
    settled: Settled = NOTHING_SETTLED,
) -> Mapping[str, tuple[Priced, ...]]:
    """Price all legs of all cards; `as_of` says which entries may still find their exits."""
    by_card: dict[str, list[Tap]] = defaultdict(list)
    for tap in taps:
        by_card[tap.card].append(tap)
    bought: dict[str, list[Holding]] = defaultdict(list)
    for holding in holdings:
        bought[holding.card].append(holding)
    return {
        card: price_card(tariffs, by_card[card], bought[card], as_of, settled) for card in sorted(by_card)
    }


def price_card(
    tariffs: tuple[FareTariff, ...],
    taps: Iterable[Tap],
    holdings: Iterable[Holding],
    as_of: datetime,
    settled: Settled = NOTHING_SETTLED,
) -> tuple[Priced, ...]:
    """Price all legs of one card, in the order of the taps that pay; in which order taps are given is all one.

    Taps in `settled` keep the price that stands there. They count in full, whether they come before the others
    or after: so no cap is exceeded by a tap that comes late.
    """
    taps = tuple(taps)
    past = _Card(tuple(holdings))
    left: dict[str, tuple[_Judged, int]] = {}
    for leg in legs_of(tariffs, [tap for tap in taps if tap.id in settled], as_of):
        judged, settled_fen = _judge(past, leg), settled[leg.pays.id]
        if judged.base is not None and settled_fen is not None:
            counted_fen = max(0, settled_fen - judged.priced.penalty_fen)
            left[leg.pays.id] = judged, counted_fen
            _count(past, judged, counted_fen)
            _follow(past, judged, counted_fen)
    card = _Card(tuple(holdings), past.paid, past.used)
    found = []
    for leg in legs_of(tariffs, taps, as_of):
        if leg.pays.id in settled:
            found.append(Priced(leg, settled[leg.pays.id] or 0))
            if leg.pays.id in left:
                _follow(card, *left[leg.pays.id])
            continue
        judged = _judge(card, leg)
        found.append(judged.priced)
        if judged.base is not None:
            counted_fen = judged.priced.price_fen - judged.priced.penalty_fen
            _count(card, judged, counted_fen)
            _follow(card, judged, counted_fen)
    return tuple(found)


def period_start(per: Period, day: date) -> date:
    """The first day of the day's day, week (Monday) or month."""
    match per:
        case Period.DAY:
            return day
        case Period.WEEK:
            return day - timedelta(days=day.weekday())
        case Period.MONTH:
            return day.replace(day=1)


def rounded(due: Fraction) -> int:
    """Whole fen, half up; `due` is not negative."""
    return (2 * due.numerator + due.denominator) // (2 * due.denominator)


def _judge(card: _Card, leg: Leg) -> _Judged:
    """What a leg costs after those that the card remembers; the card is left as it is."""
    if leg.kind is LegKind.OPEN:
        return _Judged(Priced(leg, 0, steps=(Step("entry", "the journey is not over yet", Fraction(0)),)))
    tariff = leg.tariff
    if tariff is None:
        return _Judged(Priced(leg, 0, refusal=Unpriced.NO_TARIFF))
    base = base_fare(tariff, leg)
    if isinstance(base, Unpriced):
        return _Judged(Priced(leg, 0, refusal=base))
    due = Fraction(base.amount_fen)
    steps = [Step(base.fare, base.because, due)]
    if base.penalty:
        return _Judged(Priced(leg, base.amount_fen, base.amount_fen, steps=tuple(steps)))
    if leg.pays.full_fare:
        steps.append(Step("full fare", "no discounts and no caps", due))
        return _Judged(_with_overtime(tariff, leg, base.amount_fen, steps))
    given, used = set(), set()
    for discount in tariff.discounts:
        if not fits(tariff, discount.scope, leg, base.fare) or (discount.only_linked and not leg.pays.linked):
            continue
        against = _against(card, tariff, discount, leg)
        if against:
            steps.append(Step(discount.name, against, due))
            continue
        after, why = _reduced(card, tariff, discount, leg, due)
        if after < due and discount.quota:
            used.add(_key(tariff, discount.name, discount.quota.per, leg))
        steps.append(Step(discount.name, why, after))
        due = after
        given.add(discount.name)
        if discount.last:
            break
    price_fen = _capped(card, tariff, leg, base.fare, rounded(due), steps)
    priced = _with_overtime(tariff, leg, price_fen, steps)
    return _Judged(priced, base, frozenset(given), frozenset(used))


def _against(card: _Card, tariff: FareTariff, discount: Discount, leg: Leg) -> str:
    """Why a discount whose scope fits is not given; empty where it is."""
    if discount.needs_product and not _holds(card, tariff, discount.needs_product, leg):
        return f"not given: the card does not hold {discount.needs_product}"
    if quota := discount.quota:
        used = card.used[_key(tariff, discount.name, quota.per, leg)]
        if used >= quota.legs:
            return f"not given: its quota of {quota.legs} a {quota.per} is used up"
    if discount.transfer:
        return _no_transfer(card, discount.name, discount.transfer, leg)
    return ""


def _holds(card: _Card, tariff: FareTariff, name: str, leg: Leg) -> bool:
    product = next((product for product in tariff.products if product.name == name), None)
    if product is None:
        return False
    today = tariff.day_of(leg.began.at)
    for holding in card.holdings:
        if holding.product == name and holding.bought_at <= leg.began.at:
            end = period_start(product.per, tariff.day_of(holding.bought_at))
            for _ in range(product.periods):
                end = period_start(product.per, end + timedelta(days=_LONGEST_DAYS[product.per]))
            if today < end:
                return True
    return False


_LONGEST_DAYS = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 31}


def _no_transfer(card: _Card, name: str, rule: Transfer, leg: Leg) -> str:
    chain = card.chains.get(name)
    if card.before is None or chain is None:
        return "not given: no leg before to transfer from"
    before, fare = card.before
    if rule.after_modes and before.pays.mode not in rule.after_modes:
        return f"not given: the leg before was {before.pays.mode}"
    if rule.after_fares and fare not in rule.after_fares:
        return f"not given: the leg before was priced by {fare}"
    if rule.other_line and before.pays.line == leg.pays.line:
        return f"not given: the leg before was on line {leg.pays.line}, too"
    if chain.transfers >= rule.most:
        return f"not given: {rule.most} already in this chain"
    since = {"begin": before.began.at, "end": before.pays.at, "first": chain.first.began.at}
    gap = leg.began.at - since[rule.measured_from]
    if not timedelta(0) <= gap <= timedelta(minutes=rule.within_min):
        return f"not given: not within {rule.within_min} minutes"
    return ""


def _reduced(
    card: _Card, tariff: FareTariff, discount: Discount, leg: Leg, due: Fraction
) -> tuple[Fraction, str]:
    """What is left of the fare, and why."""
    pay = discount.pay
    match pay:
        case PayShare():
            return due * pay.pay_bp / WHOLE_BP, f"pays {share_text(pay.pay_bp)}"
        case PayLess():
            return max(Fraction(0), due - pay.off_fen), f"pays {pay.off_fen} fen less"
        case PayFixed():
            return min(due, Fraction(pay.fare_fen)), f"pays at most {pay.fare_fen} fen"
        case PayBands():
            return _banded(pay.bands, due), "pays by bands"
        case PaySteps():
            spent_fen = card.paid[_key(tariff, discount.name, pay.per, leg)]
            pay_bp = next((s.pay_bp for s in reversed(pay.steps) if s.from_fen <= spent_fen), WHOLE_BP)
            return (
                due * pay_bp / WHOLE_BP,
                f"pays {share_text(pay_bp)} after {spent_fen} fen this {pay.per}",
            )
        case PayTogether():
            chain = card.chains.get(discount.name)
            left_fen = max(0, pay.most_fen - (chain.paid_fen if chain and discount.transfer else 0))
            return min(due, Fraction(left_fen)), f"the chain pays together at most {pay.most_fen} fen"


def share_text(pay_bp: int) -> str:
    """Basis points as percent, such as `95%` or `87.5%`."""
    whole, part = divmod(pay_bp, 100)
    return f"{whole}%" if not part else f"{whole}.{part:02d}".rstrip("0") + "%"


def _banded(bands: tuple[Band, ...], fare: Fraction) -> Fraction:
    due, floor = Fraction(0), Fraction(0)
    for band in bands:
        top = fare if band.up_to_fen is None else min(fare, Fraction(band.up_to_fen))
        due += max(Fraction(0), top - floor) * band.pay_bp / WHOLE_BP
        floor = max(floor, top)
    return due


def _capped(card: _Card, tariff: FareTariff, leg: Leg, fare: str, price_fen: int, steps: list[Step]) -> int:
    """The price that every cap in whose scope the leg is leaves room for."""
    for cap in tariff.caps:
        if fits(tariff, cap.scope, leg, fare):
            paid_fen = card.paid[_key(tariff, cap.name, cap.per, leg)]
            room_fen = max(0, cap.limit_fen - paid_fen)
            if room_fen < price_fen:
                price_fen = room_fen
                why = f"{paid_fen} of {cap.limit_fen} fen paid this {cap.per}"
                steps.append(Step(cap.name, why, Fraction(price_fen)))
    return price_fen


def _count(card: _Card, judged: _Judged, counted_fen: int) -> None:
    """Remember what the leg has cost and used in its periods."""
    leg, tariff, base = judged.priced.leg, judged.priced.leg.tariff, judged.base
    assert tariff is not None and base is not None
    for cap in tariff.caps:
        if fits(tariff, cap.scope, leg, base.fare):
            card.paid[_key(tariff, cap.name, cap.per, leg)] += counted_fen
    for discount in tariff.discounts:
        if isinstance(discount.pay, PaySteps) and fits(tariff, discount.scope, leg, base.fare):
            card.paid[_key(tariff, discount.name, discount.pay.per, leg)] += counted_fen
    for key in judged.used:
        card.used[key] += 1


def _follow(card: _Card, judged: _Judged, counted_fen: int) -> None:
    """Remember the leg as the one before, and in chains of transfers."""
    leg, tariff, base = judged.priced.leg, judged.priced.leg.tariff, judged.base
    assert tariff is not None and base is not None
    for discount in tariff.discounts:
        if discount.transfer:
            chain = card.chains.get(discount.name)
            if chain is not None and discount.name in judged.given:
                chain.transfers += 1
                chain.paid_fen += counted_fen
            else:
                card.chains[discount.name] = _Chain(leg, 0, counted_fen)
    card.before = (leg, base.fare)


def _with_overtime(tariff: FareTariff, leg: Leg, price_fen: int, steps: list[Step]) -> Priced:
    mode = tariff.modes[leg.pays.mode]
    over_fen = 0
    if isinstance(mode, EntryExit) and leg.pays.at - leg.began.at > timedelta(minutes=mode.limit_min):
        over_fen = mode.overtime_fen
        why = f"more than {mode.limit_min} minutes in the paid area: {over_fen} fen more"
        steps.append(Step("overtime", why, Fraction(price_fen + over_fen)))
    return Priced(leg, price_fen + over_fen, over_fen, steps=tuple(steps))


def _key(tariff: FareTariff, rule: str, per: Period, leg: Leg) -> tuple[str, date]:
    return rule, period_start(per, tariff.day_of(leg.began.at))
