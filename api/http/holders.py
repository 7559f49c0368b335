"""Holders at a counter: enrolled, found, corrected, given cards, locked after a loss, forgotten."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Connection

from api.http.access import Caller, institution
from api.http.fields import Body, CardNo, HolderId, Text
from api.http.problems import documented, problem, refused
from api.http.sessions import end_sessions
from api.http.state import Deps, deps
from card.holders import (
    POCKETS,
    HeldCard,
    HolderRefusal,
    HolderRefused,
    amend,
    cards_of,
    enrol,
    forget,
    holder_by_identity,
    holder_of,
    is_holder,
    masked,
    tie_card,
    untie_card,
)
from card.link_policy import Disclosure, LinkKind, LinkRefusal
from card.links import log_read
from card.loss import LossRefusal, LossRefused, LossReported, is_locked, lift_loss, report_loss
from card.person import Person
from ledger.balances import balance
from ledger.db import reading

router = APIRouter(prefix="/v1/holders", tags=["holders"])

HolderReader = Annotated[Caller, Depends(institution("holders:read"))]
HolderWriter = Annotated[Caller, Depends(institution("holders:write"))]
CardWriter = Annotated[Caller, Depends(institution("cards:write"))]
Doors = Annotated[Deps, Depends(deps)]
CARDS = "cards"
AT_COUNTER, SEARCH = "counter", "search"
"""In the log that the holder sees: what was looked at, beside links, and what for."""
IdentityNo = Annotated[str, StringConstraints(min_length=1, max_length=24, pattern=r"^[0-9A-Za-z -]+$")]
Phone = Annotated[str, StringConstraints(max_length=16, pattern=r"^[0-9+]*$")]


class Particulars(Body):
    """What may change of a person; `phone` is empty where there is none."""

    name: Text
    phone: Phone = ""


class PersonIn(Particulars):
    """A person as the document says, identity number by GB 11643."""

    identity_no: IdentityNo


class Sought(Body):
    """Whom to look for; in the body, so that no log of addresses holds an identity number."""

    identity_no: IdentityNo


class EnrolledView(BaseModel):
    """The id by which the city knows the person; `first_time` where this request made it."""

    holder: str
    first_time: bool


class Found(BaseModel):
    """The id by which the city knows the person."""

    holder: str


class HolderView(BaseModel):
    """A holder as an answer may show one: `530102********1234`, `张*`, `138****1234`."""

    holder: str
    identity: str
    name: str
    phone: str
    locked: bool


class CardView(BaseModel):
    """A card tied to a holder."""

    card_no: str
    tied_at: datetime
    status: str
    holder_class: int


class LossView(BaseModel):
    """What a report locked."""

    holder: str | None
    cards: list[str]
    reported_at: datetime
    first_time: bool


class LiftView(BaseModel):
    """What is in use again."""

    holder: str | None
    cards: list[str]


class Lifting(Body):
    """Which of the cards did not turn up: they stay lost for good."""

    still_lost: list[CardNo] = Field(default=[], max_length=100)


@router.post("", status_code=201, response_model=EnrolledView, responses=documented(HolderRefusal))
def enrol_person(body: PersonIn, caller: HolderWriter, doors: Doors) -> EnrolledView:
    """Make a person a holder with the three pockets; the same identity again is the same holder."""
    person = Person(body.identity_no, body.name, body.phone)
    answer = doors.writer.write(lambda conn: enrol(conn, doors.vault, person, at=doors.now()))
    if isinstance(answer, HolderRefused):
        raise refused(answer)
    return EnrolledView(holder=answer.holder, first_time=answer.first_time)


@router.post("/search", response_model=Found, responses=documented("holder_unknown"))
def find_person(body: Sought, caller: HolderReader, doors: Doors) -> Found:
    """Find a holder by identity number, which goes into no address and no log. The holder sees who searched."""

    def work(conn: Connection) -> str | None:
        holder = holder_by_identity(conn, doors.vault, body.identity_no)
        if holder is not None:
            _log(conn, doors, caller, holder, LinkKind.IDENTITY, SEARCH, Disclosure.EXISTS)
        return holder

    holder = doors.writer.write(work)
    if holder is None:
        raise problem("holder_unknown", "nobody of that identity number is enrolled; look at it again")
    return Found(holder=holder)


@router.get("/{holder}", response_model=HolderView, responses=documented("holder_unknown"))
def one(holder: HolderId, caller: HolderReader, doors: Doors) -> HolderView:
    """A holder, masked. The holder sees who looked."""
    doors.writer.write(
        lambda conn: _log_look(conn, doors, caller, holder, LinkKind.IDENTITY, Disclosure.MASKED)
    )
    return holder_view(doors, holder)


@router.put("/{holder}/particulars", response_model=HolderView, responses=documented(HolderRefusal))
def correct(holder: HolderId, body: Particulars, caller: HolderWriter, doors: Doors) -> HolderView:
    """Correct name and telephone; the identity stays. Sessions of the holder end: the phone may be another."""

    def work(conn: Connection) -> None:
        answer = amend(conn, doors.vault, holder, name=body.name, phone=body.phone, at=doors.now())
        if isinstance(answer, HolderRefused):
            raise refused(answer)
        end_sessions(conn, holder)

    doors.writer.write(work)
    return holder_view(doors, holder)


@router.delete(
    "/{holder}/personal-data",
    status_code=204,
    response_class=Response,
    responses=documented("holder_unknown", "pockets_not_empty"),
)
def erase(holder: HolderId, caller: HolderWriter, doors: Doors) -> Response:
    """Forget who a holder is; the books keep the id alone. The pockets must be empty."""

    def work(conn: Connection) -> None:
        if is_holder(conn, holder):
            for pocket in POCKETS:
                if balance(conn, f"{pocket}:{holder}").balance_fen:
                    raise problem("pockets_not_empty", f"there is money in {pocket}; pay it out first")
        answer = forget(conn, holder, at=doors.now())
        if isinstance(answer, HolderRefused):
            raise refused(answer)
        end_sessions(conn, holder)

    doors.writer.write(work)
    return Response(status_code=204)


@router.get("/{holder}/cards", response_model=list[CardView], responses=documented("holder_unknown"))
def cards(holder: HolderId, caller: HolderReader, doors: Doors) -> list[CardView]:
    """The cards tied to a holder. The holder sees who looked."""

    def work(conn: Connection) -> tuple[bool, list[HeldCard]]:
        known = _log_look(conn, doors, caller, holder, CARDS, Disclosure.FULL)
        return known, cards_of(conn, holder)

    known, tied = doors.writer.write(work)
    if not known:
        raise _unknown(holder)
    return [card_view(one) for one in tied]


@router.put("/{holder}/cards/{card_no}", response_model=list[CardView], responses=documented(HolderRefusal))
def tie(holder: HolderId, card_no: CardNo, caller: CardWriter, doors: Doors) -> list[CardView]:
    """Tie a registered card to a holder; tied already, nothing changes. The holder's cards are answered."""

    def work(conn: Connection) -> list[CardView]:
        answer = tie_card(conn, holder, card_no, at=doors.now())
        if isinstance(answer, HolderRefused):
            raise refused(answer)
        return [card_view(one) for one in cards_of(conn, holder)]

    return doors.writer.write(work)


