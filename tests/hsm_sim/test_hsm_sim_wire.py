"""Frames: any pieces give the same requests, and only the protocol's own error comes out."""

import pytest
from hsm_sim.wire import (
    FRAME_BOUND_BYTES,
    KEPT_BYTES,
    ROOM_BYTES,
    ErrorCode,
    FrameDecoder,
    FrameError,
    Request,
    encode_answer,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.hsm_sim.raw_peer import frame

REQUESTS = st.builds(
    Request,
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=2, max_size=2),
    st.binary(max_size=40) | st.integers(0xFFFF - 10, 0xFFFF).map(bytes),
)


def _counted(size: int) -> bytes:
    """So many bytes, no two pieces alike."""
    return b"".join(place.to_bytes(4) for place in range(size // 4 + 1))[:size]


def decode(pieces: list[bytes]) -> list[Request]:
    decoder, found = FrameDecoder(), []
    for piece in pieces:
        decoder.feed(piece)
        while (request := decoder.next_request()) is not None:
            found.append(request)
    return found


@given(st.lists(st.tuples(REQUESTS, st.booleans()), max_size=4), st.data())
def test_requests_come_out_whole_whatever_the_pieces(
    framed: list[tuple[Request, bool]], data: st.DataObject
) -> None:
    stream = b"".join(
        frame(asked.command, bytes(asked.fields), asked.header, long=long) for asked, long in framed
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode(pieces) == [request for request, _ in framed]


@given(
    st.lists(
        st.builds(Request, st.just(b"HEAD"), st.just(b"F0"), st.integers(0, 3 * ROOM_BYTES).map(_counted)),
        max_size=4,
    ),
    st.integers(1, 2 * ROOM_BYTES),
)
def test_one_that_lends_gives_out_long_fields_where_they_lie_until_more_is_put_there(
    asked: list[Request], at_once: int
) -> None:
    decoder, found = FrameDecoder(lends=True), []
    stream = memoryview(b"".join(frame(one.command, bytes(one.fields), one.header) for one in asked))
    while stream:
        room = decoder.room()
        count = min(len(room), len(stream), at_once)
        room[:count], stream = stream[:count], stream[count:]
        decoder.took(count)
        while (request := decoder.next_request()) is not None:
            lent = isinstance(request.fields, memoryview)
            assert lent == (len(request.fields) + 6 >= 0xFFFF)
            found.append(Request(request.header, request.command, bytes(request.fields)))
    assert found == asked and decoder.unread_bytes == 0


def test_room_for_a_frame_is_made_once_and_given_up_where_it_was_very_large() -> None:
    decoder = FrameDecoder(lends=True)
    for size, kept in ((KEPT_BYTES // 2, KEPT_BYTES // 2 + 12), (KEPT_BYTES, ROOM_BYTES)):
        rest = frame(b"F0", bytes(size))
        decoder.feed(rest[:6])
        assert len(decoder.room()) == len(rest) - 6, "no more is read than belongs to the frame"
        decoder.feed(rest[6:])
        assert decoder.next_request() is not None
        assert len(decoder.room()) == kept


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_from_any_bytes_come_requests_or_the_frame_error(pieces: list[bytes]) -> None:
    try:
        found = decode(pieces)
    except FrameError:
        return
    assert all(len(request.header) == 4 and len(request.command) == 2 for request in found)


@pytest.mark.parametrize("length", [0, 1, 5])
def test_a_frame_too_short_for_a_header_and_a_command_is_refused(length: int) -> None:
    with pytest.raises(FrameError, match=f"announces {length} bytes"):
        decode([length.to_bytes(2) + bytes(length)])


def test_a_frame_over_the_bound_is_refused_before_it_arrives() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\xff\xff" + FRAME_BOUND_BYTES.to_bytes(4))
    assert decoder.next_request() is None
    decoder = FrameDecoder()
    decoder.feed(b"\xff\xff" + (FRAME_BOUND_BYTES + 1).to_bytes(4))
    with pytest.raises(FrameError, match="16777217"):
        decoder.next_request()


@pytest.mark.parametrize(
    ("asked", "answered"), [(b"NC", b"ND"), (b"E0", b"E1"), (b"G6", b"G7"), (b"\xff\xff", b"\xff\x00")]
)
def test_an_answers_command_is_one_higher(asked: bytes, answered: bytes) -> None:
    frame_of_answer = encode_answer(Request(b"HEAD", asked, b""), ErrorCode.DONE, b"x")
    assert frame_of_answer == b"\x00\x09HEAD" + answered + b"00x"


@pytest.mark.parametrize(("fields", "prefix"), [(0xFFFE - 8, "fffe"), (0xFFFF - 8, "ffff0000ffff")])
def test_an_answer_of_65535_bytes_is_a_long_frame(fields: int, prefix: str) -> None:
    answer = encode_answer(Request(b"HEAD", b"B2", b""), ErrorCode.DONE, bytes(fields))
    assert answer.startswith(bytes.fromhex(prefix) + b"HEADB300")
    assert len(answer) == len(prefix) // 2 + 8 + fields
