"""How often one caller may knock: bounds kept in this process, so that guessing and flooding cost others nothing.

They bound what a request costs us before anybody is known: an access token costs one scrypt, a one-time code a
message. What must hold across restarts and processes, codes per identity number, is counted in the database.
"""

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from fastapi import Request

from api.http.problems import Problem, problem

MOST_CALLERS: Final = 20_000
"""Remembered at once; beyond that the one who has been quiet longest is forgotten."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` requests at once, and from then on one more every `every`."""

    burst: int
    every: timedelta


class Limiter:
    """A rate for each key (the generic cell rate algorithm: one instant a key); safe to share between threads."""

    def __init__(self, rate: Rate, *, most_keys: int = MOST_CALLERS) -> None:
        self._rate = rate
        self._most_keys = most_keys
        self._paid_until: OrderedDict[str, datetime] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, key: str, at: datetime) -> int:
        """Whole seconds until the key may knock again: 0 where it may now. It changes nothing."""
        with self._lock:
            return self._wait_s(key, at)

    def take(self, key: str, at: datetime) -> int:
        """As `wait_s`; where that is 0, the knock is counted."""
        with self._lock:
            wait_s = self._wait_s(key, at)
            if not wait_s:
                self._paid_until[key] = max(self._paid_until.get(key, at), at) + self._rate.every
                self._paid_until.move_to_end(key)
                if len(self._paid_until) > self._most_keys:
                    self._paid_until.popitem(last=False)
            return wait_s

    def _wait_s(self, key: str, at: datetime) -> int:
        paid_until = max(self._paid_until.get(key, at), at)
        wait = paid_until + self._rate.every - at - self._rate.burst * self._rate.every
        return max(0, math.ceil(wait.total_seconds()))


def _limiter(burst: int, every_s: float) -> Limiter:
    return Limiter(Rate(burst, timedelta(seconds=every_s)))


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one running API."""

    token_requests: Limiter = field(default_factory=lambda: _limiter(300, 0.2))
    """By source: what scrypt may cost us."""
    token_failures: Limiter = field(default_factory=lambda: _limiter(10, 6))
    """By source and client: how fast a secret may be guessed; a client at another address is not shut out."""
    codes_asked: Limiter = field(default_factory=lambda: _limiter(30, 2))
    """By source: one-time codes for whatever identity numbers."""
    sign_ins: Limiter = field(default_factory=lambda: _limiter(60, 1))
    """By source: codes tried."""


def source_of(request: Request) -> str:
    """Where a request comes from: the peer's address; of IPv6 the network, which is what one caller has."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else host


def too_often(wait_s: int) -> Problem:
    """The problem of who knocks too often, with `Retry-After`."""
    return problem("rate_limited", f"too many requests; ask again in {wait_s} s", retry_after_s=wait_s)


def admit(limiter: Limiter, key: str, at: datetime) -> None:
    """Count a request. Problem: rate_limited."""
    if wait_s := limiter.take(key, at):
        raise too_often(wait_s)