@router.delete(
    "/{holder}/cards/{card_no}",
    status_code=204,
    response_class=Response,
    responses=documented("card_unknown"),
)
def untie(holder: HolderId, card_no: CardNo, caller: CardWriter, doors: Doors) -> Response:
    """Make a card nobody's."""

    def work(conn: Connection) -> None:
        if holder_of(conn, card_no) != holder:
            raise problem("card_unknown", f"card {card_no} is not one of {holder}'s; see the list of cards")
        untie_card(conn, card_no, at=doors.now())

    doors.writer.write(work)
    return Response(status_code=204)


@router.post("/{holder}/loss", response_model=LossView, responses=documented(LossRefusal))
def lose(holder: HolderId, caller: HolderWriter, doors: Doors) -> LossView:
    """Lock every face of a holder at once: cards, wallet, pay code, links, sessions."""
    return lose_face(doors, holder)


@router.post("/{holder}/loss/lifting", response_model=LiftView, responses=documented(LossRefusal))
def lift(holder: HolderId, body: Lifting, caller: HolderWriter, doors: Doors) -> LiftView:
    """Unlock what the loss locked, all but the cards that did not turn up."""
    return lift_face(doors, holder, body)


def holder_view(doors: Deps, holder: str) -> HolderView:
    """A holder, masked. Problem: holder_unknown."""
    with reading(doors.engine) as conn:
        person = masked(conn, doors.vault, holder)
        locked = is_locked(conn, holder)
    if person is None:
        raise _unknown(holder)
    return HolderView(
        holder=holder, identity=person.identity, name=person.name, phone=person.phone, locked=locked
    )


def card_view(held: HeldCard) -> CardView:
    """A card tied to a holder."""
    return CardView(
        card_no=held.card_no, tied_at=held.tied_at, status=held.status, holder_class=held.holder_class
    )


def lose_face(doors: Deps, face: str, *, but: bytes | None = None) -> LossView:
    """Report a loss by a holder's id or a card's number; the holder's sessions end, but the one that reports."""

    def work(conn: Connection) -> LossReported | LossRefused:
        answer = report_loss(conn, face, at=doors.now())
        if isinstance(answer, LossReported) and answer.holder is not None:
            end_sessions(conn, answer.holder, but=but)
        return answer

    answer = doors.writer.write(work)
    if isinstance(answer, LossRefused):
        raise refused(answer)
    return LossView(
        holder=answer.holder,
        cards=list(answer.cards),
        reported_at=answer.reported_at,
        first_time=answer.first_time,
    )


def lift_face(doors: Deps, face: str, body: Lifting) -> LiftView:
    """Lift a loss by a holder's id or a card's number."""
    at, still_lost = doors.now(), body.still_lost
    answer = doors.writer.write(lambda conn: lift_loss(conn, face, at=at, still_lost=still_lost))
    if isinstance(answer, LossRefused):
        raise refused(answer)
    return LiftView(holder=answer.holder, cards=list(answer.cards))


def _log_look(
    conn: Connection, doors: Deps, caller: Caller, holder: str, kind: str, shown: Disclosure
) -> bool:
    """Log a counter's look at a holder, of one who is not there too; whether the holder is there."""
    known = is_holder(conn, holder)
    outcome = shown if known else LinkRefusal.HOLDER_UNKNOWN
    _log(conn, doors, caller, holder, kind, AT_COUNTER, outcome)
    return known


def _log(
    conn: Connection, doors: Deps, caller: Caller, holder: str, kind: str, purpose: str, outcome: str
) -> None:
    at = doors.now()
    log_read(conn, holder, kind, reader=caller.participant, purpose=purpose, outcome=outcome, at=at)


def _unknown(holder: str) -> Exception:
    return problem("holder_unknown", f"there is no holder {holder}; look at the id again")
