"""A city file entered in the registers, whole or not at all; the same again changes nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from city.registers.file import BankYear, CityFile, Flaw
from clearing.devices import register_devices
from clearing.sectors.healthcare.registers import register_hospitals
from clearing.sectors.socialsecurity.funds import register_funds
from clearing.sectors.utilities.catalogue import register_billers
from ledger.accounts import Conflict, open_accounts
from ledger.chart import account
from settlement.agreements import register_agreements
from settlement.calendar import configure_year
from settlement.participants import SCHEME, participants_of, register_participants

STANDING: Final = (
    "bank:reserve", "bank:own", "income:fee", "suspense:overcharge", "suspense:purse_shortfall",
)  # fmt: skip
"""Accounts that every city has."""

BELONGS: Final[Mapping[str, str]] = {
    "agreements": "participant",
    "devices": "operator",
    "billers": "id",
    "hospitals": "participant",
    "funds": "agency",
}
"""Which field of a register's entries names a participant."""


REMEDIES: Final[Mapping[str, str]] = {
    "participants": "leave it as it is; `onecard city account` changes a bank account",
    "agreements": "end the one in force with `onecard city end`, and give the other from the day after",
    "devices": "give it as it is; `onecard city retire` ends a device's time",
    "billers": "leave it as it is, or use another id",
    "hospitals": "leave it as it is, or use another id",
    "funds": "leave it as it is, or give the other limit from a later day",
    "pools": "leave it out",
    "agents": "leave it out",
    "bank_years": "leave it as it is",
}
"""What to do about an entry that is known with other content."""


@dataclass(frozen=True, slots=True)
class Entered:
    """How many entries of each register were new, and how many are in the file."""

    new: Mapping[str, int]
    given: Mapping[str, int]


Register = Callable[[Sequence[Any]], int]


def enter(conn: Connection, file: CityFile, *, at: datetime) -> Entered | Sequence[Flaw]:
    """Enter what is new, and open the accounts that go with it; or say everything that does not fit what is known.

    After flaws the connection is to be rolled back: what fitted has been entered on it.
    """
    flaws: list[Flaw] = []
    new: dict[str, int] = {}
    for name, register in _registers(conn, at):
        given = getattr(file, name)
        if name in BELONGS:
            strangers = list(_strangers(conn, name, given))
            flaws += strangers
            given = [] if strangers else given
        try:
            new[name] = _under_savepoint(conn, register, given)
        except (Conflict, ValueError):
            flaws += _flaws_among(conn, name, register, given)
    if flaws:
        return flaws
    _open(conn, file, at)
    return Entered(new, {name: len(getattr(file, name)) for name in new})


def must_enter(conn: Connection, file: CityFile, *, at: datetime) -> None:
    """Enter a file of our own making. Raises ValueError where it does not fit what is known."""
    entered = enter(conn, file, at=at)
    if not isinstance(entered, Entered):
        raise ValueError(f"the registers do not take: {', '.join(map(str, entered))}")


def _registers(conn: Connection, at: datetime) -> Iterator[tuple[str, Register]]:
    """Every register with what enters something in it, those first that others name."""
    yield "participants", lambda given: register_participants(conn, given, at=at)
    yield "agreements", lambda given: register_agreements(conn, given, at=at)
    yield "devices", lambda given: register_devices(conn, given)
    yield "billers", lambda given: register_billers(conn, given, at=at)
    yield "hospitals", lambda given: register_hospitals(conn, given, at=at)
    yield "funds", lambda given: register_funds(conn, given, at=at)
    yield "pools", lambda given: open_accounts(conn, [account(f"fund:{one}") for one in given], at=at)
    yield "agents", lambda given: open_accounts(conn, [account(f"agent:{one}") for one in given], at=at)
    yield "bank_years", lambda given: sum(_configure(conn, one, at) for one in given)


def _configure(conn: Connection, one: BankYear, at: datetime) -> bool:
    return configure_year(conn, one.year, holidays=one.holidays, workdays=one.workdays, at=at)


def _strangers(conn: Connection, name: str, given: Sequence[Any]) -> Iterator[Flaw]:
    field = BELONGS[name]
    known = participants_of(conn, sorted({getattr(one, field) for one in given}))
    for place, one in enumerate(given):
        whose = getattr(one, field)
        if whose not in known:
            yield Flaw(
                f"{name}.{place}.{field}", repr(whose), "is no participant; enter it under `participants`"
            )


def _flaws_among(
    conn: Connection, name: str, register: Register, given: Sequence[Any], first: int = 0
) -> Iterator[Flaw]:
    """Every entry that does not fit, of which there is one at least: looked for by halves, as most do fit."""
    if len(given) > 1:
        half = len(given) // 2
        for part, begin in ((given[:half], first), (given[half:], first + half)):
            try:
                _under_savepoint(conn, register, part)
            except (Conflict, ValueError):
                yield from _flaws_among(conn, name, register, part, begin)
        return
    try:
        _under_savepoint(conn, register, given)
    except Conflict as conflict:
        why = f"{conflict.subject} is registered otherwise: {_difference(conflict)}; {REMEDIES[name]}"
        yield Flaw(f"{name}.{first}", "", why)
    except ValueError as error:
        yield Flaw(f"{name}.{first}", "", str(error))


def _difference(conflict: Conflict) -> str:
    """The fields in which what is registered differs from what was offered, where both are of a kind."""
    ours, theirs = conflict.ours, conflict.theirs
    if not is_dataclass(ours) or type(ours) is not type(theirs):
        return f"{ours}, not {theirs}"
    pairs = ((one.name, getattr(ours, one.name), getattr(theirs, one.name)) for one in fields(ours))
    return ", ".join(f"{name} is {mine}, not {other}" for name, mine, other in pairs if mine != other)


def _under_savepoint(conn: Connection, register: Register, given: Sequence[Any]) -> int:
    if not given:
        return 0
    with conn.begin_nested():
        return register(given)


def _open(conn: Connection, file: CityFile, at: datetime) -> None:
    paid = [one.id for one in file.participants if one.id != SCHEME]
    codes = [*STANDING, *(f"clearing:{one}" for one in paid), *(f"payable:{one}" for one in paid)]
    open_accounts(conn, [account(code) for code in codes], at=at)
