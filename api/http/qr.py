"""Codes: a rider's certificate and pay code, what merchants charge, their own codes and who pays them.

A certificate is no payment: a validator takes rides on it with no line to us, and the night books them.
"""

from base64 import b64encode
from datetime import datetime
from typing import Annotated, cast

import segno
from fastapi import APIRouter, Depends, Path
from fastapi.responses import Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Connection

from api.http.access import Caller, Session, holder_session, institution
from api.http.cursors import Limit, LongCursor, instant_of, page_by_instant
from api.http.fields import Body, Currency, Page, Paid, ParticipantId, Reference, Text
from api.http.idempotency import Answer, Once, once
from api.http.payments import declined
from api.http.problems import documented, problem, refused
from api.http.state import Deps, deps
from card.loss import lock_list
from clearing.holder.happening import Place, Sort
from clearing.online.merchant_codes import (
    MerchantCodeOrder,
    MerchantCodeRefusal,
    MerchantCodeRefused,
    Scan,
    codes_of_merchant,
    make_merchant_code,
    pay_merchant_code,
    scan_reference,
    withdraw_merchant_code,
)
from clearing.online.pay_codes import (
    RANDOM_BYTES,
    Charge,
    PayCodeRefusal,
    PayCodeRefused,
    charge_pay_code,
    charge_reference,
    make_pay_code,
)
from clearing.online.payment import Approved, Decline, Declined, payment_of
from clearing.online.qr import CertificateRefusal, CertificateRefused, issue_certificate
from clearing.online.reversal import Reversal, ReversalRefusal, ReversalRefused, reverse
from clearing.qr_register import rides_of_holder
from clearing.qr_rides import Place as RidePlace
from clearing.wire.emvco import MAX_AMOUNT_FEN, MAX_TEXT, MerchantCode, write_merchant_code
from ledger.day import current_day
from ledger.db import reading

router = APIRouter(prefix="/v1", tags=["qr"])

Me = Annotated[Session, Depends(holder_session)]
Merchant = Annotated[Caller, Depends(institution("qr:write"))]
Doors = Annotated[Deps, Depends(deps)]
Key = Annotated[Once, Depends(once)]
CodeNo = Annotated[str, Path(pattern=r"^[0-9]{12}$")]
Plain = Annotated[str, StringConstraints(pattern=r"^[ -~]+$")]

_HOLDER_REFUSALS = (PayCodeRefusal.HOLDER_UNKNOWN, PayCodeRefusal.HOLDER_LOCKED)
_CHARGE_REFUSALS = tuple(one.value for one in PayCodeRefusal if one not in _HOLDER_REFUSALS)


class DeviceKey(Body):
    """The public key of the phone, Ed25519: 32 bytes in hexadecimal."""

    device_key: str = Field(pattern=r"^[0-9a-fA-F]{64}$")


class CertificateView(BaseModel):
    """A certificate for the phone: `certificate` is the signed CWT in Base64, one ride takes `limit_fen` at most."""

    certificate: str
    serial: str
    key_version: int
    limit_fen: int
    currency: Currency = "CNY"
    holder_class: int
    issued_at: datetime
    expires_at: datetime


class PayCodeView(BaseModel):
    """A pay code and its QR symbol as SVG; good for one payment until `expires_at`."""

    code: str
    expires_at: datetime
    svg: str


class RideView(BaseModel):
    """A ride on the holder's code; `short_fen` of what was paid is still owed."""

    event_at: datetime
    operator: str
    line: int
    station: int
    verdict: str
    amount_fen: int
    paid_fen: int
    short_fen: int
    currency: Currency = "CNY"


class ChargeOrder(Paid):
    """What a counter scanned and how much it takes; `reference` is the merchant's own number for it."""

    reference: Reference
    code: str = Field(pattern=r"^[0-9]{1,32}$")
    narrative: Text = ""


class CodeOrder(Body):
    """A code that a merchant wants; without `amount_fen` the payer says how much."""

    name: Annotated[Plain, Field(max_length=25)]
    name_zh: Annotated[Text, Field(max_length=25)] = ""
    city: Annotated[Plain, Field(max_length=15)]
    category: str = Field(pattern=r"^[0-9]{4}$", description="merchant category code, ISO 18245")
    amount_fen: int | None = Field(default=None, strict=True, ge=1, le=MAX_AMOUNT_FEN)
    currency: Currency = "CNY"
    one_time: bool = False


class CodeView(BaseModel):
    """A merchant's code: `payload` is the EMVCo text, `svg` its QR symbol."""

    code: str
    merchant: str
    name: str
    amount_fen: int | None
    currency: Currency = "CNY"
    one_time: bool
    payload: str
    svg: str


class Codes(BaseModel):
    """The merchant's codes that can be paid, by number."""

    items: list[CodeView]


