"""A city that stands: its books open, its HSM answering; and how it is founded and supplied with cards."""

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from card.hsm.client import Hsm
from city.agent import AGENT
from city.home import Home
from city.plan import CityPlan
from city.processes import running_hsm
from city.registers.entering import must_enter
from city.registers.file import CityFile
from clearing.context import Night
from clearing.devices import Device, register_devices
from clearing.peers import NOBODY, Peers
from clearing.sectors.transit.fare_check import usable_fares
from clearing.sectors.transit.fare_file import is_fare_file
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.wire.tariff import Tariff, parse_tariff
from ledger.archive import Archive
from ledger.day import day_state, open_day
from ledger.db import make_engine, migrate, writing
from ledger.entry import Entry, Line
from ledger.post import post
from settlement.agreements import Agreement, Cycle
from settlement.participants import Participant

if TYPE_CHECKING:
    from clearing.engine.rules import RuleEngine

AnyTariff = Tariff | FareTariff
"""A tariff of either form."""
SINCE = date(2018, 1, 1)
"""From when the simulated city's agreements hold."""


@dataclass(frozen=True, slots=True)
class City:
    """An open city. `transport_key_file` is what its card factory shares with the simulated HSM."""

    home: Home
    engine: Engine
    hsm: Hsm
    transport_key_file: Path


@contextmanager
def open_city(
    home: Home,
    *,
    database_url: str | None = None,
    hsm_addresses: Sequence[tuple[str, int]] = (),
    hsm_timeout_s: float = 10.0,
    hsm_tls: ssl.SSLContext | None = None,
) -> Iterator[City]:
    """Open the books and reach the HSMs; without an address, a simulated one is started, and spoken to in the clear."""
    with ExitStack() as stack:
        for folder in (home.root, home.inbox, home.archive, home.nights):
            folder.mkdir(parents=True, exist_ok=True)
        if not hsm_addresses:
            running = stack.enter_context(running_hsm(home.hsm))
            hsm_addresses, hsm_tls = [(running.host, running.port)], None
        engine = make_engine(database_url or home.database_url)
        stack.callback(engine.dispose)
        migrate(engine)
        hsm = stack.enter_context(Hsm.at(hsm_addresses, timeout_s=hsm_timeout_s, tls=hsm_tls))
        yield City(home, engine, hsm, home.hsm / "transport.key")


def found(city: City, plan: CityPlan, *, business_date: date, at: datetime) -> None:
    """Put the tariff in force and enter the operators; open the first business day. Again, it changes nothing."""
    city.home.tariffs.mkdir(exist_ok=True)
    tariff = parse_tariff(plan.tariff_text)
    tariff_place(city.home, tariff).write_text(plan.tariff_text)
    with writing(city.engine) as conn:
        _enter(conn, plan, at=at)
        if day_state(conn, business_date) is None:
            open_day(conn, business_date, at=at)


def _enter(conn: Connection, plan: CityPlan, *, at: datetime) -> None:
    """Register who is paid, and on which terms, as a city does."""
    file = CityFile(
        participants=tuple(
            Participant(one.id, one.name, one.account_no, one.bank_code, one.bank_name)
            for one in (plan.scheme, *plan.participants)
        ),
        agreements=tuple(
            Agreement(one.id, fee_bp=one.fee_bp, cycle=Cycle(one.cycle), valid_from=SINCE)
            for one in plan.participants
        ),
        agents=(AGENT,),
    )
    must_enter(conn, file, at=at)


def install(city: City, devices: Sequence[Device]) -> None:
    """Register validators as the operators' own."""
    with writing(city.engine) as conn:
        register_devices(conn, devices)


def tariff_in(text: str) -> AnyTariff:
    """The tariff of a file of either form, fit to price by. Raises TariffError or TariffFlawed."""
    return usable_fares(text) if is_fare_file(text) else parse_tariff(text)


def tariff_place(home: Home, tariff: AnyTariff) -> Path:
    """Where a city keeps the file of a tariff in force."""
    return home.tariffs / f"{tariff.name}-{tariff.version}.json"


def tariffs_of(home: Home) -> tuple[AnyTariff, ...]:
    """Every tariff that this city has ever had in force, from its folder of tariff files.

    Raises TariffError or TariffFlawed for a file that no night can price by.
    """
    found: list[AnyTariff] = []
    for path in sorted(home.tariffs.glob("*.json")):
        found.append(tariff_in(path.read_text(encoding="utf-8")))
    return tuple(found)


def carried_tariff(home: Home) -> Tariff:
    """The one simple tariff, which validators carry, whatever the night prices by."""
    (tariff,) = (tariff for tariff in tariffs_of(home) if isinstance(tariff, Tariff))
    return tariff


def night_of(
    city: City,
    business_date: date,
    *,
    at: datetime,
    progress: Callable[[str, int, int], None],
    rules: "RuleEngine",
    peers: Peers = NOBODY,
) -> Night:
    """The night of a business date, booked at `at`, that talks to these institutions; `rules` decide."""
    home = city.home
    return Night(
        business_date,
        at,
        home.night(business_date),
        home.inbox,
        home.archive,
        city.hsm,
        tariffs_of(home),
        progress,
        rules,
        peers,
        Archive(home.ledger_archive),
    )


def agent_pays(city: City, amount_fen: int, *, business_date: date, at: datetime) -> None:
    """The money that the counter took for loads arrives at the custodian bank."""
    line = Line("bank:reserve", f"agent:{AGENT}", amount_fen, AGENT)
    entry = Entry(f"agent-pays:{AGENT}:{business_date}", "agent_payment", business_date, at, (line,))
    with writing(city.engine) as conn:
        post(conn, [entry], at=at)
