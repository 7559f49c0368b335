"""A holder's own pages: what is in the pockets, what happened, the cards, who looked, a receipt to print."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.http import me, social_security
from api.http.fields import ParticipantId
from api.http.links import Withdrawal
from api.http.problems import problem
from api.pages.forms import form_key
from api.pages.page import names, render
from api.pages.visitor import Doors, Visitor
from card.link_policy import LinkKind, Purpose
from card.loss import is_locked
from city.home import CITY_ZONE
from clearing.holder.history import history_of, read_place, written
from clearing.holder.holdings import holdings_of
from clearing.sectors.healthcare.bill_book import bills_of_holder
from clearing.sectors.healthcare.registers import category_on
from ledger.db import reading

router = APIRouter(prefix="/me")
PAGE_ROWS = 20
RECENT_ROWS = 5


@router.get("", response_class=HTMLResponse)
def home(request: Request, session: Visitor, doors: Doors) -> HTMLResponse:
    """Every pocket and purse, cleared and pending, and the newest happenings."""
    at = doors.now()
    who = me.who(session, doors)
    with reading(doors.engine) as conn:
        holdings = holdings_of(conn, session.holder, at=at)
        recent, _ = history_of(conn, session.holder, limit=RECENT_ROWS, archive=doors.archive)
        known = names(conn, request)
    return render(request, "home.html", who=who, holdings=holdings, rows=recent, names=known, at=at)


@router.get("/history", response_class=HTMLResponse)
def history(
    request: Request, session: Visitor, doors: Doors, before: Annotated[str, Query(max_length=400)] = ""
) -> HTMLResponse:
    """All that happened, over all channels, a page at a time."""
    place = read_place(before) if before else None
    if before and place is None:
        raise problem("cursor_invalid", "the address is not one of this list; begin at its newest page")
    with reading(doors.engine) as conn:
        rows, more = history_of(conn, session.holder, limit=PAGE_ROWS, before=place, archive=doors.archive)
        known = names(conn, request)
    older = None if more is None else written(more)
    return render(request, "history.html", rows=rows, names=known, older=older, paged=bool(before))


@router.get("/receipt", response_class=HTMLResponse)
def receipt(
    request: Request,
    session: Visitor,
    doors: Doors,
    reference: Annotated[str, Query(pattern=me.BOOK_REFERENCE)],
) -> HTMLResponse:
    """One payment of the holder's, to be printed."""
    paid = me.my_payment(reference, session, doors)
    who = me.who(session, doors)
    with reading(doors.engine) as conn:
        known = names(conn, request)
    return render(request, "receipt.html", paid=paid, who=who, names=known)


@router.get("/cards", response_class=HTMLResponse)
def cards(request: Request, session: Visitor, doors: Doors, *, reported: bool = False) -> HTMLResponse:
    """The holder's cards with their purses, and the way to report a loss."""
    with reading(doors.engine) as conn:
        holdings = holdings_of(conn, session.holder, at=doors.now())
        locked = is_locked(conn, session.holder)
    return render(
        request, "cards.html", cards=me.my_cards(session, doors), locked=locked, reported=reported,
        purses={one.name: one for one in holdings.purses},
    )  # fmt: skip


@router.get("/loss", response_class=HTMLResponse)
def before_loss(request: Request, session: Visitor, doors: Doors) -> Response:
    """Say what a report locks, and ask once more."""
    with reading(doors.engine) as conn:
        if is_locked(conn, session.holder):
            return RedirectResponse("/me/cards", 303)
    return render(request, "loss.html", cards=me.my_cards(session, doors))


@router.post("/loss")
def report(session: Visitor, doors: Doors) -> RedirectResponse:
    """Lock every face at once; this session goes on, all others end."""
    me.lose(session, doors)
    return RedirectResponse("/me/cards?reported=true", 303)


@router.get("/records", response_class=HTMLResponse)
def records(request: Request, session: Visitor, doors: Doors, *, paid: bool = False) -> HTMLResponse:
    """The holder's hospital bills and social-security record."""
    with reading(doors.engine) as conn:
        bills = bills_of_holder(conn, session.holder)
        category = category_on(conn, session.holder, doors.now().astimezone(CITY_ZONE).date())
        known = names(conn, request)
    return render(
        request, "records.html", bills=bills, category=category, names=known, paid=paid,
        record=social_security.my_record(session, doors), key=form_key(doors),
    )  # fmt: skip


@router.get("/privacy", response_class=HTMLResponse)
def privacy(
    request: Request,
    session: Visitor,
    doors: Doors,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> HTMLResponse:
    """Who looked at the holder's data, and whom the holder lets look."""
    reads = me.who_looked(session, doors, cursor, PAGE_ROWS)
    with reading(doors.engine) as conn:
        known = names(conn, request)
    return render(
        request,
        "privacy.html",
        reads=reads,
        consents=me.my_consents(session, doors),
        names=known,
    )


@router.post("/privacy/{kind}/{granted_to}/{purpose}/withdrawal")
def withdraw(
    kind: LinkKind, granted_to: ParticipantId, purpose: Purpose, session: Visitor, doors: Doors
) -> RedirectResponse:
    """End a consent at once."""
    me.withdraw(kind, Withdrawal(granted_to=granted_to, purpose=purpose), session, doors)
    return RedirectResponse("/me/privacy", 303)
