"""What a signed-in holder sees and does. Every address here is about the session's holder: no id is asked for."""

from datetime import date, datetime
from hashlib import sha256
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Path
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import Connection

from api.http import payments, topups
from api.http.access import Session, holder_session
from api.http.cursors import Cursor, Limit, LongCursor, instant_of, page_by_instant, page_of, place_of
from api.http.fields import CardNo, Currency, Page, Paid, ParticipantId
from api.http.holders import CardView, HolderView, LossView, card_view, holder_view, lose_face
from api.http.idempotency import Answer, Once, once
from api.http.links import (
    Consent,
    ConsentView,
    ReadView,
    Withdrawal,
    Withdrawn,
    consent_view,
    granted,
    read_view,
)
from api.http.problems import Problem, documented, problem, refused
from api.http.state import Deps, deps
from card.holders import cards_of
from card.links import LinkKind, LinkRefusal, grants_of, reads_of, revoke
from card.loss import LossRefusal
from clearing.holder.happening import Place, Sort
from clearing.holder.holdings import holdings_of
from clearing.online.parties import open_codes
from clearing.online.payment_record import PaymentRecord, payment_of, payments_of_holder
from clearing.online.topup import TopUp, TopUpRefusal, TopUpRefused, order_topup, topups_of_holder
from ledger.balances import balance
from ledger.db import reading
from ledger.history import Movement, NoLineOfIt, history

router = APIRouter(prefix="/v1/me", tags=["me"])

Me = Annotated[Session, Depends(holder_session)]
Doors = Annotated[Deps, Depends(deps)]
Pocket = Literal["wallet", "medical", "subsidy"]
BOOK_REFERENCE: Final = r"^[A-Za-z0-9][A-Za-z0-9:._-]{0,127}$"
BookReference = Annotated[str, Path(pattern=BOOK_REFERENCE)]


class PocketView(BaseModel):
    """A pocket, what is in it, and what waits to come in (above zero) or to go out, taken together."""

    pocket: str
    amount_fen: int
    pending_fen: int
    currency: Currency = "CNY"


class Balances(BaseModel):
    """The holder's pockets as of an instant."""

    pockets: list[PocketView]
    as_of: datetime


class CardBalance(BaseModel):
    """A card's purse as the books have it: `pending_fen` waits until the card is presented for it."""

    card_no: str
    status: str
    cleared_fen: int
    pending_fen: int
    currency: Currency = "CNY"
    as_of: datetime


class MovementView(BaseModel):
    """A movement of a pocket: above zero where money came in."""

    id: int
    kind: str
    amount_fen: int
    currency: Currency = "CNY"
    business_date: date
    event_at: datetime
    about: str


class MyPayment(payments.PaymentView):
    """A payment as its payer sees it: under the reference of the books, with who was paid."""

    merchant: str


class TopUpWish(Paid):
    """Money to come through a channel."""

    channel: ParticipantId


@router.get("", response_model=HolderView, responses=documented("holder_unknown"))
def who(me: Me, doors: Doors) -> HolderView:
    """Who is signed in, masked."""
    return holder_view(doors, me.holder)


@router.get("/balances", response_model=Balances)
def balances(me: Me, doors: Doors) -> Balances:
    """What is in each pocket, and what waits."""
    at = doors.now()
    with reading(doors.engine) as conn:
        held = holdings_of(conn, me.holder, at=at).pockets
    pockets = [
        PocketView(pocket=one.name, amount_fen=one.cleared_fen, pending_fen=one.pending_fen) for one in held
    ]
    return Balances(pockets=pockets, as_of=at)


@router.get("/pockets/{pocket}/history", response_model=Page[MovementView])
def pocket_history(
    pocket: Pocket, me: Me, doors: Doors, cursor: Cursor = None, limit: Limit = 50
) -> Page[MovementView]:
    """The movements of a pocket, newest first."""
    before = place_of(pocket, cursor)
    try:
        with reading(doors.engine) as conn:
            rows = history(
                conn, f"{pocket}:{me.holder}", limit=limit + 1, before=before, archive=doors.archive
            )
    except NoLineOfIt:
        raise problem(
            "cursor_invalid", "the cursor is not one of this list; begin again without it"
        ) from None
    shown, next_cursor = page_of(pocket, rows, limit, lambda row: row.line_id)
    return Page(items=[_movement(row) for row in shown], next_cursor=next_cursor)


@router.get("/payments", response_model=Page[MyPayment])
def my_payments(me: Me, doors: Doors, cursor: Cursor = None, limit: Limit = 50) -> Page[MyPayment]:
    """The holder's payments, newest first."""
    before = place_of("my-payments", cursor)
    with reading(doors.engine) as conn:
        rows = payments_of_holder(conn, me.holder, limit=limit + 1, before=before)
    shown, next_cursor = page_of("my-payments", rows, limit, lambda row: row.entry_id)
    return Page(items=[_payment(row) for row in shown], next_cursor=next_cursor)


@router.get("/payments/{reference}", response_model=MyPayment, responses=documented("payment_unknown"))
def my_payment(reference: BookReference, me: Me, doors: Doors) -> MyPayment:
    """One of the holder's payments, by the reference in the list."""
    with reading(doors.engine) as conn:
        record = payment_of(conn, reference)
    if record is None or record.holder != me.holder:
        raise problem("payment_unknown", f"payment {reference} is not among yours; see the list of payments")
    return _payment(record)


