"""Pay codes: a holder shows 18 digits, good for a minute and one payment; a merchant's counter scans them.

The digits are `88`, fifteen random ones and a check digit (Luhn, ISO/IEC 7812-1), so that a barcode or a
hand can bring them. Only their digest is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from clearing.online.parties import locked_holders, open_codes, wallet
from clearing.online.payment import Approved, Channel, Declined, Leg, PaymentOrder, pay
from clearing.online.qr_tables import qr_pay_code

PREFIX = "88"
RANDOM_DIGITS = 15
RANDOM_BYTES = 16
"""Of which far more are drawn than the digits need, so that every code is as likely."""
DIGITS = len(PREFIX) + RANDOM_DIGITS + 1
CODE_LIFE = timedelta(seconds=60)
LIMIT_FEN = 50_000
"""A code is shown without a password: it pays up to 500 yuan."""
KIND = "qr_purchase"
_KEPT = timedelta(days=1)
"""Codes of the last day are kept, so that a late one is told expired and not unknown."""


class PayCodeRefusal(StrEnum):
    """Why no pay code is made, or a charge not even asked of the wallet, in order of precedence."""

    HOLDER_UNKNOWN = "holder_unknown"
    HOLDER_LOCKED = "holder_locked"
    CODE_MALFORMED = "pay_code_malformed"
    CODE_UNKNOWN = "pay_code_unknown"
    CODE_USED = "pay_code_used"
    CODE_EXPIRED = "pay_code_expired"
    OVER_LIMIT = "over_pay_code_limit"


@dataclass(frozen=True, slots=True)
class PayCode:
    """A code to be shown, 18 digits, until `expires_at`."""

    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PayCodeRefused:
    """Nothing was made or charged, and why."""

    reason: PayCodeRefusal
    message: str


@dataclass(frozen=True, slots=True)
class Charge:
    """A merchant takes `amount_fen` from whoever showed `code`; `reference` is the merchant's own number."""

    reference: str
    merchant: str
    code: str
    amount_fen: int
    business_date: date
    event_at: datetime
    narrative: str = ""


def make_pay_code(conn: Connection, holder: str, *, random: bytes, at: datetime) -> PayCode | PayCodeRefused:
    """Make a code for a holder from at least 16 random bytes; codes long expired are dropped."""
    if len(random) < RANDOM_BYTES:
        raise ValueError(f"{len(random)} random bytes are too few; give {RANDOM_BYTES}")
    if not open_codes(conn, [wallet(holder)]):
        message = f"holder {holder!r} has no wallet here; enrol the person, or look at the id again"
        return PayCodeRefused(PayCodeRefusal.HOLDER_UNKNOWN, message)
    if locked_holders(conn, [holder]):
        message = f"holder {holder} has reported a loss; lift the report first"
        return PayCodeRefused(PayCodeRefusal.HOLDER_LOCKED, message)
    number = int.from_bytes(random, "big") % 10**RANDOM_DIGITS
    digits = f"{PREFIX}{number:0{RANDOM_DIGITS}d}"
    code = digits + check_digit(digits)
    expires_at = at + CODE_LIFE
    conn.execute(delete(qr_pay_code).where(qr_pay_code.c.expires_at < at - _KEPT))
    conn.execute(
        insert(qr_pay_code).values(digest=_digest(code), holder=holder, made_at=at, expires_at=expires_at)
    )
    return PayCode(code, expires_at)


def charge_pay_code(
    conn: Connection, charge: Charge, *, at: datetime
) -> Approved | Declined | PayCodeRefused:
    """Charge a shown code once; the same charge again is answered as before, also after the minute.

    A declined charge leaves the code good for another until it expires. `conn` comes from `writing`.
    """
    reference = charge_reference(charge.merchant, charge.reference)
    row = _row(conn, charge.code)
    refusal = _refusal(charge, row, reference, at)
    if refusal is not None:
        return refusal
    legs: Sequence[Leg] = (Leg(wallet(row.holder), charge.amount_fen),)
    order = PaymentOrder(
        reference, Channel.QR, KIND, charge.merchant, row.holder, tuple(legs), charge.business_date,
        charge.event_at, charge.narrative,
    )  # fmt: skip
    answer = pay(conn, [order], at=at)[0]
    if isinstance(answer, Approved) and answer.first_time:
        conn.execute(update(qr_pay_code).where(qr_pay_code.c.digest == row.digest).values(paid_by=reference))
    return answer


def charge_reference(merchant: str, reference: str) -> str:
    """The payment's reference in the books: the merchant's own number within the merchant."""
    return f"qr:{merchant}:{reference}"


def check_digit(digits: str) -> str:
    """The Luhn digit that makes a number right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def _row(conn: Connection, code: str) -> Any:
    query = select(qr_pay_code).where(qr_pay_code.c.digest == _digest(code))
    return conn.execute(query).one_or_none() if _is_well_formed(code) else None


def _refusal(charge: Charge, row: Any, reference: str, at: datetime) -> PayCodeRefused | None:
    """The first that applies; a code that paid this very charge is not refused."""
    if not _is_well_formed(charge.code):
        message = f"the code is not {DIGITS} digits that check; scan it again"
        return PayCodeRefused(PayCodeRefusal.CODE_MALFORMED, message)
    if row is None:
        message = "nobody shows this code; ask the payer for a new one"
        return PayCodeRefused(PayCodeRefusal.CODE_UNKNOWN, message)
    if row.paid_by == reference:
        return None
    if row.paid_by is not None:
        message = "the code has paid already; ask the payer for a new one"
        return PayCodeRefused(PayCodeRefusal.CODE_USED, message)
    if at >= row.expires_at:
        message = "the code's minute is over; ask the payer for a new one"
        return PayCodeRefused(PayCodeRefusal.CODE_EXPIRED, message)
    if charge.amount_fen > LIMIT_FEN:
        message = (
            f"amount_fen {charge.amount_fen} is above the {LIMIT_FEN} that a code pays; take it otherwise"
        )
        return PayCodeRefused(PayCodeRefusal.OVER_LIMIT, message)
    return None


def _is_well_formed(code: str) -> bool:
    if len(code) != DIGITS or not (code.isascii() and code.isdecimal()):
        return False
    return code.startswith(PREFIX) and check_digit(code[:-1]) == code[-1]


def _digest(code: str) -> str:
    return sha256(b"onecard/pay-code/v1:" + code.encode("utf-8", "replace")).hexdigest()
