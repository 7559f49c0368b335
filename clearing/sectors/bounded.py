"""Asking a peer over HTTP within bounds: who sends too much, or too slowly, has not answered."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

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


class BoundedClient:
    """A peer at `base_url`, each wait for which is bounded by `timeout_s`; its connections end with the block."""

    def __init__(self, base_url: str, *, timeout_s: float, headers: Mapping[str, str] | None = None) -> None:
        self._timeout_s = timeout_s
        self._client = httpx.Client(
            base_url=base_url,
            timeout=timeout_s,
            headers=headers,
            follow_redirects=False,
            trust_env=False,
            # Whom to trust takes longer to load than most answers, and says nothing of a line in the clear.
            verify=httpx.URL(base_url).scheme == "https",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
