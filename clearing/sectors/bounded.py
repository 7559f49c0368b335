"""Asking a peer over HTTP within bounds: who sends too much, or too slowly, has not answered."""

import time

import httpx


class Unbounded(Exception):
    """The answer is too long or takes too long; the message says which."""


def ask_within(
    client: httpx.Client,
    method: str,
    path: str,
    body: object | None,
    *,
    most_bytes: int,
    longest_s: float,
    file: bytes | None = None,
) -> tuple[int, bytes]:
    """Status and content of an answer of at most `most_bytes` that is here within `longest_s`.

    Sent is `body` as JSON, or `file` as it is.
    The client's own timeout bounds each single wait; a peer that sends byte by byte is slow, too. Raises
    Unbounded, and httpx.HTTPError where nothing that can be understood comes.
    """
    deadline = time.monotonic() + longest_s
    with client.stream(method, path, json=body, content=file) as response:
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > most_bytes:
                raise Unbounded(f"the answer is longer than {most_bytes} bytes")
            if time.monotonic() > deadline:
                raise Unbounded(f"the answer took longer than {longest_s:g} s")
    return response.status_code, bytes(content)
