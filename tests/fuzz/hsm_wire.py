"""What any bytes may do to both ends of the HSM's wire: nothing but answers, error codes and protocol errors."""

from hsm_sim.bulk_work import BulkWork
from hsm_sim.commands import answer
from hsm_sim.wire import ErrorCode, FrameDecoder, FrameError, encode_answer

from card.hsm.codec import Answer, AnswerReader
from card.hsm.errors import HsmError
from tests.hsm_sim.host_peer import machine

BOX = machine()


def replay(data: bytes) -> tuple[int, int]:
    """Play the bytes to a server, in pieces as long as the first byte says, and its answers to a client.

    Then play them to a client as they are. How many requests were answered, and how many of them refused.
    Raises AssertionError where something other than the protocol's own errors came of it.
    """
    size, stream = (data[0] or 256 if data else 1), data[1:]
    # No client asks for what no command can be called, and none understands the answer.
    answers = [one for one in served(stream, size) if _command(one).isalnum()]
    heard = read(b"".join(answers), size)
    assert heard is not None and len(heard) == len(answers), "the client does not understand the server"
    read(stream, size)
    return len(answers), sum(one.error not in ("00", "01") for one in heard)


def _command(framed: bytes) -> bytes:
    """The answer's command."""
    start = 10 if framed[:2] == b"\xff\xff" else 6
    return framed[start : start + 2]


def served(stream: bytes, size: int) -> list[bytes]:
    """The framed answers to a stream of requests, until it ends or is none."""
    decoder, answers = FrameDecoder(), list[bytes]()
    for start in range(0, len(stream), size):
        decoder.feed(stream[start : start + size])
        try:
            while (request := decoder.next_request()) is not None:
                found = answer(BOX, request)
                if isinstance(found, BulkWork):
                    found = found.rows.to_bytes(4) + bytes(found.verdict_bytes)
                error, fields = (found, b"") if isinstance(found, ErrorCode) else (ErrorCode.DONE, found)
                answers.append(encode_answer(request, error, fields))
        except FrameError:
            break
    return answers


def read(stream: bytes, size: int) -> list[Answer] | None:
    """The answers in a stream, or None where a client finds it garbled."""
    reader, found = AnswerReader(), list[Answer]()
    for start in range(0, len(stream), size):
        try:
            found.extend(reader.feed(stream[start : start + size]))
        except HsmError as error:
            assert error.code == "garbled", error
            return None
    return found
