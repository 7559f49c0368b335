"""A hospital's bill: what makes it acceptable, and what its holder would pay. A pure decision on facts."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from clearing.sectors.healthcare.claims import State
from clearing.sectors.healthcare.policy import (
    WHOLE_BP,
    CatalogueClass,
    Category,
    Item,
    Policy,
    Split,
    YearSoFar,
    split_bill,
)
from ledger.entry import MAX_AMOUNT_FEN

MOST_ITEMS: Final = 1_000
_BILL_NO: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}")
_ITEM_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,31}")


@dataclass(frozen=True, slots=True)
class Bill:
    """What a hospital charges a holder for treatment on a city day; `bill_no` is the hospital's own."""

    hospital: str
    bill_no: str
    holder: str
    treated_on: date
    items: tuple[Item, ...]

    @property
    def reference(self) -> str:
        """The natural key, which the insurer and the ledger know the bill by."""
        return f"hospital:{self.hospital}:{self.bill_no}"

    @property
    def digest(self) -> bytes:
        """SHA-256 of the content: what makes a bill the same."""
        content = json.dumps(asdict(self), default=date.isoformat, separators=(",", ":"))
        return hashlib.sha256(content.encode("ascii")).digest()


@dataclass(frozen=True, slots=True)
class Agreed:
    """Who pays what as the patient saw it in the preview, in fen."""

    fund_fen: int
    account_fen: int
    patient_fen: int

    @classmethod
    def of(cls, split: "Split | BillRecord") -> "Agreed":
        """What a split shows the patient."""
        return cls(split.fund_fen, split.account_fen, split.patient_fen)


class BillRefusal(StrEnum):
    """Why a bill is not settled or cancelled, in order of precedence: the first that applies."""

    BILL_NO_MALFORMED = "bill_no_malformed"
    NO_ITEMS = "no_items"
    ITEM_MALFORMED = "item_malformed"
    BILL_TAKEN = "bill_taken"
    BILL_UNKNOWN = "bill_unknown"
    NOTHING_TO_CANCEL = "nothing_to_cancel"
    HOSPITAL_UNKNOWN = "hospital_unknown"
    TREATMENT_AHEAD = "treatment_ahead"
    HOLDER_UNKNOWN = "holder_unknown"
    HOLDER_LOCKED = "holder_locked"
    NOT_INSURED = "not_insured"
    NO_POLICY = "no_policy"
    SPLIT_CHANGED = "split_changed"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class BillRefused:
    """The bill changed nothing, and why."""

    reference: str
    reason: BillRefusal
    message: str


@dataclass(frozen=True, slots=True)
class BillFacts:
    """What the decision on a bill needs to know. The pockets are None where there is no such holder.

    `account_fen` and `wallet_fen` are what the pockets hold less what bills in hand have been promised.
    """

    level: int | None
    category: Category | None
    policy: Policy | None
    used: YearSoFar
    account_fen: int | None
    wallet_fen: int | None
    locked: bool
    today: date


@dataclass(frozen=True, slots=True)
class BillRecord:
    """A bill in our books: the split agreed to, where it stands, and why where it went otherwise."""

    reference: str
    hospital: str
    bill_no: str
    holder: str
    treated_on: date
    level: int
    category: Category
    pool: str
    policy_version: int
    total_fen: int
    fund_fen: int
    account_fen: int
    patient_fen: int
    deductible_fen: int
    co_payment_fen: int
    first_share_fen: int
    above_ceiling_fen: int
    not_covered_fen: int
    state: State
    why: str
    insurer_no: str
    opened_at: datetime
    paid_at: datetime | None
    changed_at: datetime
    claimed_on: date | None


