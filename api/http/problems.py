"""What the API answers where it cannot do as asked: RFC 9457 problem details with a stable `code`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from fastapi import Request
from fastapi.responses import JSONResponse

MEDIA_TYPE: Final = "application/problem+json"
SCHEMA_REF: Final = "#/components/schemas/Problem"
BUSY_RETRY_S: Final = 2


@dataclass(frozen=True, slots=True)
class Code:
    """One line of the table: the HTTP status a code comes with, and its title."""

    status: int
    title: str


CODES: Final[Mapping[str, Code]] = {
    # every endpoint
    "request_malformed": Code(400, "The request cannot be read"),
    "request_invalid": Code(422, "A field of the request is missing or not possible"),
    "cursor_invalid": Code(400, "The cursor is not one that this list gave"),
    "not_found": Code(404, "There is nothing here"),
    "method_not_allowed": Code(405, "This address does not take that method"),
    "body_too_large": Code(413, "The body is too long"),
    "internal_error": Code(500, "The error is ours"),
    "books_not_open": Code(503, "No business day is open"),
    "busy": Code(503, "Too much waits to be written"),
    "hsm_unavailable": Code(503, "The security module does not answer"),
    "peer_unavailable": Code(503, "The other side does not answer"),
    # access
    "credentials_missing": Code(401, "Credentials are required"),
    "credentials_invalid": Code(401, "The token is unknown, withdrawn or expired"),
    "scope_missing": Code(403, "The token does not carry the scope"),
    "rate_limited": Code(429, "Too many requests"),
    # idempotency
    "idempotency_key_missing": Code(400, "An Idempotency-Key is required"),
    "idempotency_conflict": Code(409, "The Idempotency-Key was used for another request"),
    "idempotency_in_progress": Code(
        409, "The first request with this Idempotency-Key is still being answered"
    ),
    # pages
    "amount_unreadable": Code(422, "The amount is not one"),
    "file_changed": Code(409, "The file is not what the night left"),
    # sessions
    "code_wrong": Code(401, "The code is wrong"),
    "code_expired": Code(401, "The code has expired"),
    "code_spent": Code(401, "The code was used, or tried too often"),
    # reasons of several rooms
    "malformed": Code(422, "A text or number is not possible"),
    "amount_not_positive": Code(422, "The amount is not above zero"),
    "reference_taken": Code(409, "The reference belongs to something else"),
    "ledger_refuses": Code(409, "The books do not take it"),
    "holder_unknown": Code(404, "No such holder"),
    "holder_locked": Code(409, "The holder has reported a loss"),
    "card_unknown": Code(404, "No such card"),
    "card_not_active": Code(409, "The card is not in use"),
    # card.holders, card.loss
    "identity_malformed": Code(422, "The identity number is not one"),
    "name_malformed": Code(422, "The name is not possible"),
    "phone_malformed": Code(422, "The telephone number is not possible"),
    "person_differs": Code(409, "The person is recorded otherwise"),
    "card_tied_elsewhere": Code(409, "The card belongs to another holder"),
    "not_reported": Code(409, "No loss is reported"),
    "card_not_of_loss": Code(409, "The card was not locked by this loss"),
    "pockets_not_empty": Code(409, "There is money in the pockets"),
    # card.life and loads at counters
    "not_in_this_state": Code(409, "The card stands where that cannot happen to it"),
    "other_card_unfit": Code(409, "The other card cannot take its place"),
    "load_waits": Code(409, "A load waits to be written to the card"),
    "too_early": Code(409, "Taps of the card may still come"),
    "amount": Code(422, "The amount is not possible"),
    "books_refuse": Code(409, "The books do not take it"),
    "mac_wrong": Code(409, "The card's proof is wrong"),
    "unfinished": Code(409, "A load of the card is not finished"),
    "returned": Code(409, "The load was given back"),
    "proved": Code(409, "The load is on the card"),
    "office_unavailable": Code(503, "The office cannot do its work now"),
    # card.links
    "purpose_not_fitting": Code(422, "The purpose needs no such link"),
    "number_malformed": Code(422, "The number is not possible"),
    "number_differs": Code(409, "Another number is linked"),
    "number_taken": Code(409, "The number is linked to another holder"),
    "expiry_past": Code(422, "The expiry has passed"),
    "not_granted": Code(403, "The holder has not consented"),
    "purpose_not_granted": Code(403, "The holder has not consented to this purpose"),
    "revoked": Code(403, "The consent is revoked"),
    "expired": Code(403, "The consent has expired"),
    "link_unknown": Code(404, "No such link"),
    # clearing.online: payments, reversals, refunds
    "leg_not_payable": Code(422, "The holder cannot pay from there"),
    "merchant_unknown": Code(409, "The merchant is not of the scheme"),
    "subsidy_not_accepted": Code(409, "The merchant may not take the subsidy pocket"),
    "payment_unknown": Code(404, "No such payment"),
    "reversed_before": Code(409, "The payment was reversed before it came"),
    "insufficient": Code(409, "There is not enough money in the pocket"),
    "already_reversed": Code(409, "The payment is already reversed"),
    "refunded_before": Code(409, "Part of the payment has been given back"),
    "payment_reversed": Code(409, "The payment is reversed"),
    "above_payment": Code(409, "The refund is more than is left of the payment"),
    "not_a_purchase": Code(409, "The payment is undone where it was made"),
    # clearing.online: top-ups
    "channel_unknown": Code(404, "No such channel"),
    "topup_unknown": Code(404, "No such top-up"),
    "channel_differs": Code(409, "The top-up was ordered from another channel"),
    "amount_differs": Code(409, "Another amount was ordered"),
    "confirmed_otherwise": Code(409, "The top-up was confirmed otherwise"),
    "channel_reference_taken": Code(409, "The channel's number confirmed another top-up"),
    # hospital
    "bill_no_malformed": Code(422, "The bill's number is not possible"),
    "no_items": Code(422, "A bill has 1 to 1000 items"),
    "item_malformed": Code(422, "An item of the bill is not possible"),
    "bill_taken": Code(409, "The number belongs to another bill"),
    "bill_unknown": Code(404, "No such bill"),
    "nothing_to_cancel": Code(409, "The insurer refused the bill: nothing was paid"),
    "hospital_unknown": Code(409, "The hospital is not registered with its level"),
    "treatment_ahead": Code(422, "The treatment is after today"),
    "not_insured": Code(409, "No medical cover on the day of the treatment"),
    "no_policy": Code(409, "No policy is in force on the day of the treatment"),
    "split_changed": Code(409, "The split is not what the patient agreed to"),
    # billers
    "reference_malformed": Code(422, "The reference is not possible"),
    "biller_unknown": Code(404, "No such biller"),
    "account_malformed": Code(422, "The account number is not possible"),
    "account_unknown": Code(404, "The biller has no such account"),
    "bill_settled": Code(409, "The bill is paid"),
    "more_than_open": Code(409, "The amount is more than is open on the bill"),
    "part_not_permitted": Code(409, "The biller takes bills whole"),
    "already_returned": Code(409, "The biller refused it and the money is back"),
    "not_same_day": Code(409, "Only payments of the same business day are taken back"),
    "no_difference": Code(409, "The payment is not missing in the biller's file"),
    "other_biller": Code(409, "The file is another biller's"),
    "other_day": Code(409, "The file is of another business date"),
    "issue_taken": Code(409, "The issue came before with other content"),
    "issue_superseded": Code(409, "A newer issue is reconciled"),
    # operators' batch files
    "batch_name_malformed": Code(422, "The name is no batch's"),
    "other_operator": Code(403, "The file is another operator's"),
    "batch_flawed": Code(422, "The file is not a whole, sound batch"),
    # agency
    "file_flawed": Code(422, "The file has flaws"),
    "other_agency": Code(403, "The file is another agency's"),
    "batch_unknown": Code(404, "No such batch"),
    "batch_number_taken": Code(409, "The number is another batch's"),
    "fund_unknown": Code(409, "The fund is none of the agency's"),
    "same_person": Code(403, "Who brought it cannot check it"),
    "reason_missing": Code(422, "A reason is required"),
    "batch_wrong_state": Code(409, "The batch is beyond that"),
    "day_not_open": Code(409, "The business day is not open"),
    "fund_short": Code(409, "The fund does not cover the batch"),
    "contribution_unknown": Code(404, "No such contribution bill"),
    "contribution_withdrawn": Code(409, "The contribution bill was withdrawn"),
    "contribution_paid": Code(409, "The contribution is paid"),
    "contribution_not_paid": Code(409, "The contribution is not paid"),
    "bracket_unknown": Code(409, "The bracket is not one of the bill's"),
    "not_payable_now": Code(409, "The contribution cannot be paid on this day"),
    "months_paid": Code(409, "A month of it is paid already"),
    # qr
    "device_key_malformed": Code(422, "The device key is not one"),
    "rides_owed": Code(409, "Earlier rides are not paid yet"),
    "wallet_too_low": Code(409, "There is not enough in the wallet for a ride"),
    "pay_code_malformed": Code(422, "The pay code is not one"),
    "pay_code_unknown": Code(404, "Nobody shows this pay code"),
    "pay_code_used": Code(409, "The pay code has paid already"),
    "pay_code_expired": Code(409, "The pay code has expired"),
    "over_pay_code_limit": Code(409, "The amount is more than a pay code pays"),
    "merchant_code_unreadable": Code(422, "The merchant code cannot be read"),
    "merchant_code_unknown": Code(404, "No such merchant code"),
    "merchant_code_differs": Code(409, "The merchant code was altered"),
    "merchant_code_used": Code(409, "The merchant code has been paid"),
    "merchant_code_withdrawn": Code(409, "The merchant code is withdrawn"),
    "amount_missing": Code(422, "The amount is missing"),
}
"""Every code with its status and title; a sector adds its own under its heading."""


class Problem(Exception):
    """Raised by an endpoint, rendered as `application/problem+json` (RFC 9457, section 3).

    `status` and `code` are those of the table (anything else is a bug, ValueError); `detail` says to a
    person what was wrong and what to do; `members` are further members of the answer.
    """

    def __init__(self, status: int, code: str, detail: str, **members: object) -> None:
        if code not in CODES or CODES[code].status != status:
            raise ValueError(f"problem {code!r} with status {status} is not in CODES; add it to the table")
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.members = members

    @property
    def body(self) -> dict[str, object]:
        """The members of the answer."""
        return {
            "type": f"urn:onecard:problem:{self.code}",
            "title": CODES[self.code].title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.members,
        }


def problem(code: str, detail: str, **members: object) -> Problem:
    """The problem of a code, with the status that the table gives it."""
    return Problem(CODES[code].status, code, detail, **members)


def too_busy() -> Problem:
    """The problem of who cannot be written now; by the time to ask again, what waited has been."""
    detail = "too much waits to be written, and nothing was begun; ask again in a moment"
    return problem("busy", detail, retry_after_s=BUSY_RETRY_S)


class Refusal(Protocol):
    """What the rooms below answer where they do not do it: a reason of an ordered enum, and a sentence."""

    @property
    def reason(self) -> StrEnum:
        """The first reason that applies; its value is a code of the table."""

    @property
    def message(self) -> str:
        """What was wrong and what to do."""


def refused(answer: Refusal) -> Problem:
    """The problem of a refusal: the code is the reason's own name."""
    return problem(answer.reason.value, answer.message)


