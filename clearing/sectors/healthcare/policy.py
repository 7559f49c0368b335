"""Who pays which part of a hospital bill: a pure function of the bill, the policy and the year so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from ledger.money import split_fen

WHOLE_BP = 10_000
LEVELS = (1, 2, 3)
"""Hospital levels (一级, 二级, 三级): the higher, the smaller the fund's share."""


class CatalogueClass(StrEnum):
    """What the insurer's catalogue says of an item (甲类, 乙类, 丙类)."""

    A = "A"
    B = "B"
    C = "C"


class Category(StrEnum):
    """How a holder is insured (在职职工, 城乡居民, 退休职工)."""

    EMPLOYEE = "employee"
    RESIDENT = "resident"
    RETIRED = "retired"


class Part(StrEnum):
    """What the fund leaves of a bill to the holder, in the order in which a bill shows it."""

    DEDUCTIBLE = "deductible"
    CO_PAYMENT = "co_payment"
    FIRST_SHARE = "first_share"
    ABOVE_CEILING = "above_ceiling"
    NOT_COVERED = "not_covered"


@dataclass(frozen=True, slots=True)
class Rates:
    """What a policy grants a category: a deductible and the fund's ceiling a year, its share by level.

    `account_pays` are the parts that the personal medical account may be used for.
    """

    deductible_fen: int
    ceiling_fen: int
    fund_pay_bp: Mapping[int, int]
    account_pays: frozenset[Part]


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a pool for treatment from `valid_from` through `valid_to` (None: until replaced)."""

    name: str
    version: int
    pool: str
    valid_from: date
    valid_to: date | None
    rates: Mapping[Category, Rates]

    def in_force(self, day: date) -> bool:
        """Whether treatment on this city day is split by this policy."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a bill; `first_share_bp` is what the patient pays first of a class B item, else 0."""

    code: str
    catalogue_class: CatalogueClass
    amount_fen: int
    first_share_bp: int = 0


@dataclass(frozen=True, slots=True)
class YearSoFar:
    """What a holder's bills of the year have used of the deductible, and had from the fund."""

    deductible_fen: int = 0
    fund_fen: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """Who pays (fund, personal account, patient) and why the fund does not pay all (the five parts).

    total = fund + account + patient, and total - fund = the sum of the parts; both to the fen.
    """

    total_fen: int
    fund_fen: int
    account_fen: int
    patient_fen: int
    deductible_fen: int
    co_payment_fen: int
    first_share_fen: int
    above_ceiling_fen: int
    not_covered_fen: int


def split_bill(
    policy: Policy,
    items: Sequence[Item],
    *,
    category: Category,
    level: int,
    used: YearSoFar,
    account_fen: int,
) -> Split:
    """Split a bill among the fund, the personal account (holding `account_fen`) and the patient.

    Class C is not covered; of class B the patient pays the first share; of what remains the patient pays
    the rest of the year's deductible; the fund pays its share of what is above, up to its ceiling of the
    year; the personal account pays what it may and can of all that the fund does not. Shares are rounded
    by `split_fen`: half a fen of an item's first share goes to the patient, half a fen of the fund's share
    to the fund. Raises KeyError for a level that the policy does not know.
    """
    rates = policy.rates[category]
    total_fen = sum(item.amount_fen for item in items)
    parts_fen = dict.fromkeys(Part, 0)
    for item in items:
        if item.catalogue_class is CatalogueClass.C:
            parts_fen[Part.NOT_COVERED] += item.amount_fen
        elif item.catalogue_class is CatalogueClass.B:
            parts_fen[Part.FIRST_SHARE] += _share_fen(item.amount_fen, item.first_share_bp)
    eligible_fen = total_fen - parts_fen[Part.NOT_COVERED] - parts_fen[Part.FIRST_SHARE]
    parts_fen[Part.DEDUCTIBLE] = min(eligible_fen, max(0, rates.deductible_fen - used.deductible_fen))
    shared_fen = eligible_fen - parts_fen[Part.DEDUCTIBLE]
    granted_fen = _share_fen(shared_fen, rates.fund_pay_bp[level])
    fund_fen = min(granted_fen, max(0, rates.ceiling_fen - used.fund_fen))
    parts_fen[Part.CO_PAYMENT] = shared_fen - granted_fen
    parts_fen[Part.ABOVE_CEILING] = granted_fen - fund_fen
    allowed_fen = sum(amount_fen for part, amount_fen in parts_fen.items() if part in rates.account_pays)
    from_account_fen = min(account_fen, allowed_fen)
    return Split(
        total_fen,
        fund_fen,
        from_account_fen,
        total_fen - fund_fen - from_account_fen,
        parts_fen[Part.DEDUCTIBLE],
        parts_fen[Part.CO_PAYMENT],
        parts_fen[Part.FIRST_SHARE],
        parts_fen[Part.ABOVE_CEILING],
        parts_fen[Part.NOT_COVERED],
    )


def _share_fen(amount_fen: int, share_bp: int) -> int:
    share, _rest = split_fen(amount_fen, (share_bp, WHOLE_BP - share_bp))
    return share
