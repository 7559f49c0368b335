"""Cards that are nobody's, or whose holder is not at hand: loss is reported by the card's number."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.http.access import Caller, institution
from api.http.fields import CardNo
from api.http.holders import Lifting, LiftView, LossView, lift_face, lose_face
from api.http.problems import documented
from api.http.state import Deps, deps
from card.loss import LossRefusal

router = APIRouter(prefix="/v1/cards", tags=["holders"])

CardWriter = Annotated[Caller, Depends(institution("cards:write"))]
Doors = Annotated[Deps, Depends(deps)]


@router.post("/{card_no}/loss", response_model=LossView, responses=documented(LossRefusal))
def lose(card_no: CardNo, caller: CardWriter, doors: Doors) -> LossView:
    """Lock a card, and where it is tied to a holder, every face of the holder."""
    return lose_face(doors, card_no)


@router.post("/{card_no}/loss/lifting", response_model=LiftView, responses=documented(LossRefusal))
def lift(card_no: CardNo, body: Lifting, caller: CardWriter, doors: Doors) -> LiftView:
    """Unlock what the loss locked, all but the cards that did not turn up."""
    return lift_face(doors, card_no, body)
