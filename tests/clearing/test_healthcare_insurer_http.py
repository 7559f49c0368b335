"""The insurer's answers as bytes: read strictly, and whatever else comes in is no answer, never an error."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city.insurer import running_insurer
from clearing.sectors.healthcare.insurer import ClaimAnswer, InsurerDay, NoAnswer, PaidClaim, Standing
from clearing.sectors.healthcare.insurer_http import HttpInsurer, read_answer, read_day
from ledger.entry import MAX_AMOUNT_FEN

REFERENCE = "hospital:HOSP-1:B1"
GOOD = {
    "reference": REFERENCE, "standing": "approved", "fund_fen": 19_000, "insurer_no": "YB1", "reason": "",
}  # fmt: skip


def told(**changed: Any) -> bytes:
    return json.dumps(GOOD | changed).encode()


def test_a_good_answer_is_read_as_it_was_written() -> None:
    assert read_answer(REFERENCE, told()) == ClaimAnswer(REFERENCE, Standing.APPROVED, 19_000, "YB1", "")


def test_a_proxy_of_the_environment_does_not_come_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with running_insurer(tmp_path) as running, HttpInsurer(running.url, timeout_s=20) as insurer:
        heard = insurer.query(REFERENCE)
    assert isinstance(heard, ClaimAnswer), heard
    assert heard.standing is Standing.NOT_FOUND


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "not JSON"),
        (b"<html>200 OK</html>", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 16_000, "not JSON"),
        (b"1" * 16_000, "not JSON"),
        (b"[]", "not about this claim"),
        (b"null", "not about this claim"),
        (told(reference="hospital:HOSP-1:B2"), "not about this claim"),
        (told(standing="paid"), "standing 'paid'"),
        (told(standing=["approved"]), "standing"),
        (told(fund_fen="19000"), "fund_fen '19000'"),
        (told(fund_fen=19000.0), "fund_fen 19000.0"),
        (told(fund_fen=True), "fund_fen True"),
        (told(fund_fen=-1), "fund_fen -1"),
        (told(fund_fen=MAX_AMOUNT_FEN + 1), "fund_fen"),
        (told(insurer_no="Y" * 41), "insurer_no"),
        (told(insurer_no=None), "insurer_no"),
        (told(reason="a\0b"), "reason"),
        (told(reason="\ud800"), "reason"),
        (told(reason="x" * 201), "reason"),
    ],
)
def test_an_answer_that_does_not_read_so_is_no_answer(content: bytes, detail: str) -> None:
    found = read_answer(REFERENCE, content)
    assert isinstance(found, NoAnswer)
    assert detail in found.detail and found.sent
    assert len(found.detail) <= 200 and found.detail.isprintable()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD]) | st.text(), inner),
)


@given(st.binary() | anything.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_at_all_raise_an_error(content: bytes) -> None:
    assert isinstance(read_answer(REFERENCE, content), NoAnswer)


@given(st.dictionaries(st.sampled_from([*GOOD]), anything, max_size=2))
def test_an_answer_with_members_changed_is_read_or_is_none(changed: dict[str, Any]) -> None:
    found = read_answer(REFERENCE, told(**changed))
    assert isinstance(found, NoAnswer) or found.reference == REFERENCE


DAY = date(2018, 9, 1)
LINE = {"reference": REFERENCE, "fund_fen": 19_000, "insurer_no": "YB1"}
OTHER = {"reference": "hospital:HOSP-1:B2", "fund_fen": 0, "insurer_no": "YB2"}
WHOLE = {"business_date": "2018-09-01", "count": 2, "fund_fen": 19_000, "claims": [LINE, OTHER]}


def day_told(**changed: Any) -> bytes:
    return json.dumps(WHOLE | changed).encode()


def test_a_days_claims_are_read_as_they_were_written() -> None:
    claims = (PaidClaim(REFERENCE, 19_000, "YB1"), PaidClaim("hospital:HOSP-1:B2", 0, "YB2"))
    found = read_day(DAY, day_told())
    assert found == InsurerDay(DAY, claims)
    assert isinstance(found, InsurerDay) and found.fund_fen == 19_000


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"<html>", "not JSON"),
        (b"[]", "not those of this day"),
        (day_told(business_date="2018-09-02"), "not those of this day"),
        (day_told(count=None), "count, fund_fen or claims"),
        (day_told(count=True), "count, fund_fen or claims"),
        (day_told(claims={}), "count, fund_fen or claims"),
        (day_told(claims=[LINE, 5]), "claim 2 of the day"),
        (day_told(claims=[LINE | {"reference": ""}]), "claim 1 of the day"),
        (day_told(claims=[LINE | {"reference": "a\0"}]), "claim 1 of the day"),
        (day_told(claims=[LINE | {"fund_fen": -1}]), "claim 1 of the day"),
        (day_told(claims=[LINE | {"insurer_no": "Y" * 41}]), "claim 1 of the day"),
        (day_told(claims=[LINE, LINE]), "listed twice"),
        (day_told(count=1), "told are 1 claims of 19000 fen, listed 2 claims of 19000 fen"),
        (day_told(fund_fen=19_001), "told are 2 claims of 19001 fen"),
        (
            day_told(
                claims=[LINE | {"reference": f"R{n}", "fund_fen": MAX_AMOUNT_FEN} for n in range(10_001)]
            ),
            "more than a day can hold",
        ),
    ],
)
def test_a_day_that_does_not_read_so_is_no_answer(content: bytes, detail: str) -> None:
    found = read_day(DAY, content)
    assert isinstance(found, NoAnswer)
    assert detail in found.detail and len(found.detail) <= 200


@given(
    st.binary()
    | st.dictionaries(st.sampled_from([*WHOLE]), anything, max_size=3).map(
        lambda changed: day_told(**changed)
    )
)
def test_no_bytes_of_a_day_raise_an_error(content: bytes) -> None:
    found = read_day(DAY, content)
    assert isinstance(found, NoAnswer) or found.business_date == DAY
