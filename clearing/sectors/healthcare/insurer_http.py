"""The insurer over HTTP with JSON (docs/healthcare.md); whatever cannot be read is no answer."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any, TypeGuard
from urllib.parse import quote

import httpx

from clearing.sectors.bounded import BoundedClient, Unbounded, ask_within
from clearing.sectors.healthcare.insurer import (
    Claim,
    ClaimAnswer,
    Heard,
    InsurerDay,
    NoAnswer,
    PaidClaim,
    Standing,
)
from ledger.entry import MAX_AMOUNT_FEN

TIMEOUT_S = 5.0
LONGEST_WHOLE_ANSWER_TIMEOUTS = 2
"""How many timeouts a whole answer may take: a peer that sends it byte by byte is slow, too."""
LONGEST_ANSWER_BYTES = 16_384
LONGEST_DAY_BYTES = 64 << 20
LONGEST_DAY_TIMEOUTS = 12
"""How many timeouts a day's claims may take."""
LARGEST_DAY_FEN = 10**18
LONGEST_REFERENCE = 64
LONGEST_NUMBER = 40
LONGEST_REASON = 200


class HttpInsurer(BoundedClient):
    """An insurer at `base_url`; each wait for it is bounded by `timeout_s`, a whole answer by twice that.

    A day's claims may take longer: twelve times.
    """

    def __init__(self, base_url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(base_url, timeout_s=timeout_s)

    def claim(self, claim: Claim) -> Heard:
        """Ask for payment; called once a reference."""
        return self._ask("POST", "/claims", claim.reference, _body(claim))

    def query(self, reference: str) -> Heard:
        """Ask what became of a claim."""
        return self._ask("GET", f"/claims/{quote(reference, safe='')}", reference, None)

    def cancel(self, reference: str) -> Heard:
        """Take a claim back."""
        return self._ask("POST", f"/claims/{quote(reference, safe='')}/cancel", reference, {})

    def day(self, business_date: date) -> InsurerDay | NoAnswer:
        """Ask for the claims of a business date that the insurer pays, with their totals."""
        reference = business_date.isoformat()
        answered = self._content(
            "GET", f"/days/{reference}/claims", reference, None, LONGEST_DAY_BYTES, LONGEST_DAY_TIMEOUTS
        )
        if isinstance(answered, NoAnswer):
            return answered
        status, content = answered
        if status != 200:
            return NoAnswer(reference, f"the insurer answered with HTTP status {status}")
        return read_day(business_date, content)

    def _ask(self, method: str, path: str, reference: str, body: dict[str, object] | None) -> Heard:
        answered = self._content(
            method, path, reference, body, LONGEST_ANSWER_BYTES, LONGEST_WHOLE_ANSWER_TIMEOUTS
        )
        if isinstance(answered, NoAnswer):
            return answered
        status, content = answered
        if status not in (200, 404):
            return NoAnswer(reference, f"the insurer answered with HTTP status {status}")
        return read_answer(reference, content)

    def _content(
        self, method: str, path: str, reference: str, body: object, most_bytes: int, timeouts: int
    ) -> tuple[int, bytes] | NoAnswer:
        longest_s = self._timeout_s * timeouts
        try:
            return ask_within(self._client, method, path, body, most_bytes=most_bytes, longest_s=longest_s)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return NoAnswer(reference, _shortened(f"the insurer cannot be reached: {error}"), sent=False)
        except httpx.HTTPError as error:
            return NoAnswer(reference, _shortened(f"{type(error).__name__}: {error}"))
        except Unbounded as error:
            return NoAnswer(reference, str(error))


def read_answer(reference: str, content: bytes) -> Heard:
    """Read the insurer's JSON; NoAnswer where it is not one or is about something else."""
    told = _object(content)
    if told is None:
        return NoAnswer(reference, "the answer is not JSON")
    if told.get("reference") != reference:
        return NoAnswer(reference, "the answer is not about this claim")
    fund_fen, number, reason = told.get("fund_fen"), told.get("insurer_no"), told.get("reason")
    if not _is_amount(fund_fen):
        return NoAnswer(reference, _shortened(f"fund_fen {_shown(fund_fen)} is not an amount in fen"))
    if told.get("standing") not in list(Standing):
        return NoAnswer(reference, _shortened(f"standing {_shown(told.get('standing'))} is not known"))
    for name, text, most in (("insurer_no", number, LONGEST_NUMBER), ("reason", reason, LONGEST_REASON)):
        if not isinstance(text, str) or len(text) > most or not text.isprintable():
            return NoAnswer(reference, _shortened(f"{name} {_shown(text)} is not a text of at most {most}"))
    return ClaimAnswer(reference, Standing(told["standing"]), fund_fen, str(number), str(reason))


def read_day(business_date: date, content: bytes) -> InsurerDay | NoAnswer:
    """Read a day's claims and hold their totals against them; NoAnswer where they do not read so."""
    reference, told = business_date.isoformat(), _object(content)
    if told is None:
        return NoAnswer(reference, "the day's claims are not JSON")
    if told.get("business_date") != reference:
        return NoAnswer(reference, "the claims are not those of this day")
    count, fund_fen, rows = told.get("count"), told.get("fund_fen"), told.get("claims")
    if type(count) is not int or type(fund_fen) is not int or not isinstance(rows, list):
        return NoAnswer(reference, "count, fund_fen or claims are missing or not possible")
    claims = [_paid_claim(row) for row in rows]
    read = tuple(claim for claim in claims if claim is not None)
    if len(read) < len(claims):
        place = claims.index(None)
        return NoAnswer(reference, f"claim {place + 1} of the day is not possible")
    if len({claim.reference for claim in read}) < len(read):
        return NoAnswer(reference, "a claim is listed twice")
    total_fen = sum(claim.fund_fen for claim in read)
    if total_fen > LARGEST_DAY_FEN:
        return NoAnswer(reference, f"the claims come to {total_fen} fen, more than a day can hold")
    if (count, fund_fen) != (len(read), total_fen):
        told_words = f"{count} claims of {fund_fen} fen"
        return NoAnswer(
            reference, _shortened(f"told are {told_words}, listed {len(read)} claims of {total_fen} fen")
        )
    return InsurerDay(business_date, read)


def _paid_claim(row: Any) -> PaidClaim | None:
    if not isinstance(row, dict):
        return None
    reference, fund_fen, number = row.get("reference"), row.get("fund_fen"), row.get("insurer_no")
    for text, most in ((reference, LONGEST_REFERENCE), (number, LONGEST_NUMBER)):
        if not isinstance(text, str) or not 0 < len(text) <= most or not text.isprintable():
            return None
    return PaidClaim(str(reference), fund_fen, str(number)) if _is_amount(fund_fen) else None


def _is_amount(told: Any) -> TypeGuard[int]:
    return type(told) is int and 0 <= told <= MAX_AMOUNT_FEN


def _object(content: bytes) -> Mapping[str, Any] | None:
    """The JSON object, an empty one for any other JSON, None for what is no JSON."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else {}


def _body(claim: Claim) -> dict[str, object]:
    return {
        "reference": claim.reference,
        "business_date": claim.business_date.isoformat(),
        "hospital": claim.hospital,
        "level": claim.level,
        "insured": claim.insured,
        "category": claim.category.value,
        "treated_on": claim.treated_on.isoformat(),
        "pool": claim.pool,
        "policy_version": claim.policy_version,
        "total_fen": claim.total_fen,
        "deductible_fen": claim.deductible_fen,
        "fund_fen": claim.fund_fen,
        "items": [
            {
                "code": item.code,
                "catalogue_class": item.catalogue_class.value,
                "amount_fen": item.amount_fen,
                "first_share_bp": item.first_share_bp,
            }
            for item in claim.items
        ],
    }


def _shown(told: object) -> str:
    """A value in words; of a list or an object, which may be nested beyond measure, only its kind."""
    return type(told).__name__ if isinstance(told, list | dict) else repr(told)


def _shortened(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable[:LONGEST_REASON]
