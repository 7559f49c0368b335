"""What programs and phones get done at the API, each deed from its first question to its last answer.

A deed only asks by names (`city.asking.Caller`), so that begun again after a kill it takes the same way.
"""

from collections.abc import Callable, Mapping
from typing import Any

from city.asking import Answer, Caller, Unanswered
from city.diary import pause

BILL_OPEN = ("claiming", "unknown", "cancelling")
PAYMENT_OPEN = ("paid", "reversing")
MOST_QUESTIONS = 400
ENOUGH_QUESTIONS = 5
"""After so many questions that the insurer has no answer to, the hospital takes the bill back."""

Deed = Mapping[str, Any]


def do(caller: Caller, name: str, deed: Deed) -> None:
    """Do one deed of a plan. Raises Unanswered where it comes to no end, KeyError for one that nobody knows."""
    DEEDS[deed["kind"]](caller, name, deed)


def top_up(caller: Caller, name: str, deed: Deed) -> None:
    """A channel orders money for a wallet, then says that it was paid, or that it will not be."""
    reference, amount = deed["reference"], {"amount_fen": deed["amount_fen"]}
    order = {"reference": reference, "holder": deed["holder"], **amount}
    if not caller.ask(f"{name}-order", "POST", "/v1/topups", order).done:
        return
    if deed["fails"]:
        said = {"failed_at": deed["at"]}
        caller.ask(f"{name}-failure", "POST", f"/v1/topups/{reference}/failure", said)
        return
    paid = {**amount, "channel_reference": f"C-{reference}", "paid_at": deed["at"]}
    caller.ask(f"{name}-confirm", "POST", f"/v1/topups/{reference}/confirmation", paid)


def purchase(caller: Caller, name: str, deed: Deed) -> None:
    """A shop takes money from a wallet."""
    body = {field: deed[field] for field in ("reference", "holder", "amount_fen")}
    caller.ask(f"{name}-purchase", "POST", "/v1/payments", body)


def reversal(caller: Caller, name: str, deed: Deed) -> None:
    """A shop takes a payment back whole, come or not."""
    path = f"/v1/payments/{deed['of']}/reversal"
    caller.ask(f"{name}-reversal", "POST", path, {"reason": "the customer left"})


def refund(caller: Caller, name: str, deed: Deed) -> None:
    """A shop gives a part of a payment back."""
    body = {"reference": deed["reference"], "amount_fen": deed["amount_fen"]}
    caller.ask(f"{name}-refund", "POST", f"/v1/payments/{deed['of']}/refunds", body)


def hospital_bill(caller: Caller, name: str, deed: Deed) -> None:
    """A hospital previews a bill, settles it, asks until the insurer has answered, and may take it back."""
    bill = {field: deed[field] for field in ("bill_no", "holder", "treated_on", "items")}
    split = caller.ask(f"{name}-preview", "POST", "/v1/hospital/bills/preview", bill)
    if not split.done:
        return
    agreed = {field: split.body[field] for field in ("fund_fen", "account_fen", "patient_fen")}
    settled = caller.ask(f"{name}-settle", "POST", "/v1/hospital/bills", {**bill, "agreed": agreed})
    if not settled.done:
        return
    path = f"/v1/hospital/bills/{deed['bill_no']}"
    settled = _answered_for(caller, f"{name}-settled", path, settled)
    if deed["cancelled"] and settled.body["state"] == "paid":
        taken_back = caller.ask(
            f"{name}-cancel", "POST", f"{path}/cancellation", {"reason": "booked wrongly"}
        )
        _answered_for(caller, f"{name}-cancelled", path, taken_back)


def _answered_for(caller: Caller, name: str, path: str, answer: Answer) -> Answer:
    """Ask about a bill until it waits no more; one that nobody knows about for long is taken back."""
    for asked in range(MOST_QUESTIONS):
        if answer.body["state"] not in BILL_OPEN:
            return answer
        pause(asked)
        if asked == ENOUGH_QUESTIONS and answer.body["state"] != "cancelling":
            body = {"reason": "the insurer does not answer"}
            answer = caller.ask(f"{name}-give-up", "POST", f"{path}/cancellation", body)
        else:
            answer = caller.ask(f"{name}-{asked}", "POST", f"{path}/question")
    raise Unanswered(f"{path} is {answer.body['state']} after {MOST_QUESTIONS} questions")


def utility_bill(caller: Caller, name: str, deed: Deed) -> None:
    """A holder pays a bill, may take the payment back, and looks until the biller has had its say."""
    order = {field: deed[field] for field in ("biller", "account_no", "bill_no", "amount_fen")}
    paid = caller.ask(f"{name}-pay", "POST", "/v1/me/bill-payments", order)
    if not paid.done:
        return
    path = f"/v1/me/bill-payments/{paid.body['reference']}"
    if deed["reversed"]:
        caller.ask(f"{name}-reverse", "POST", f"{path}/reversal")
    for looked in range(MOST_QUESTIONS):
        shown = caller.ask(f"{name}-look-{looked}", "GET", path)
        if shown.body["state"] not in PAYMENT_OPEN:
            return
        pause(looked + 3)
    raise Unanswered(f"{path} is {shown.body['state']} after {MOST_QUESTIONS} looks")


def contribution(caller: Caller, name: str, deed: Deed) -> None:
    """A holder pays a contribution that an agency asks for."""
    path = f"/v1/me/contributions/{deed['agency']}/{deed['number']}/payment"
    caller.ask(f"{name}-contribution", "POST", path, {"bracket": deed["bracket"]})


def scan(caller: Caller, name: str, deed: Deed) -> None:
    """A holder pays a shop's code."""
    body = {field: deed[field] for field in ("reference", "payload", "amount_fen")}
    caller.ask(f"{name}-scan", "POST", "/v1/me/qr/payments", body)


DEEDS: Mapping[str, Callable[[Caller, str, Deed], None]] = {
    "top_up": top_up,
    "purchase": purchase,
    "reversal": reversal,
    "refund": refund,
    "hospital_bill": hospital_bill,
    "utility_bill": utility_bill,
    "contribution": contribution,
    "scan": scan,
}
"""Deeds by the kind that a plan calls them."""
