"""The kept corpus of the HSM's wire, and what Hypothesis makes of it; `make soak` lets a fuzzer loose on it."""

from pathlib import Path

import pytest
from hsm_sim.commands import COMMANDS
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.hsm_wire import read, replay

CORPUS = Path(__file__).parent / "corpus" / "hsm_wire"
KEPT = {path.stem: path.read_bytes() for path in sorted(CORPUS.glob("*.bin"))}


def test_the_corpus_has_a_request_that_is_granted_for_every_command() -> None:
    granted = {stem[:2].encode() for stem, data in KEPT.items() if replay(data) == (1, 0)}
    assert granted >= set(COMMANDS)


def test_the_corpus_stays_small_enough_to_keep() -> None:
    assert sum(map(len, KEPT.values())) < 100_000


@pytest.mark.parametrize("stem", KEPT)
def test_what_was_kept_is_borne_in_pieces_of_any_size(stem: str) -> None:
    data = KEPT[stem]
    whole = replay(b"\0" + data[1:])
    assert [replay(bytes((size,)) + data[1:]) for size in range(1, 12)] == [whole] * 11


@given(st.sampled_from(sorted(KEPT)), st.data())
def test_a_request_with_bytes_changed_or_lost_is_borne(stem: str, data: st.DataObject) -> None:
    changed = bytearray(KEPT[stem])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        if data.draw(st.booleans()):
            changed[place] = data.draw(st.integers(0, 255))
        elif len(changed) > 1:
            del changed[place]
    answered, refused = replay(bytes(changed))
    assert 0 <= refused <= answered


@given(st.lists(st.sampled_from(sorted(KEPT)) | st.binary(max_size=12), max_size=6), st.integers(0, 255))
def test_requests_and_noise_after_one_another_are_borne(parts: list[str | bytes], size: int) -> None:
    stream = b"".join(KEPT[part][1:] if isinstance(part, str) else part for part in parts)
    answered, refused = replay(bytes((size,)) + stream)
    assert 0 <= refused <= answered


@given(st.binary(max_size=400), st.integers(1, 50))
def test_a_client_takes_any_bytes_for_answers_or_for_none_of_an_hsm(stream: bytes, size: int) -> None:
    found = read(stream, size)
    assert found is None or sum(len(one.fields) + 8 for one in found) <= len(stream)