class ScanOrder(Body):
    """What a phone scanned; the amount where the code names none, the phone's own number for the payment."""

    reference: Reference
    payload: str = Field(max_length=MAX_TEXT)
    amount_fen: int | None = Field(default=None, strict=True, ge=1, le=MAX_AMOUNT_FEN)
    currency: Currency = "CNY"


class QrPaymentView(BaseModel):
    """A payment that is in the books."""

    reference: str
    merchant: ParticipantId
    amount_fen: int
    currency: Currency = "CNY"
    event_at: datetime
    first_time: bool


class ReversalView(BaseModel):
    """A charge that is taken back, or will never be taken."""

    reference: str
    amount_fen: int
    currency: Currency = "CNY"
    first_time: bool


class LockedHolders(BaseModel):
    """Whose codes no validator may take: holders who have reported a loss, as of an instant."""

    holders: list[str]
    as_of: datetime


class IssuerKeyView(BaseModel):
    """The issuer's public key of a version, Ed25519, for validators: 32 bytes in hexadecimal."""

    key_version: int
    public_key: str


@router.post(
    "/me/qr/certificates",
    status_code=201,
    response_model=CertificateView,
    responses=documented(CertificateRefusal),
)
def certify(body: DeviceKey, session: Me, doors: Doors) -> CertificateView:
    """Issue a certificate for the holder's phone; each is good for a day."""
    key = bytes.fromhex(body.device_key)
    answer = issue_certificate(
        doors.engine, doors.hsm, session.holder, key, at=doors.now(), writer=doors.writer
    )
    if isinstance(answer, CertificateRefused):
        raise refused(answer)
    one = answer.certificate
    return CertificateView(
        certificate=b64encode(answer.raw).decode("ascii"), serial=one.serial.hex(),
        key_version=answer.key_version, limit_fen=one.limit_fen, holder_class=one.holder_class,
        issued_at=one.issued_at, expires_at=one.expires_at,
    )  # fmt: skip


@router.post(
    "/me/qr/pay-codes",
    status_code=201,
    response_model=PayCodeView,
    responses=documented(*(one.value for one in _HOLDER_REFUSALS)),
)
def pay_code(session: Me, doors: Doors) -> PayCodeView:
    """Make a pay code for a counter to scan; it is good for a minute and one payment."""
    made = doors.writer.write(
        lambda conn: make_pay_code(conn, session.holder, random=doors.random(RANDOM_BYTES), at=doors.now())
    )
    if isinstance(made, PayCodeRefused):
        raise refused(made)
    return PayCodeView(code=made.code, expires_at=made.expires_at, svg=svg_of(made.code))


@router.get("/me/qr/rides", response_model=Page[RideView])
def rides(session: Me, doors: Doors, cursor: LongCursor = None, limit: Limit = 50) -> Page[RideView]:
    """The holder's rides on codes that the nights have judged, the newest first."""
    place = instant_of(Sort.RIDE, cursor)
    with reading(doors.engine) as conn:
        before = None if place is None else (place.at, cast("RidePlace", place.key))
        found = rides_of_holder(conn, session.holder, limit=limit + 1, before=before)
    shown, next_cursor = page_by_instant(found, limit, lambda one: Place(one.event_at, Sort.RIDE, one.place))
    return Page(
        items=[
            RideView(
                event_at=one.event_at, operator=one.operator, line=one.line, station=one.station,
                verdict=one.verdict.value, amount_fen=one.amount_fen, paid_fen=one.paid_fen,
                short_fen=one.short_fen,
            )
            for one in shown
        ],
        next_cursor=next_cursor,
    )  # fmt: skip


@router.post(
    "/me/qr/payments",
    status_code=201,
    response_model=QrPaymentView,
    responses=documented(MerchantCodeRefusal, Decline),
)
def scan(body: ScanOrder, session: Me, doors: Doors, key: Key) -> Response:
    """Pay a merchant's code from the holder's wallet; the same scan again is paid once."""

    def work(conn: Connection) -> Answer:
        order = Scan(
            body.reference, session.holder, body.payload, body.amount_fen, current_day(conn), doors.now()
        )
        answer = pay_merchant_code(conn, order, at=doors.now())
        if isinstance(answer, MerchantCodeRefused):
            raise refused(answer)
        reference = scan_reference(session.holder, body.reference)
        return Answer(201, _paid(conn, answer, reference, body.reference))

    return key.in_transaction(session.subject, work)


