"""The holder's pages that move money: the pay code, top-ups, utility bills, contributions.

Each form goes through the endpoint of the API that does the same, under the form's own key.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from api.http import me, qr, social_security, utility_bills
from api.http.access import Session
from api.http.clients import topup_channels
from api.http.fields import ParticipantId
from api.http.problems import Problem, problem
from api.http.state import Deps
from api.pages.forms import amount_fen, done, form_key, once_of
from api.pages.page import explained, names, render
from api.pages.visitor import Doors, Visitor
from ledger.db import reading

router = APIRouter(prefix="/me")

Field = Annotated[str, Form(max_length=64)]
LISTED = 10


@router.get("/pay", response_class=HTMLResponse)
def pay_code(request: Request, session: Visitor, doors: Doors) -> HTMLResponse:
    """A code for a counter to scan; our script renews it, and without one the page does."""
    return render(request, "pay.html", **_code(session, doors))


@router.get("/pay/code", response_class=HTMLResponse)
def next_code(request: Request, session: Visitor, doors: Doors) -> HTMLResponse:
    """The next code alone, to be put in the place of the last one."""
    return render(request, "pay_code.html", **_code(session, doors))


@router.get("/topup", response_class=HTMLResponse)
def topup_form(
    request: Request, session: Visitor, doors: Doors, ordered: Annotated[str, Query(max_length=48)] = ""
) -> HTMLResponse:
    """Ask for a channel and an amount; list the newest top-ups."""
    return _topups(request, session, doors, ordered=ordered)


@router.post("/topup")
def order_topup(
    request: Request, session: Visitor, doors: Doors, channel: Field = "", amount: Field = "", key: Field = ""
) -> Response:
    """Order money through a channel."""
    try:
        wish = _topup_wish(channel, amount)
        ordered = done(me.order_my_topup(wish, session, doors, once_of(request, doors, key, wish)))
    except Problem as refusal:
        return _topups(request, session, doors, channel=channel, amount=amount, **explained(request, refusal))
    return RedirectResponse(f"/me/topup?ordered={ordered['reference']}", 303)


@router.get("/bills", response_class=HTMLResponse)
def bills(
    request: Request, session: Visitor, doors: Doors, biller: Annotated[str, Query(max_length=16)] = "",
    account: Annotated[str, Query(max_length=40)] = "", *, paid: bool = False,
) -> HTMLResponse:  # fmt: skip
    """Ask a biller for an account's bills; list what was paid."""
    return _bills(request, session, doors, biller, account, paid=paid)


@router.post("/bills")
def pay_bill(
    request: Request, session: Visitor, doors: Doors, biller: Field = "", account: Field = "", bill: Field = "",
    amount: Field = "", key: Field = "",
) -> Response:  # fmt: skip
    """Pay a bill, or a part of it where the biller takes parts, from the wallet."""
    try:
        order = _bill_order(biller, account, bill, amount)
        done(utility_bills.pay_mine(order, session, doors, once_of(request, doors, key, order)))
    except Problem as refusal:
        return _bills(request, session, doors, biller, account, **explained(request, refusal))
    return RedirectResponse("/me/bills?paid=true", 303)


@router.post("/records")
def pay_contribution(
    request: Request, session: Visitor, doors: Doors, agency: Annotated[ParticipantId, Form()],
    number: Annotated[str, Form(pattern=social_security.NUMBER)], bracket: Field = "", key: Field = "",
) -> Response:  # fmt: skip
    """Pay a contribution by one of its brackets, from the wallet."""
    try:
        chosen = social_security.Chosen(bracket=bracket)
    except ValidationError:
        raise problem("bracket_unknown", "no bracket was chosen; choose one of the bill's") from None
    once = once_of(request, doors, f"{number}-{key}"[:58], chosen)
    done(social_security.pay_contribution(agency, number, chosen, session, doors, once))
    return RedirectResponse("/me/records?paid=true", 303)


def _code(session: Session, doors: Deps) -> dict[str, Any]:
    made = qr.pay_code(session, doors)
    return {"code": made, "life_s": max(1, int((made.expires_at - doors.now()).total_seconds()))}


def _topups(
    request: Request, session: Session, doors: Deps, *, channel: str = "", amount: str = "", ordered: str = "",
    problem: str = "", status_code: int = 200,
) -> HTMLResponse:  # fmt: skip
    with reading(doors.engine) as conn:
        channels, known = topup_channels(conn), names(conn, request)
    return render(
        request, "topup.html", status_code, channels=channels, names=known, channel=channel,
        amount=amount, ordered=ordered, problem=problem, key=form_key(doors),
        topups=me.my_topups(session, doors, limit=LISTED).items,
    )  # fmt: skip


def _topup_wish(channel: str, amount: str) -> me.TopUpWish:
    wanted_fen = amount_fen(amount)
    try:
        return me.TopUpWish(channel=channel, amount_fen=wanted_fen)
    except ValidationError:
        raise problem("channel_unknown", "no channel was chosen; choose one of the list") from None


def _bills(
    request: Request, session: Session, doors: Deps, biller: str, account: str, *, paid: bool = False,
    problem: str = "", status_code: int = 200,
) -> HTMLResponse:  # fmt: skip
    """The page of bills; where the biller cannot be asked, that is what it says."""
    catalogue = utility_bills.catalogue(doors).items
    account_no = "".join(account.split())
    shown = None
    if biller and account_no:
        try:
            if biller not in {one.biller for one in catalogue}:
                raise _unknown_biller()
            shown = utility_bills.bills(doors, biller, account_no)
        except Problem as refusal:
            if not problem:
                refused = explained(request, refusal)
                problem, status_code = refused["problem"], refused["status_code"]
    return render(
        request, "bills.html", status_code, billers=catalogue, biller=biller, account=account_no,
        shown=shown, paid=paid, problem=problem, key=form_key(doors),
        part=any(one.part_payment for one in catalogue if one.biller == biller),
        payments=utility_bills.my_payments(session, doors, None, LISTED).items,
        billers_by_id={one.biller: one.name for one in catalogue},
    )  # fmt: skip


def _unknown_biller() -> Problem:
    return problem("biller_unknown", "the biller is not in the catalogue; choose one of the list")


def _bill_order(biller: str, account: str, bill: str, amount: str) -> utility_bills.BillToPay:
    wanted_fen = amount_fen(amount)
    try:
        return utility_bills.BillToPay(biller=biller, account_no=account, bill_no=bill, amount_fen=wanted_fen)
    except ValidationError:
        raise problem("bill_unknown", "the bill is not one of the list; ask for the bills again") from None