@router.get("/cards", response_model=list[CardView])
def my_cards(me: Me, doors: Doors) -> list[CardView]:
    """The holder's cards."""
    with reading(doors.engine) as conn:
        return [card_view(one) for one in cards_of(conn, me.holder)]


@router.get("/cards/{card_no}", response_model=CardBalance, responses=documented("card_unknown"))
def my_card(card_no: CardNo, me: Me, doors: Doors) -> CardBalance:
    """What is on one of the holder's cards, as cleared, and what waits to be loaded."""
    with reading(doors.engine) as conn:
        status = {one.card_no: one.status for one in cards_of(conn, me.holder)}.get(card_no)
        if status is None:
            raise problem("card_unknown", f"card {card_no} is not one of yours; see the list of cards")
        return CardBalance(
            card_no=card_no,
            status=status,
            cleared_fen=balance(conn, f"purse:{card_no}").balance_fen,
            pending_fen=balance(conn, f"load:{card_no}").balance_fen,
            as_of=doors.now(),
        )


@router.post("/loss", response_model=LossView, responses=documented(LossRefusal))
def lose(me: Me, doors: Doors) -> LossView:
    """Lock every face at once: cards, wallet, pay code, links, all other sessions. A counter lifts it."""
    return lose_face(doors, me.holder, but=me.token_hash)


@router.post(
    "/topups",
    status_code=201,
    response_model=topups.TopUpView,
    responses=documented(TopUpRefusal, "channel_unknown"),
)
def order_my_topup(body: TopUpWish, me: Me, doors: Doors, key: Annotated[Once, Depends(once)]) -> Response:
    """Order money through a channel; the channel is told the reference, and confirms by it."""

    def work(conn: Connection) -> Answer | Problem:
        if not open_codes(conn, [f"agent:{body.channel}"]):
            raise problem(
                "channel_unknown", f"there is no channel {body.channel}; choose one that the city has"
            )
        # Made from holder and key, so that the same order again has the same number.
        number = "me-" + sha256(f"{me.holder} {key.key}".encode()).hexdigest()[:24]
        at = doors.now()
        reference = topups.within(body.channel, number)
        answer = order_topup(conn, TopUp(reference, me.holder, body.channel, body.amount_fen, at), at=at)
        if isinstance(answer, TopUpRefused):
            raise refused(answer)
        return Answer(201, topups.required(conn, body.channel, number))

    return key.in_transaction(me.subject, work)


@router.get("/topups", response_model=Page[topups.TopUpView])
def my_topups(me: Me, doors: Doors, cursor: LongCursor = None, limit: Limit = 50) -> Page[topups.TopUpView]:
    """The holder's top-ups, the newest ordered first."""
    place = instant_of(Sort.TOPUP, cursor)
    before = None if place is None else (place.at, str(place.key[0]))
    with reading(doors.engine) as conn:
        rows = topups_of_holder(conn, me.holder, limit=limit + 1, before=before)
    shown, next_cursor = page_by_instant(
        rows, limit, lambda row: Place(row.ordered_at, Sort.TOPUP, (row.reference,))
    )
    return Page(items=[topups.view(one) for one in shown], next_cursor=next_cursor)


@router.get("/links", response_model=list[ConsentView])
def my_consents(me: Me, doors: Doors) -> list[ConsentView]:
    """Every consent the holder gave, newest first, ended ones too."""
    with reading(doors.engine) as conn:
        return [consent_view(one) for one in grants_of(conn, me.holder)]


@router.post(
    "/links/{kind}/consents", status_code=201, response_model=ConsentView, responses=documented(LinkRefusal)
)
def consent(kind: LinkKind, body: Consent, me: Me, doors: Doors) -> ConsentView:
    """Let an institution read a link for a purpose until an instant."""
    return doors.writer.write(lambda conn: granted(conn, doors, me.holder, kind, body))


@router.post("/links/{kind}/withdrawals", response_model=Withdrawn)
def withdraw(kind: LinkKind, body: Withdrawal, me: Me, doors: Doors) -> Withdrawn:
    """End consents at once."""
    at, to, purpose = doors.now(), body.granted_to, body.purpose
    ended = doors.writer.write(lambda conn: revoke(conn, me.holder, kind, to, at=at, purpose=purpose))
    return Withdrawn(ended=ended)


@router.get("/links/reads", response_model=Page[ReadView])
def who_looked(me: Me, doors: Doors, cursor: Cursor = None, limit: Limit = 50) -> Page[ReadView]:
    """Who looked at the holder's links, and who was refused, newest first."""
    before = place_of("reads", cursor)
    with reading(doors.engine) as conn:
        rows = reads_of(conn, me.holder, limit=limit + 1, before=before)
    shown, next_cursor = page_of("reads", rows, limit, lambda row: row.id)
    return Page(items=[read_view(row) for row in shown], next_cursor=next_cursor)


def _movement(row: Movement) -> MovementView:
    return MovementView(
        id=row.line_id,
        kind=row.kind,
        amount_fen=row.amount_fen,
        business_date=row.business_date,
        event_at=row.event_at,
        about=row.item,
    )


def _payment(record: PaymentRecord) -> MyPayment:
    seen = payments.view(record).model_dump() | {"reference": record.reference}
    return MyPayment(**seen, merchant=record.merchant)