def render(answer: Problem) -> JSONResponse:
    """The problem as a response, with the header that its status asks for."""
    headers = {}
    if answer.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="onecard"'
    retry_after_s = answer.members.get("retry_after_s")
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return JSONResponse(answer.body, answer.status, headers, MEDIA_TYPE)


def problem_answer(_request: Request, error: Exception) -> JSONResponse:
    """FastAPI's handler for `Problem`."""
    if not isinstance(error, Problem):
        raise error
    return render(error)


def documented(*codes: str | type[StrEnum]) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of an endpoint: these problems by status, each code with an example.

    An enum of reasons stands for all of them.

    What every endpoint of its kind may answer (401, 403, 422, …) is added by `api.http.openapi`.
    """
    by_status: dict[int | str, dict[str, Any]] = {}
    for code in _each(codes):
        entry = CODES[code]
        response = by_status.setdefault(
            entry.status,
            {"description": "", "content": {MEDIA_TYPE: {"schema": {"$ref": SCHEMA_REF}, "examples": {}}}},
        )
        example = {
            "type": f"urn:onecard:problem:{code}",
            "title": entry.title,
            "status": entry.status,
            "code": code,
            "detail": f"{entry.title}; what to do is said here.",
        }
        response["content"][MEDIA_TYPE]["examples"][code] = {"summary": entry.title, "value": example}
        response["description"] = ", ".join(response["content"][MEDIA_TYPE]["examples"])
    return by_status


def _each(codes: Iterable[str | type[StrEnum]]) -> Iterator[str]:
    for code in codes:
        if isinstance(code, str):
            yield code
        else:
            yield from (reason.value for reason in code)


PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "type": "object",
    "description": "RFC 9457 problem details; `code` is stable, `detail` is for people.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(CODES)},
        "detail": {"type": "string"},
    },
}
"""The schema of every problem in the OpenAPI document."""
