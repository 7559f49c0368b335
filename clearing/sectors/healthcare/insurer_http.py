"""The insurer over HTTP with JSON (docs/healthcare.md); whatever cannot be read is no answer."""

import json
import time
from types import TracebackType
from urllib.parse import quote

import httpx

from clearing.sectors.healthcare.insurer import Claim, ClaimAnswer, Heard, NoAnswer, Standing
from ledger.entry import MAX_AMOUNT_FEN

TIMEOUT_S = 5.0
LONGEST_WHOLE_ANSWER_TIMEOUTS = 2
"""How many timeouts a whole answer may take: a peer that sends it byte by byte is slow, too."""
LONGEST_ANSWER_BYTES = 16_384
LONGEST_NUMBER = 40
LONGEST_REASON = 200


class HttpInsurer:
    """An insurer at `base_url`; each wait for it is bounded by `timeout_s`, a whole answer by twice that."""

    def __init__(self, base_url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._longest_s = timeout_s * LONGEST_WHOLE_ANSWER_TIMEOUTS
        self._client = httpx.Client(
            base_url=base_url, timeout=timeout_s, follow_redirects=False, trust_env=False
        )

    def __enter__(self) -> "HttpInsurer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def claim(self, claim: Claim) -> Heard:
        """Ask for payment; called once a reference."""
        return self._ask("POST", "/claims", claim.reference, _body(claim))

    def query(self, reference: str) -> Heard:
        """Ask what became of a claim."""
        return self._ask("GET", f"/claims/{quote(reference, safe='')}", reference, None)

    def cancel(self, reference: str) -> Heard:
        """Take a claim back."""
        return self._ask("POST", f"/claims/{quote(reference, safe='')}/cancel", reference, {})

    def _ask(self, method: str, path: str, reference: str, body: dict[str, object] | None) -> Heard:
        deadline = time.monotonic() + self._longest_s
        try:
            with self._client.stream(method, path, json=body) as response:
                content = b""
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > LONGEST_ANSWER_BYTES:
                        return NoAnswer(reference, f"the answer is longer than {LONGEST_ANSWER_BYTES} bytes")
                    if time.monotonic() > deadline:
                        return NoAnswer(reference, f"the answer took longer than {self._longest_s} s")
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return NoAnswer(reference, _shortened(f"the insurer cannot be reached: {error}"), sent=False)
        except httpx.HTTPError as error:
            return NoAnswer(reference, _shortened(f"{type(error).__name__}: {error}"))
        if response.status_code not in (200, 404):
            return NoAnswer(reference, f"the insurer answered with HTTP status {response.status_code}")
        return read_answer(reference, content)


def read_answer(reference: str, content: bytes) -> Heard:
    """Read the insurer's JSON; NoAnswer where it is not one or is about something else."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return NoAnswer(reference, "the answer is not JSON")
    if not isinstance(told, dict) or told.get("reference") != reference:
        return NoAnswer(reference, "the answer is not about this claim")
    fund_fen, number, reason = told.get("fund_fen"), told.get("insurer_no"), told.get("reason")
    if type(fund_fen) is not int or not 0 <= fund_fen <= MAX_AMOUNT_FEN:
        return NoAnswer(reference, _shortened(f"fund_fen {fund_fen!r} is not an amount in fen"))
    if told.get("standing") not in list(Standing):
        return NoAnswer(reference, _shortened(f"standing {told.get('standing')!r} is not known"))
    for name, text, most in (("insurer_no", number, LONGEST_NUMBER), ("reason", reason, LONGEST_REASON)):
        if not isinstance(text, str) or len(text) > most or not text.isprintable():
            return NoAnswer(reference, _shortened(f"{name} {text!r} is not a text of at most {most}"))
    return ClaimAnswer(reference, Standing(told["standing"]), fund_fen, str(number), str(reason))


def _body(claim: Claim) -> dict[str, object]:
    return {
        "reference": claim.reference,
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


def _shortened(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable[:LONGEST_REASON]
