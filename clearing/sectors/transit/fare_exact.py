"""Whether the exact fractions of a tariff's discounts fit the kernel's 64 bits."""

from collections.abc import Sequence
from math import gcd

from clearing.sectors.transit.base_fare import fares_fen
from clearing.sectors.transit.fare_tariff import (
    MOST_FEN,
    WHOLE_BP,
    Discount,
    EntryExit,
    FareTariff,
    ListCharge,
    PayBands,
    PayFixed,
    PayLess,
    PayShare,
    PaySteps,
    PayTogether,
)

ROOM = 2**61


def fits_words(tariffs: Sequence[FareTariff]) -> bool:
    """Whether no leg's fraction can outgrow 64 bits, whatever discounts come together.

    Real tariffs are far below; one that stacks four shares such as 33.33% is not, and is priced tap by tap.
    """
    return all(
        _largest_fen(tariff) * _denominator(tariff, mode, category) < ROOM
        for tariff in tariffs
        for mode in tariff.modes
        for category in tariff.categories
    )


def _largest_fen(tariff: FareTariff) -> int:
    amounts = [1, *(fen for fare in tariff.fares for fen in fares_fen(tariff, fare))]
    for mode in tariff.modes.values():
        if isinstance(mode, EntryExit):
            for charge in (mode.missing_exit, mode.missing_entry):
                amounts += [charge.most_fen] if isinstance(charge, ListCharge) else []
    for discount in tariff.discounts:
        match discount.pay:
            case PayLess():
                amounts.append(discount.pay.off_fen)
            case PayFixed():
                amounts.append(discount.pay.fare_fen)
            case PayTogether():
                amounts.append(discount.pay.most_fen)
            case PayBands():
                amounts += [band.up_to_fen or 0 for band in discount.pay.bands]
    return min(max(amounts), MOST_FEN)


def _denominator(tariff: FareTariff, mode: str, category: str) -> int:
    product = 1
    for discount in tariff.discounts:
        scope = discount.scope
        if (not scope.modes or mode in scope.modes) and (
            not scope.categories or category in scope.categories
        ):
            product *= _own_denominator(discount)
    return product


def _own_denominator(discount: Discount) -> int:
    match discount.pay:
        case PayShare():
            return WHOLE_BP // gcd(WHOLE_BP, discount.pay.pay_bp)
        case PayBands():
            return WHOLE_BP // gcd(WHOLE_BP, *(band.pay_bp for band in discount.pay.bands))
        case PaySteps():
            return max((WHOLE_BP // gcd(WHOLE_BP, step.pay_bp) for step in discount.pay.steps), default=1)
    return 1
