"""Waiting for what another process does, by asking again and again; no test knows how long that takes."""

import time
from collections.abc import Callable

POLL_S = 0.05
GIVEN_UP_S = 120.0


def wait_until(reached: Callable[[], object]) -> None:
    """Ask until it is so. Raises TimeoutError where it never is."""
    deadline = time.monotonic() + GIVEN_UP_S
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError("what the test waits for never came")
        time.sleep(POLL_S)
