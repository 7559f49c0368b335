"""The insurer's answers as bytes: read strictly, and whatever else comes in is no answer, never an error."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city.insurer import running_insurer
from clearing.sectors.healthcare.insurer import ClaimAnswer, NoAnswer, Standing
from clearing.sectors.healthcare.insurer_http import HttpInsurer, read_answer
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
