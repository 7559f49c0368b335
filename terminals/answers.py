"""How long an answer across the network may be: what is longer is left before it fills the memory."""

import httpx


class AnswerTooLong(Exception):
    """The other side sends more than it may."""


def body_of(answer: httpx.Response, most_bytes: int) -> bytes:
    """The whole body of a streamed answer. Raises AnswerTooLong, and what httpx raises."""
    data = bytearray()
    for part in answer.iter_bytes():
        data += part
        if len(data) > most_bytes:
            raise AnswerTooLong(f"the answer to {answer.request.url.path} is longer than {most_bytes} bytes")
    return bytes(data)
