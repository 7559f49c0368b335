"""Which terminal belongs to which operator, and from when until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from clearing.tables import device
from ledger.accounts import Conflict


@dataclass(frozen=True, slots=True)
class Device:
    """A terminal of an operator, valid from `valid_from` until before `valid_to` (None: no end yet).

    `terminal` is 12 hex digits, upper case. `max_amount_fen` limits a single tap below the tariff's limit.
    An operator is known to clearing as soon as one device is registered to it.
    """

    terminal: str
    operator: str
    valid_from: datetime
    valid_to: datetime | None = None
    max_amount_fen: int | None = None


def register_devices(conn: Connection, devices: Sequence[Device]) -> int:
    """Register devices; how many were new.

    A device registered before with the same content changes nothing.
    Raises Conflict where it has other content, ValueError where a terminal number is not 12 hex digits.
    """
    held = {
        (row.terminal, row.operator, row.valid_from): Device(*row) for row in conn.execute(select(device))
    }
    new: list[Device] = []
    for given in devices:
        if len(given.terminal) != 12 or not set(given.terminal) <= set("0123456789ABCDEF"):
            raise ValueError(
                f"terminal {given.terminal!r} is not 12 hex digits in upper case; give it as its SAM does"
            )
        key = (given.terminal, given.operator, given.valid_from)
        if key not in held:
            held[key] = given
            new.append(given)
        elif held[key] != given:
            raise Conflict(f"device {given.terminal} of {given.operator}", held[key], given)
    if new:
        conn.execute(
            insert(device),
            [
                {
                    "terminal": given.terminal,
                    "operator": given.operator,
                    "valid_from": given.valid_from,
                    "valid_to": given.valid_to,
                    "max_amount_fen": given.max_amount_fen,
                }
                for given in new
            ],
        )
    return len(new)


def withdraw_device(conn: Connection, terminal: str, operator: str, *, at: datetime) -> int:
    """End a device's validity at `at`; how many open periods were ended."""
    ended = conn.execute(
        device.update()
        .where(device.c.terminal == terminal, device.c.operator == operator, device.c.valid_to.is_(None))
        .values(valid_to=at)
    )
    return ended.rowcount


def known_operators(conn: Connection) -> set[str]:
    """Operators with at least one device, valid or not."""
    return set(conn.scalars(select(device.c.operator).distinct()))
