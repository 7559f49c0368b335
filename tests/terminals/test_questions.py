"""A counter's unanswered questions: the same one keeps its key through a restart, until it is answered."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terminals.questions import ASKED_AGAIN_WITHIN, Questions, digest_of

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


@settings(max_examples=30, deadline=None)
@given(
    asked=st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans(), st.integers(-90, 90)), max_size=12
    )
)
def test_a_question_keeps_its_key_for_an_hour_until_it_is_answered_and_no_key_is_given_twice(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[str, bool, bool, int]]
) -> None:
    path = tmp_path_factory.mktemp("questions") / "questions.db"
    numbers = count()
    waiting: dict[str, tuple[str, datetime]] = {}
    given_before: set[str] = set()
    now = AT

    def opened() -> Questions:
        return Questions(path, lambda: f"key-{next(numbers)}", lambda: now, "off")

    questions = opened()
    for name, is_answered, restarts, minutes in asked:
        now += timedelta(minutes=minutes)
        key = questions.key_of(name)
        before, since = waiting.get(name, ("", now))
        if before and abs(now - since) <= ASKED_AGAIN_WITHIN:
            assert key == before
        else:
            assert key not in given_before
            waiting[name] = key, now
        given_before.add(key)
        if is_answered:
            questions.answered(name)
            del waiting[name]
        if restarts:
            with questions:
                pass
            questions = opened()
        assert questions.open() == len(waiting)
    with questions:
        pass


def test_a_question_is_its_address_and_its_content_in_any_order() -> None:
    body = {"card_no": "1", "why": "bent"}
    assert digest_of("/a", body) == digest_of("/a", dict(reversed(body.items())))
    assert len({digest_of("/a", body), digest_of("/b", body), digest_of("/a", body | {"why": "lost"})}) == 3
    assert len(digest_of("/a", body)) == 64
