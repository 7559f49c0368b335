"""The back office for counters elsewhere: loads by the card's own offers, and services to cards.

A counter's client acts for the agent who runs it; what it takes and pays is that agent's. A load is found again
by its own reference, so that whatever is asked twice is done once even where the key was lost.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from sqlalchemy import Connection

from api.http.access import Caller, institution
from api.http.fields import Body, CardNo, Text
from api.http.idempotency import Answer, Once, once
from api.http.problems import Problem, documented, problem
from api.http.state import Deps, deps
from card.holders import HolderRefusal
from card.life import LifeRefusal
from card.loss import LossRefusal
from city.card_desk import CardDesk, TurnedAway, serve
from city.office import Office
from clearing.wire.bcd import moment_of
from terminals.card_service import Service, ServiceAsked
from terminals.loads import Decline, Declined, LoadReceipt, LoadRequest, OfficeGone, request_of
from terminals.remote_office import waiting_fields

router = APIRouter(prefix="/v1/counter", tags=["counter"])

MOST_ON_CHIP_FEN = 0xFFFFFFFF
MOST_WHY = 64
"""What a clerk can type at the counter; a line of a card's life has room for it."""


def _moment(text: str) -> str:
    moment_of(bytes.fromhex(text))
    return text


Clerks = Annotated[Caller, Depends(institution("counter:write"))]
Doors = Annotated[Deps, Depends(deps)]
Key = Annotated[Once, Depends(once)]
Rnd = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]
Mac = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]
Moment = Annotated[str, StringConstraints(pattern=r"^[0-9]{14}$"), AfterValidator(_moment)]
Terminal = Annotated[str, StringConstraints(pattern=r"^[0-9A-F]{12}$")]
Words = Annotated[Text, Field(min_length=1, max_length=MOST_WHY)]
Amount = Annotated[int, Field(strict=True, ge=0, le=MOST_ON_CHIP_FEN)]


class LoadBody(Body):
    """A card's offer to take a load, signed by MAC1: bytes in hex, moments YYYYMMDDHHMMSS in city time.

    `order` names a load that waits at the office; where it is empty, this is a new one, named by the card and
    its counter.
    """

    card_no: CardNo
    issuer: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{8}$")]
    key_version: int = Field(strict=True, ge=1, le=255)
    algorithm: int = Field(strict=True, ge=0, le=1)
    rnd: Rnd
    counter: int = Field(strict=True, ge=0, le=0xFFFF)
    balance_fen: Amount
    amount_fen: int = Field(strict=True, ge=1, le=MOST_ON_CHIP_FEN)
    kind: int = Field(strict=True, ge=1, le=2)
    terminal: Terminal
    moment: Moment
    mac1: Mac
    ordered_at: Moment
    order: Annotated[str, StringConstraints(pattern=r"^[!-~]{0,64}$")] = ""

    def request(self) -> LoadRequest:
        """As the office takes it."""
        return request_of(self.model_dump(include=set(LoadBody.model_fields)))


class ProofBody(LoadBody):
    """A load that the card has made, by its TAC."""

    tac: Mac


class ReturnBody(LoadBody):
    """A load that the card has not taken; `attempts` is how many there were before it made this offer."""

    attempts: int = Field(strict=True, ge=0, le=10**6)


class ServiceBody(Body):
    """What a clerk wants done to a card.

    `amount_fen` is the deposit of `issue` and what `hand_in` keeps for wear; `new_card` is for `replace`.
    """

    service: Service
    card_no: CardNo
    clerk: Words
    why: Words
    amount_fen: Amount = 0
    new_card: Annotated[str, StringConstraints(pattern=r"^([0-9]{20})?$")] = ""


class Mac2View(BaseModel):
    """What the card wants to see before it takes the load."""

    mac2: str


class LoadView(BaseModel):
    """The load is booked so: `proved`, `settled` or `returned`."""

    outcome: str


class TriedView(BaseModel):
    """The last offer of the card that the load was authorised for."""

    counter: int
    balance_fen: int
    terminal: str
    moment: str


class WaitingLoadView(BaseModel):
    """A load that is paid and not known to be on the card."""

    reference: str
    card_no: str
    amount_fen: int
    paid_from: str
    ordered_at: str
    attempts: int
    last: TriedView | None


