"""Which terminal belongs to which operator, and from when until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from clearing.tables import device
from clearing.wire.bcd import CITY_ZONE
from ledger.accounts import Conflict

OPERATOR_CHARACTERS = 8


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

    def __post_init__(self) -> None:
        if len(self.terminal) != 12 or not set(self.terminal) <= set("0123456789ABCDEF"):
            raise ValueError(
                f"terminal {self.terminal!r} is not 12 hex digits in upper case; give it as its SAM does"
            )
        if not 1 <= len(self.operator) <= OPERATOR_CHARACTERS:
            raise ValueError(
                f"operator {self.operator!r} of terminal {self.terminal} is not possible; an operator of devices has "
                f"an id of 1 to {OPERATOR_CHARACTERS} characters, as batches name it"
            )
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError(
                f"valid_to {self.valid_to} of terminal {self.terminal} is not after its valid_from; give a later "
                "instant, or none"
            )
        if self.max_amount_fen is not None and self.max_amount_fen <= 0:
            raise ValueError(
                f"max_amount_fen {self.max_amount_fen} of terminal {self.terminal} lets nothing through; give fen "
                "above 0, or none"
            )


def register_devices(conn: Connection, devices: Sequence[Device]) -> int:
    """Register devices; how many were new.

    A device registered before with the same content changes nothing.
    Raises Conflict where it has other content.
    """
    held = {(one.terminal, one.operator, one.valid_from): one for one in devices_of(conn)}
    new: list[Device] = []
    for given in devices:
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
    """End a device's validity at `at`; how many open periods were ended.

    Raises ValueError where the open period begins only then or later.
    """
    for one in devices_of(conn, operator):
        if one.terminal == terminal and one.valid_to is None and one.valid_from >= at:
            raise ValueError(
                f"device {terminal} of {operator} is valid from {one.valid_from.astimezone(CITY_ZONE)} on, which is "
                f"not before {at.astimezone(CITY_ZONE)}; give a later instant"
            )
    ended = conn.execute(
        device.update()
        .where(device.c.terminal == terminal, device.c.operator == operator, device.c.valid_to.is_(None))
        .values(valid_to=at)
    )
    return ended.rowcount


def devices_of(conn: Connection, operator: str | None = None) -> list[Device]:
    """All devices there ever were, or those of one operator, by operator, terminal and first instant."""
    columns = device.c
    query = select(device).order_by(columns.operator, columns.terminal, columns.valid_from)
    if operator is not None:
        query = query.where(columns.operator == operator)
    return [Device(*row) for row in conn.execute(query)]


def known_operators(conn: Connection) -> set[str]:
    """Operators with at least one device, valid or not."""
    return set(conn.scalars(select(device.c.operator).distinct()))
