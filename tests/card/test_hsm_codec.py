"""The HSM's wire format from the client's side, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card.hsm.codec import (
    MAX_FRAME,
    Answer,
    AnswerReader,
    CardKeyRef,
    answer_command,
    fixed,
    name_field,
    number,
    order,
    request,
)
from card.hsm.errors import HsmError

H = bytes.fromhex
KEYS = CardKeyRef.of("01011000", "03104870000000001234", 1)
CODE = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=2)
ANSWERS = st.builds(Answer, st.binary(min_size=4, max_size=4), CODE, CODE, st.binary(max_size=200))


def framed(answer: Answer, *, long: bool = False) -> bytes:
    """An answer as an HSM would send it."""
    body = answer.header + (answer.command + answer.error).encode() + answer.fields
    return (b"\xff\xff" + len(body).to_bytes(4, "big") if long else len(body).to_bytes(2, "big")) + body


def test_the_formats_own_example_byte_for_byte() -> None:
    fields = (
        KEYS.pack()
        + H("11223344")
        + number("counter", 0x36, 2)
        + order(200, 6, H("518000000001"))
        + H("20260131164329")
        + number("terminal_sequence", 0x57, 4)
    )
    assert request(1, "E0", fields) == H(
        "0034000000014530010001011000FFFFFFFF4870000000001234112233440036000000C806"
        "5180000000012026013116432900000057"
    )
    (answer,) = AnswerReader().feed(H("000C00000001" + "45313030" + "ECE05309"))
    assert answer == Answer(H("00000001"), "E1", "00", H("ECE05309"))
    assert answer.command == answer_command("E0")


@pytest.mark.parametrize(("asked", "answered"), [("NC", "ND"), ("E0", "E1"), ("N0", "N1"), ("G6", "G7")])
def test_the_answers_command_is_one_higher(asked: str, answered: str) -> None:
    assert answer_command(asked) == answered


@given(st.lists(st.tuples(ANSWERS, st.booleans()), max_size=5), st.data())
def test_answers_come_out_whole_however_the_stream_is_cut(
    sent: list[tuple[Answer, bool]], data: st.DataObject
) -> None:
    stream = b"".join(framed(answer, long=long) for answer, long in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader = AnswerReader()
    arrived: list[Answer] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        arrived += reader.feed(stream[start:end])
    assert arrived == [answer for answer, _ in sent]


@given(st.binary(max_size=200))
def test_any_stream_gives_answers_or_an_error_that_says_garbled(raw: bytes) -> None:
    try:
        answers = list(AnswerReader().feed(raw))
    except HsmError as refused:
        assert refused.code == "garbled"
    else:
        assert all(len(answer.command) == len(answer.error) == 2 for answer in answers)


@pytest.mark.parametrize("length", [0, 7, MAX_FRAME + 1, 0xFFFFFFFF])
def test_a_frame_out_of_bounds_is_refused_before_it_is_awaited(length: int) -> None:
    head = length.to_bytes(2, "big") if length < 0xFFFF else b"\xff\xff" + length.to_bytes(4, "big")
    with pytest.raises(HsmError, match="garbled"):
        list(AnswerReader().feed(head))


def test_a_request_too_long_for_two_bytes_announces_itself() -> None:
    assert request(1, "B2", bytes(0xFFFF - 7))[:2] == H("FFFE")
    long = request(1, "B2", bytes(0xFFFF - 6))
    assert long[:6] == H("FFFF0000FFFF")
    assert len(long) == 6 + 0xFFFF
    with pytest.raises(ValueError, match="16777216"):
        request(1, "B2", bytes(MAX_FRAME))


def test_a_card_is_named_by_issuer_and_the_right_hand_of_its_number() -> None:
    assert KEYS.pack() == H("0100" + "01011000FFFFFFFF" + "4870000000001234")


@pytest.mark.parametrize("name", ["", "METRO-123", "深圳", "A\n"])
def test_an_operator_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="operator"):
        name_field("operator", name)


def test_an_operators_name_is_padded_with_spaces() -> None:
    assert name_field("operator", "METRO-1") == b"METRO-1 "


def test_values_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="counter is 65536"):
        number("counter", 0x10000, 2)
    with pytest.raises(ValueError, match="amount_fen is -1"):
        order(-1, 6, bytes(6))
    with pytest.raises(ValueError, match="rnd"):
        fixed("rnd", bytes(3), 4)


@pytest.mark.parametrize("code", ["12", "26", "unreachable", "99"])
def test_an_error_says_the_command_the_code_and_a_remedy(code: str) -> None:
    error = HsmError("E0", code, "detail")
    assert (error.command, error.code) == ("E0", code)
    said = str(error)
    assert "E0" in said and code in said and "detail" in said and len(said.split(": ")) >= 3
