"""Merchants' codes: made here, hung up at a counter or shown for one bill, scanned and paid by a phone."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from clearing.online.parties import open_codes, wallet
from clearing.online.pay_codes import KIND, check_digit
from clearing.online.payment import Approved, Channel, Declined, Leg, PaymentOrder, pay
from clearing.online.qr_tables import qr_merchant_code
from clearing.wire.emvco import EmvcoError, MerchantCode, read_merchant_code, write_merchant_code


class MerchantCodeRefusal(StrEnum):
    """Why a merchant's code is not made or not paid, in order of precedence: the first that applies."""

    CODE_UNREADABLE = "merchant_code_unreadable"
    MERCHANT_UNKNOWN = "merchant_unknown"
    CODE_UNKNOWN = "merchant_code_unknown"
    CODE_DIFFERS = "merchant_code_differs"
    CODE_USED = "merchant_code_used"
    CODE_WITHDRAWN = "merchant_code_withdrawn"
    AMOUNT_MISSING = "amount_missing"
    AMOUNT_DIFFERS = "amount_differs"


@dataclass(frozen=True, slots=True)
class MerchantCodeRefused:
    """Nothing was made or paid, and why."""

    reason: MerchantCodeRefusal
    message: str


@dataclass(frozen=True, slots=True)
class MerchantCodeOrder:
    """A code that a merchant wants; without `amount_fen` the payer says how much."""

    merchant: str
    name: str
    city: str
    category: str
    amount_fen: int | None = None
    one_time: bool = False
    name_zh: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """A holder pays a scanned payload; `reference` is the phone's own number, unique within the holder."""

    reference: str
    holder: str
    payload: str
    amount_fen: int | None
    business_date: date
    event_at: datetime


def make_merchant_code(
    conn: Connection, order: MerchantCodeOrder, *, at: datetime
) -> MerchantCode | MerchantCodeRefused:
    """Make and register a code of the next number; `clearing.wire.emvco.write_merchant_code` gives its text."""
    code = MerchantCode(
        order.merchant, _next_number(conn), order.name, order.city, order.category, order.amount_fen,
        order.one_time, order.name_zh,
    )  # fmt: skip
    try:
        write_merchant_code(code)
    except EmvcoError as error:
        return MerchantCodeRefused(MerchantCodeRefusal.CODE_UNREADABLE, str(error))
    if not open_codes(conn, [f"clearing:{order.merchant}"]):
        message = f"merchant {order.merchant!r} takes no payments here; register it first"
        return MerchantCodeRefused(MerchantCodeRefusal.MERCHANT_UNKNOWN, message)
    conn.execute(
        insert(qr_merchant_code).values(
            code=code.code,
            merchant=code.merchant,
            name=code.name,
            name_zh=code.name_zh,
            city=code.city,
            category=code.category,
            amount_fen=code.amount_fen,
            one_time=code.one_time,
            made_at=at,
        )
    )
    return code


def withdraw_merchant_code(conn: Connection, merchant: str, code: str, *, at: datetime) -> bool:
    """Let a code pay nothing more; False where the merchant has no such code. Again changes nothing."""
    columns = qr_merchant_code.c
    theirs = (columns.code == code, columns.merchant == merchant)
    conn.execute(
        update(qr_merchant_code).where(*theirs, columns.withdrawn_at.is_(None)).values(withdrawn_at=at)
    )
    return conn.execute(select(columns.code).where(*theirs)).first() is not None


def codes_of_merchant(conn: Connection, merchant: str) -> list[MerchantCode]:
    """A merchant's codes that are not withdrawn and, if they pay once, have not paid; by number."""
    columns = qr_merchant_code.c
    query = select(qr_merchant_code).where(
        columns.merchant == merchant, columns.withdrawn_at.is_(None), columns.paid_by.is_(None)
    )
    return [_registered(row) for row in conn.execute(query.order_by(columns.code))]


def pay_merchant_code(
    conn: Connection, scan: Scan, *, at: datetime
) -> Approved | Declined | MerchantCodeRefused:
    """Pay a scanned code from the holder's wallet; the same scan again is answered as before.

    The payload must say what we registered: one that was altered is not paid. `conn` comes from `writing`.
    """
    reference = scan_reference(scan.holder, scan.reference)
    try:
        code = read_merchant_code(scan.payload)
    except EmvcoError as error:
        return MerchantCodeRefused(MerchantCodeRefusal.CODE_UNREADABLE, str(error))
    row = conn.execute(select(qr_merchant_code).where(qr_merchant_code.c.code == code.code)).one_or_none()
    refusal = _refusal(code, row, reference)
    if refusal is not None:
        return refusal
    amount_fen = _amount_fen(code, scan)
    if isinstance(amount_fen, MerchantCodeRefused):
        return amount_fen
    order = PaymentOrder(
        reference, Channel.QR, KIND, code.merchant, scan.holder, (Leg(wallet(scan.holder), amount_fen),),
        scan.business_date, scan.event_at, f"code {code.code}",
    )  # fmt: skip
    answer = pay(conn, [order], at=at)[0]
    if isinstance(answer, Approved) and answer.first_time and code.one_time:
        conn.execute(
            update(qr_merchant_code).where(qr_merchant_code.c.code == code.code).values(paid_by=reference)
        )
    return answer


def scan_reference(holder: str, reference: str) -> str:
    """The payment's reference in the books: the phone's own number within the holder."""
    return f"qr-scan:{holder}:{reference}"


def _refusal(code: MerchantCode, row: Any, reference: str) -> MerchantCodeRefused | None:
    """What speaks against the code itself; one that paid this very scan is not refused."""
    if row is None:
        message = f"code {code.code} was not made here; ask the merchant for another"
        return MerchantCodeRefused(MerchantCodeRefusal.CODE_UNKNOWN, message)
    if _registered(row) != code:
        message = f"code {code.code} is registered otherwise: somebody may have altered it; do not pay it"
        return MerchantCodeRefused(MerchantCodeRefusal.CODE_DIFFERS, message)
    if row.paid_by == reference:
        return None
    if row.paid_by is not None:
        message = f"code {code.code} has been paid; ask the merchant for another"
        return MerchantCodeRefused(MerchantCodeRefusal.CODE_USED, message)
    if row.withdrawn_at is not None:
        message = f"code {code.code} is withdrawn; ask the merchant for another"
        return MerchantCodeRefused(MerchantCodeRefusal.CODE_WITHDRAWN, message)
    return None


def _amount_fen(code: MerchantCode, scan: Scan) -> int | MerchantCodeRefused:
    if code.amount_fen is None:
        if scan.amount_fen is not None:
            return scan.amount_fen
        message = "the code names no amount; say how much to pay"
        return MerchantCodeRefused(MerchantCodeRefusal.AMOUNT_MISSING, message)
    if scan.amount_fen is not None and scan.amount_fen != code.amount_fen:
        message = f"amount_fen is {scan.amount_fen}, the code says {code.amount_fen}; pay that, or nothing"
        return MerchantCodeRefused(MerchantCodeRefusal.AMOUNT_DIFFERS, message)
    return code.amount_fen


def _registered(row: Any) -> MerchantCode:
    return MerchantCode(
        row.merchant, row.code, row.name, row.city, row.category, row.amount_fen, row.one_time, row.name_zh
    )


def _next_number(conn: Connection) -> str:
    """Eleven digits counted up, and a check digit."""
    last = conn.scalar(select(func.max(qr_merchant_code.c.code)))
    digits = f"{int(last[:-1]) + 1 if last else 1:011d}"
    return digits + check_digit(digits)
