"""The registers as they are, as a city file that enters nothing new."""

from sqlalchemy import Connection, select

from city.registers.file import BankYear, CityFile
from clearing.devices import devices_of
from clearing.sectors.healthcare.registers import hospitals_of
from clearing.sectors.socialsecurity.funds import fund_agreements_of
from clearing.sectors.utilities.catalogue import billers_of
from ledger.tables import account
from settlement.agreements import every_agreement
from settlement.calendar import load_calendar
from settlement.participants import participants_of


def registers_of(conn: Connection) -> CityFile:
    """All that is registered; the same file entered elsewhere makes the same registers."""
    funds = fund_agreements_of(conn)
    agencies = {one.fund for one in funds}
    return CityFile(
        participants=tuple(participants_of(conn).values()),
        agreements=tuple(every_agreement(conn)),
        devices=tuple(devices_of(conn)),
        billers=tuple(billers_of(conn)),
        hospitals=tuple(hospitals_of(conn)),
        funds=tuple(funds),
        pools=tuple(one for one in _named(conn, "fund") if one not in agencies),
        agents=_named(conn, "agent"),
        bank_years=tuple(
            BankYear(
                year,
                tuple(day for day, worked in days.items() if not worked),
                tuple(day for day, worked in days.items() if worked),
            )
            for year, days in sorted(load_calendar(conn).configured.items())
        ),
    )


def _named(conn: Connection, segment: str) -> tuple[str, ...]:
    """Whose accounts there are in a segment."""
    query = select(account.c.code).where(account.c.segment == segment).order_by(account.c.code)
    return tuple(code.partition(":")[2] for code in conn.scalars(query))
