"""The OpenAPI document held against the API: whatever is sent, the answer is documented and never our failure."""

from enum import StrEnum
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.http.codes import CodeRefusal
from api.http.problems import CODES, MEDIA_TYPE, Problem, documented, problem
from api.http.tokens_kept import SCOPES
from card.holders import HolderRefusal
from card.links import LinkRefusal
from card.loss import LossRefusal
from clearing.online.payment import Decline
from clearing.online.refund import RefundRefusal
from clearing.online.reversal import ReversalRefusal
from clearing.online.topup import TopUpRefusal
from tests.api.http_doors import Doors, one_api

REASONS = (
    CodeRefusal, HolderRefusal, LinkRefusal, LossRefusal, Decline, RefundRefusal, ReversalRefusal, TopUpRefusal,
)  # fmt: skip
"""The refusals of the rooms below; each reason is a code of the API under its own name."""
EXAMPLES = 5
Operation = APIOperation[Any, Any, Any, Any]
Case = schemathesis.Case[Any]


@schemathesis.check
def not_our_failure(_ctx: schemathesis.CheckContext, response: schemathesis.Response, _case: Case) -> None:
    """500 is a bug; 503 is an answer, where a peer that the endpoint needs is not there."""
    assert response.status_code != 500, response.text


CONFORMANCE = [
    not_our_failure,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
LABELS = [
    f"{method.upper()} {path}" for path, item in one_api().openapi()["paths"].items() for method in item
]
Fuzzed = dict[str, Operation]


@pytest.fixture(scope="module")
def fuzzed(standing_doors: Doors) -> Fuzzed:
    """The operations as Schemathesis reads them, sent to the standing API in this process."""
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", standing_doors.client.app)
    found = (one.ok() for one in schema.get_all_operations() if isinstance(one, Ok))
    return {operation.label: operation for operation in found if operation is not None}


@pytest.mark.parametrize("reasons", REASONS)
def test_every_reason_of_the_rooms_below_is_a_code(reasons: type[StrEnum]) -> None:
    assert [reason.value for reason in reasons if reason.value not in CODES] == []


def test_the_document_is_openapi_3_1_with_one_schema_for_problems(standing_doors: Doors) -> None:
    document = standing_doors.client.get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in str(document)
    for path, item in document["paths"].items():
        assert path.startswith("/v1/")
        for operation in item.values():
            assert operation["description"]
            assert operation["tags"]
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "/oauth/" not in path:
                    assert set(response["content"]) == {MEDIA_TYPE}
            if operation.get("security"):
                assert "401" in operation["responses"]
            if operation.get("requestBody"):
                assert {"400", "422"} <= set(operation["responses"])


def test_the_guide_names_every_scope_and_the_document_too() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    assert [scope for scope in SCOPES if f"`{scope}`" not in guide] == []
    flows = one_api().openapi()["components"]["securitySchemes"]["institution"]["flows"]
    assert flows["clientCredentials"]["scopes"] == SCOPES


def test_a_problem_outside_the_table_is_a_mistake_of_ours() -> None:
    for status, code in ((418, "teapot"), (400, "insufficient")):
        with pytest.raises(ValueError, match="add it to the table"):
            Problem(status, code, "no")


def test_a_problem_has_the_members_of_rfc_9457_and_its_own() -> None:
    body = problem("rate_limited", "slowly", retry_after_s=3).body
    assert body == {
        "type": "urn:onecard:problem:rate_limited", "title": "Too many requests", "status": 429,
        "code": "rate_limited", "detail": "slowly", "retry_after_s": 3,
    }  # fmt: skip
    assert set(documented("insufficient", "holder_unknown", "holder_locked")) == {404, 409}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("PATCH", "/v1/payments", 405, "method_not_allowed"),
        ("GET", "/v1/payments/%00", 401, "credentials_missing"),
    ],
)
def test_what_the_framework_refuses_is_a_problem_like_any_other(
    standing_doors: Doors, method: str, path: str, status: int, code: str
) -> None:
    answer = standing_doors.client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == MEDIA_TYPE


@pytest.fixture(scope="module")
def narrow(standing_doors: Doors) -> list[dict[str, str]]:
    """Institutions that may do one thing each, one for every scope."""
    return [standing_doors.institution("SHOP-1", scope) for scope in SCOPES]


@pytest.mark.parametrize("label", LABELS)
def test_whatever_is_sent_is_answered_as_documented(
    standing_doors: Doors, fuzzed: Fuzzed, narrow: list[dict[str, str]], label: str
) -> None:
    """With every role: nobody, a holder, an institution that may do everything, and those that may do one thing."""
    doors, operation = standing_doors, fuzzed[label]
    # A person for each endpoint: what is sent to one may rename, lock or forget its holder.
    holder = doors.enrol(100 + LABELS.index(label))
    roles: list[dict[str, str]] = [{}, doors.session(holder), doors.institution("SHOP-1")]
    # Who may do one thing gets the first example; the others get all.
    of_example = chain([[*roles, *narrow]], repeat(roles))
    good = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    try:
        bad = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    except Unsatisfiable:
        bad = good

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=good | bad, known=st.booleans())
    def send(case: Case, known: bool) -> None:
        if known and case.path_parameters and "holder" in case.path_parameters:
            case.path_parameters["holder"] = holder
        for headers in next(of_example):
            case.call_and_validate(headers=headers, checks=CONFORMANCE)

    send()
    assert operation.label == label
