"""What every request may reach: the books, the HSM, the vault, the clock, and the clients of our peers."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from fastapi import Request
from sqlalchemy import Engine

from api.http.limits import Limits
from card.hsm.client import Hsm
from card.vault import Vault
from clearing.landing import Landing
from ledger.archive import Archive
from ledger.sharing import Writer


class CodeSender(Protocol):
    """Brings a one-time code to a holder's phone; it is called after the transaction, never inside it."""

    def send(self, phone: str, code: str) -> None:
        """Send `code`, six digits, to `phone` as the vault holds it."""


class NoSender:
    """The sender of a city that has none: nobody can sign in, and nothing is written anywhere."""

    def send(self, phone: str, code: str) -> None:
        """Let the code expire unsent."""


@dataclass(frozen=True, slots=True)
class Deps:
    """The doors that endpoints go through; `peers` holds the clients of insurer and billers by name.

    Whatever an endpoint changes goes through `writer`, which whoever made it closes when all are answered.
    `archive` has the lines of months that have left the books; a city without one has archived none yet.
    `landing` is where operators' files go; a service without one takes none.
    `bank_folder` is where the bank's files are dropped; what lies there is counted, and not taken.
    `lease` is how long a request that waits for peers may take before the same one may be begun again.
    """

    engine: Engine
    writer: Writer
    hsm: Hsm
    vault: Vault
    now: Callable[[], datetime]
    peers: Mapping[str, object] = field(default_factory=dict)
    sender: CodeSender = field(default_factory=NoSender)
    random: Callable[[int], bytes] = secrets.token_bytes
    lease: timedelta = timedelta(seconds=60)
    limits: Limits = field(default_factory=Limits)
    archive: Archive | None = None
    landing: Landing | None = None
    bank_folder: Path | None = None


def deps(request: Request) -> Deps:
    """The doors of the application that answers this request."""
    found: Deps = request.app.state.deps
    return found