class CounterCardView(BaseModel):
    """A card as the office knows it: `state` is empty where it knows nothing of it."""

    card_no: str
    state: str
    stopped: bool
    waiting: list[WaitingLoadView]


class ServedView(BaseModel):
    """What was done to a card."""

    service: Service
    card_no: str
    amount_fen: int
    cards: int
    due_on: date | None


LOADS = documented(Decline, "office_unavailable")


@router.get("/cards/{card_no}", response_model=CounterCardView, responses=documented("office_unavailable"))
def one_card(card_no: CardNo, caller: Clerks, doors: Doors) -> CounterCardView:
    """Tell how a card stands, and the loads that wait for it, oldest first."""
    with_office = _office(caller, doors)
    try:
        waiting = with_office.waiting(card_no)
        standing = CardDesk(doors.engine, caller.participant, doors.now).standing(card_no)
    except OfficeGone as gone:
        raise problem("office_unavailable", str(gone)) from gone
    views = [WaitingLoadView.model_validate(waiting_fields(one)) for one in waiting]
    return CounterCardView(card_no=card_no, state=standing.state, stopped=standing.stopped, waiting=views)


@router.post("/loads/authorisation", response_model=Mac2View, responses=LOADS)
def authorise(body: LoadBody, caller: Clerks, doors: Doors, key: Key) -> Response:
    """Take the money for a load that the card offers to take, and let its MAC2 go."""

    def work(office: Office) -> BaseModel | Declined:
        mac2 = office.authorise(body.request())
        return mac2 if isinstance(mac2, Declined) else Mac2View(mac2=mac2.hex())

    return _answered(caller, doors, key, work)


@router.post("/loads/proof", response_model=LoadView, responses=LOADS)
def prove(body: ProofBody, caller: Clerks, doors: Doors, key: Key) -> Response:
    """Book a load that the card has made."""
    receipt = LoadReceipt(body.request(), bytes.fromhex(body.tac))
    return _answered(caller, doors, key, lambda office: office.confirm(receipt) or LoadView(outcome="proved"))


@router.post("/loads/settlement", response_model=LoadView, responses=LOADS)
def settle(body: LoadBody, caller: Clerks, doors: Doors, key: Key) -> Response:
    """Book what an earlier counter of the card was authorised for: the offer shows that it has taken it."""
    return _answered(
        caller, doors, key, lambda office: office.settle(body.request()) or LoadView(outcome="settled")
    )


@router.post("/loads/return", response_model=LoadView, responses=LOADS)
def give_back(body: ReturnBody, caller: Clerks, doors: Doors, key: Key) -> Response:
    """Give a load back that the card, by its offer, has not taken; the counter pays out what an agent took."""
    return _answered(
        caller,
        doors,
        key,
        lambda office: office.give_back(body.request(), body.attempts) or LoadView(outcome="returned"),
    )


@router.post(
    "/services",
    response_model=ServedView,
    responses=documented(LifeRefusal, LossRefusal, HolderRefusal, "malformed"),
)
def service(body: ServiceBody, caller: Clerks, doors: Doors, key: Key) -> Response:
    """Issue, activate, block, replace or take back a card, report or lift its loss, move or pay its balance."""
    asked = ServiceAsked(**body.model_dump())

    def work(conn: Connection) -> Answer | Problem:
        try:
            served = serve(conn, asked, caller.participant, at=doors.now())
        except TurnedAway as away:
            raise problem(away.answer.reason, away.answer.message) from away
        return Answer(200, ServedView.model_validate(asdict(served)))

    return key.in_transaction(caller.subject, work)


def _office(caller: Caller, doors: Deps) -> Office:
    """The office of the agent whose counter asks."""
    return Office(doors.engine, doors.hsm, caller.participant, now=doors.now)


def _answered(
    caller: Caller, doors: Deps, key: Once, work: Callable[[Office], BaseModel | Declined]
) -> Response:
    """The office's answer, once; it asks the HSM, so that it has transactions of its own."""

    def done() -> Answer | Problem:
        try:
            said = work(_office(caller, doors))
        except OfficeGone as gone:
            raise problem("office_unavailable", str(gone)) from gone
        if isinstance(said, Declined):
            return problem(said.reason.value, said.message)
        return Answer(200, said)

    return key.around(caller.subject, done)
