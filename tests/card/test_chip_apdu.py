"""Command and answer APDUs as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card.chip.apdu import Answer, Apdu, ApduError

BYTE = st.integers(0, 255)
APDUS = st.builds(Apdu, BYTE, BYTE, BYTE, BYTE, st.binary(max_size=255), st.none() | st.integers(1, 256))


@given(APDUS)
def test_a_command_reads_back_as_it_was_written(apdu: Apdu) -> None:
    assert Apdu.unpack(apdu.pack()) == apdu


@given(st.binary(max_size=270))
def test_bytes_are_a_command_that_writes_back_the_same_or_an_apdu_error(raw: bytes) -> None:
    try:
        apdu = Apdu.unpack(raw)
    except ApduError as refused:
        assert refused.remedy in str(refused)
    else:
        assert apdu.pack() == raw


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ("", "header"),
        ("00A404", "header"),
        ("805001020B01", "Lc"),
        ("805001020001", "Lc"),  # extended length
        ("8050010201AABBCC", "Lc"),
    ],
)
def test_a_length_that_does_not_fit_names_the_field(raw: str, field: str) -> None:
    with pytest.raises(ApduError) as refused:
        Apdu.unpack(bytes.fromhex(raw))
    assert refused.value.field == field


def test_more_data_than_a_short_command_carries_is_refused() -> None:
    with pytest.raises(ApduError, match="256 bytes"):
        Apdu(0, 0, 0, 0, bytes(256)).pack()


@given(st.binary(max_size=64), st.integers(0, 0xFFFF))
def test_an_answer_reads_back_as_it_was_written(data: bytes, word: int) -> None:
    assert Answer.unpack(Answer(data, word).pack()) == Answer(data, word)


def test_an_answer_without_a_status_word_is_refused() -> None:
    with pytest.raises(ApduError):
        Answer.unpack(b"\x90")