@router.post(
    "/qr/charges",
    status_code=201,
    response_model=QrPaymentView,
    responses=documented(*_CHARGE_REFUSALS, Decline),
)
def charge(body: ChargeOrder, caller: Merchant, doors: Doors, key: Key) -> Response:
    """Charge a pay code that a counter has scanned; the same charge again is paid once."""

    def work(conn: Connection) -> Answer:
        order = Charge(
            body.reference, caller.participant, body.code, body.amount_fen, current_day(conn), doors.now(),
            body.narrative,
        )  # fmt: skip
        answer = charge_pay_code(conn, order, at=doors.now())
        if isinstance(answer, PayCodeRefused):
            raise refused(answer)
        reference = charge_reference(caller.participant, body.reference)
        return Answer(201, _paid(conn, answer, reference, body.reference))

    return key.in_transaction(caller.subject, work)


@router.post(
    "/qr/charges/{reference}/reversal",
    status_code=201,
    response_model=ReversalView,
    responses=documented(ReversalRefusal),
)
def take_back(reference: Reference, caller: Merchant, doors: Doors, key: Key) -> Response:
    """Take a charge back whole. One that has not come yet is remembered and will never be paid."""

    def work(conn: Connection) -> Answer:
        original = charge_reference(caller.participant, reference)
        wanted = Reversal(f"{original}:reversal", original, current_day(conn), doors.now())
        answer = reverse(conn, [wanted], at=doors.now())[0]
        if isinstance(answer, ReversalRefused):
            raise refused(answer)
        return Answer(
            201,
            ReversalView(reference=reference, amount_fen=answer.amount_fen, first_time=answer.first_time),
        )

    return key.in_transaction(caller.subject, work)


@router.post(
    "/qr/merchant-codes",
    status_code=201,
    response_model=CodeView,
    responses=documented("merchant_code_unreadable", "merchant_unknown"),
)
def make_code(body: CodeOrder, caller: Merchant, doors: Doors, key: Key) -> Response:
    """Make a code of the merchant's own, to hang up or to show for one bill."""

    def work(conn: Connection) -> Answer:
        order = MerchantCodeOrder(
            caller.participant, body.name, body.city, body.category, body.amount_fen, body.one_time,
            body.name_zh,
        )  # fmt: skip
        made = make_merchant_code(conn, order, at=doors.now())
        if isinstance(made, MerchantCodeRefused):
            raise refused(made)
        return Answer(201, code_view(made))

    return key.in_transaction(caller.subject, work)


@router.get("/qr/merchant-codes", response_model=Codes)
def codes(caller: Merchant, doors: Doors) -> Codes:
    """The merchant's own codes that can be paid."""
    with reading(doors.engine) as conn:
        return Codes(items=[code_view(one) for one in codes_of_merchant(conn, caller.participant)])


@router.delete(
    "/qr/merchant-codes/{code}",
    status_code=204,
    response_class=Response,
    responses=documented("merchant_code_unknown"),
)
def withdraw(code: CodeNo, caller: Merchant, doors: Doors) -> Response:
    """Let a code of the merchant's own pay nothing more."""
    own = caller.participant
    if not doors.writer.write(lambda conn: withdraw_merchant_code(conn, own, code, at=doors.now())):
        raise problem("merchant_code_unknown", f"code {code} is not among yours; look at its number")
    return Response(status_code=204)


@router.get("/qr/locked-holders", response_model=LockedHolders)
def locked(caller: Merchant, doors: Doors) -> LockedHolders:
    """The list that validators refuse codes by, where they have no line; to be fetched with every update."""
    with reading(doors.engine) as conn:
        return LockedHolders(holders=lock_list(conn), as_of=doors.now())


@router.get("/qr/issuer-key", response_model=IssuerKeyView)
def issuer_key(caller: Merchant, doors: Doors) -> IssuerKeyView:
    """The key that validators check certificates with; older versions stay good until those have expired."""
    version, public_key = doors.hsm.qr_public_key()
    return IssuerKeyView(key_version=version, public_key=public_key.hex())


def code_view(code: MerchantCode) -> CodeView:
    """A merchant's code with its text and symbol."""
    payload = write_merchant_code(code)
    return CodeView(
        code=code.code, merchant=code.merchant, name=code.name, amount_fen=code.amount_fen,
        one_time=code.one_time, payload=payload, svg=svg_of(payload),
    )  # fmt: skip


def svg_of(text: str) -> str:
    """The QR symbol of a text (ISO/IEC 18004, error correction M) as an SVG element of its own."""
    svg: str = segno.make(text, error="m", micro=False).svg_inline(scale=4, omitsize=True)
    return svg


def _paid(conn: Connection, answer: Approved | Declined, reference: str, own_reference: str) -> QrPaymentView:
    if isinstance(answer, Declined):
        raise declined(answer)
    record = payment_of(conn, reference)
    if record is None:
        raise LookupError(f"payment {reference} was approved and is not in the books")
    return QrPaymentView(
        reference=own_reference, merchant=record.merchant, amount_fen=record.amount_fen,
        event_at=record.event_at, first_time=answer.first_time,
    )  # fmt: skip