def flaw(bill: Bill) -> BillRefused | None:
    """What makes a bill impossible whatever is in the books, or None."""
    if not _BILL_NO.fullmatch(bill.bill_no):
        return _refused(
            bill,
            BillRefusal.BILL_NO_MALFORMED,
            f"bill_no {bill.bill_no!r} is not 1 to 40 letters, digits and hyphens; number the bill so",
        )
    if not 1 <= len(bill.items) <= MOST_ITEMS:
        return _refused(
            bill, BillRefusal.NO_ITEMS, f"the bill has {len(bill.items)} items; list 1 to {MOST_ITEMS}"
        )
    for number, item in enumerate(bill.items, 1):
        wrong = _item_flaw(item)
        if wrong:
            return _refused(bill, BillRefusal.ITEM_MALFORMED, f"item {number}: {wrong}")
    if sum(item.amount_fen for item in bill.items) > MAX_AMOUNT_FEN:
        return _refused(
            bill, BillRefusal.ITEM_MALFORMED, f"the items come to more than {MAX_AMOUNT_FEN} fen; check them"
        )
    return None


def decide(bill: Bill, facts: BillFacts) -> Split | BillRefused:
    """How a bill without flaw is split, or why it is not."""
    if facts.level is None:
        return _refused(
            bill,
            BillRefusal.HOSPITAL_UNKNOWN,
            f"hospital {bill.hospital} is not registered; register it with its level",
        )
    if bill.treated_on > facts.today:
        return _refused(
            bill,
            BillRefusal.TREATMENT_AHEAD,
            f"treated_on {bill.treated_on} is after {facts.today}; present the bill when the patient was seen",
        )
    if facts.account_fen is None or facts.wallet_fen is None:
        return _refused(
            bill, BillRefusal.HOLDER_UNKNOWN, f"holder {bill.holder} is not known; check the card"
        )
    if facts.locked:
        return _refused(
            bill, BillRefusal.HOLDER_LOCKED, f"holder {bill.holder} is locked by a loss report; lift it first"
        )
    if facts.category is None:
        return _refused(
            bill,
            BillRefusal.NOT_INSURED,
            f"holder {bill.holder} had no medical cover on {bill.treated_on}; take payment as for anyone",
        )
    if facts.policy is None:
        return _refused(
            bill,
            BillRefusal.NO_POLICY,
            f"no policy is in force on {bill.treated_on}; add the policy file of that time",
        )
    return split_bill(
        facts.policy,
        bill.items,
        category=facts.category,
        level=facts.level,
        used=facts.used,
        account_fen=facts.account_fen,
    )


def agree(bill: Bill, split: Split, agreed: Agreed, wallet_fen: int) -> BillRefused | None:
    """Why a split may not be settled, though it may be shown: it is not what was agreed, or not covered."""
    if Agreed.of(split) != agreed:
        return _refused(
            bill,
            BillRefusal.SPLIT_CHANGED,
            f"agreed is fund {agreed.fund_fen}, account {agreed.account_fen}, patient {agreed.patient_fen} fen,"
            f" but the split of these {split.total_fen} fen is fund {split.fund_fen}, account"
            f" {split.account_fen}, patient {split.patient_fen}; preview again and let the patient agree",
        )
    if split.patient_fen > wallet_fen:
        return _refused(
            bill,
            BillRefusal.INSUFFICIENT,
            f"the wallet lacks {split.patient_fen - wallet_fen} fen; top it up, or take payment otherwise",
        )
    return None


def _item_flaw(item: Item) -> str | None:
    if not _ITEM_CODE.fullmatch(item.code):
        return f"code {item.code!r} is not 1 to 32 letters, digits, dots and hyphens; give the catalogue's"
    if type(item.amount_fen) is not int or not 0 < item.amount_fen <= MAX_AMOUNT_FEN:
        return f"amount_fen {item.amount_fen!r} is not a positive whole number of fen; leave free items out"
    if type(item.first_share_bp) is not int or not 0 <= item.first_share_bp <= WHOLE_BP:
        return f"first_share_bp {item.first_share_bp!r} is not from 0 to {WHOLE_BP}; give the catalogue's"
    if item.first_share_bp and item.catalogue_class is not CatalogueClass.B:
        return f"first_share_bp {item.first_share_bp} is of class B only; this is {item.catalogue_class}"
    return None


def _refused(bill: Bill, reason: BillRefusal, message: str) -> BillRefused:
    return BillRefused(bill.reference, reason, message)
