"""The terminals that may speak to the gateway: whose they are, how they encode, their working keys."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from api.gateway.tables import gateway_terminal
from clearing.wire.iso8583 import SPECIFICATIONS
from ledger.accounts import Conflict

_TERMINAL = re.compile(r"[0-9A-Z]{8}")
_MERCHANT = re.compile(r"[A-Z0-9][A-Z0-9-]{0,14}")


@dataclass(frozen=True, slots=True)
class GatewayTerminal:
    """A terminal of a merchant; `specification` is how its messages are encoded.

    `master_key_version` is that of the terminal master key which was put into it. `current_key` and
    `offered_key` are working keys as the HSM wrapped them for us, None before a sign-on.
    """

    terminal: str
    merchant: str
    master_key_version: int
    specification: str = "china-pos"
    withdrawn_at: datetime | None = None
    current_key: bytes | None = field(default=None, repr=False)
    offered_key: bytes | None = field(default=None, repr=False)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The working keys that it may use, the newest first."""
        return tuple(key for key in (self.offered_key, self.current_key) if key is not None)


def enrol_terminal(conn: Connection, terminal: GatewayTerminal, *, at: datetime) -> bool:
    """Let a terminal in; True the first time, and the same again changes nothing.

    Raises ValueError where a value does not fit its field, Conflict where the number belongs to another
    merchant, encoding or master key.
    """
    for name, pattern, remedy in (
        ("terminal", _TERMINAL, "give 8 digits or capital letters, as field 41 has them"),
        ("merchant", _MERCHANT, "give a participant of at most 15 characters, as field 42 has them"),
    ):
        value = getattr(terminal, name)
        if not pattern.fullmatch(value):
            raise ValueError(f"{name} {value!r} cannot be a gateway's; {remedy}")
    if terminal.specification not in SPECIFICATIONS:
        raise ValueError(
            f"specification {terminal.specification!r} is unknown; give one of {', '.join(SPECIFICATIONS)}"
        )
    held = find_terminal(conn, terminal.terminal)
    if held is None:
        conn.execute(
            insert(gateway_terminal).values(
                terminal=terminal.terminal,
                merchant=terminal.merchant,
                specification=terminal.specification,
                master_key_version=terminal.master_key_version,
                enrolled_at=at,
            )
        )
        return True
    ours, theirs = _enrolment(held), _enrolment(terminal)
    if ours != theirs:
        raise Conflict(f"terminal {terminal.terminal}", ours, theirs)
    return False


def find_terminal(conn: Connection, terminal: str) -> GatewayTerminal | None:
    """The terminal's entry, or None where nobody enrolled it."""
    columns = gateway_terminal.c
    query = select(
        columns.terminal,
        columns.merchant,
        columns.master_key_version,
        columns.specification,
        columns.withdrawn_at,
        columns.current_key,
        columns.offered_key,
    ).where(columns.terminal == terminal)
    row = conn.execute(query).one_or_none()
    return None if row is None else GatewayTerminal(*row)


def withdraw_terminal(conn: Connection, terminal: str, *, at: datetime) -> bool:
    """Let it in no more; False where it was not in service."""
    columns = gateway_terminal.c
    ended = conn.execute(
        update(gateway_terminal)
        .where(columns.terminal == terminal, columns.withdrawn_at.is_(None))
        .values(withdrawn_at=at)
    )
    return ended.rowcount == 1


def offer_key(conn: Connection, terminal: str, block: bytes, *, at: datetime) -> None:
    """Keep the working key that a sign-on hands out; the current one stays good until this one is used."""
    conn.execute(
        update(gateway_terminal)
        .where(gateway_terminal.c.terminal == terminal)
        .values(offered_key=block, offered_at=at)
    )


def take_up_key(conn: Connection, terminal: str, block: bytes) -> None:
    """The terminal has used the key it was offered: that is the current one now."""
    columns = gateway_terminal.c
    conn.execute(
        update(gateway_terminal)
        .where(columns.terminal == terminal, columns.offered_key == block)
        .values(current_key=block, offered_key=None, offered_at=None)
    )


def _enrolment(terminal: GatewayTerminal) -> tuple[str, str, int]:
    return terminal.merchant, terminal.specification, terminal.master_key_version
