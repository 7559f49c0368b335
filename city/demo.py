"""The demonstration: a small city's day and night, with one bad tap of every kind, and what it comes to."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from sqlalchemy import select

from card.hotlist import HotlistEntry, hotlist_card
from city.agent import AGENT
from city.day import ISSUER, DayPlan, Mischief, plan_day
from city.distribution import Terminals, Told, distribution, publish
from city.drawer import Drawer
from city.factory import Factory
from city.home import CITY_ZONE
from city.issuing import COUNTER_TERMINAL, issue, load_all
from city.office import Office
from city.plan import read_plan
from city.presentment import present
from city.riders import Riders
from city.street import Debit, Street
from city.world import City, agent_pays, found, install, night_of
from clearing.devices import Device
from clearing.engine.duck import IN_PROCESS
from clearing.peers import NOBODY, Peers
from clearing.tables import tap
from clearing.verdict import Money
from clearing.wire.tariff import parse_tariff
from ledger.db import reading, writing
from settlement.night import Observe, run_night
from settlement.reports import NightSummary, night_summary
from terminals.counter import LoadCounter
from terminals.hotlist import Hotlist
from terminals.loads import LoadJournal

DEMO_DATE = date(2026, 3, 2)
RIDERS = 300
NOON_LOAD_FEN = 5_000
SEED = 1


@dataclass(frozen=True, slots=True)
class Chips:
    """The chips beside the books: their difference is what chips have paid and clearing has not accepted."""

    on_chips_fen: int
    on_purses_fen: int
    debited_not_cleared_fen: int

    @property
    def unexplained_fen(self) -> int:
        """What neither side can account for: 0, or something is wrong."""
        return self.on_purses_fen - self.on_chips_fen - self.debited_not_cleared_fen


@dataclass(frozen=True, slots=True)
class Lived:
    """A day up to its batch files: what was loaded, what left the chips, and what is on them now, in fen.

    `told` is what the terminals were told beforehand, and on the morning.
    """

    plan: DayPlan
    loaded_fen: int
    debits: tuple[Debit, ...]
    on_chips_fen: int
    told: tuple[Told, Told]


@dataclass(frozen=True, slots=True)
class DemoDay:
    """What the demonstration shows."""

    lived: Lived
    summary: NightSummary
    chips: Chips


def moment(business_date: date, hour: int, minute: int = 0) -> datetime:
    """A moment of that day on the city's clocks."""
    return datetime.combine(business_date, time(hour, minute), CITY_ZONE)


def demo_plan(*, riders: int = RIDERS, seed: int = SEED) -> DayPlan:
    """The demonstration's day: ordinary riders, and one bad tap of every kind."""
    return plan_day(read_plan("demo"), DEMO_DATE, riders=riders, mischief=tuple(Mischief), seed=seed)


def clear_day(
    city: City,
    lived: Lived,
    *,
    peers: Peers = NOBODY,
    progress: Callable[[str, int, int], None],
    observe: Observe,
) -> DemoDay:
    """Run the night of a day that has been lived, with the institutions that it was lived with."""
    business_date = lived.plan.business_date
    at = moment(business_date, 23, 30)
    night = night_of(city, business_date, at=at, progress=progress, rules=IN_PROCESS, peers=peers)
    run_night(city.engine, night, observe=observe)
    with reading(city.engine) as conn:
        summary = night_summary(conn, business_date)
    return DemoDay(lived, summary, compare_chips(city, lived, summary.purse_liabilities_fen))


def live_day(city: City, day: DayPlan, *, progress: Callable[[str, int, int], None]) -> Lived:
    """Found the city in an empty home and live everything up to the batch files in the inbox."""
    plan = read_plan("demo")
    found(city, plan, business_date=day.business_date, at=moment(day.business_date, 4))
    mischief = {rider.card_no: rider.mischief for rider in day.riders if rider.mischief}
    devices = _devices(day)
    install(city, devices)
    drawer = Drawer(city.home.world / "cards.db")
    riders = Riders(Factory(city.hsm, city.transport_key_file), drawer)
    issue(city, riders, day.riders, at=moment(day.business_date, 4), progress=progress)
    dawn = moment(day.business_date, 5)
    loaded_fen = load_all(
        city, riders, day.riders, business_date=day.business_date, at=dawn, progress=progress
    )
    with ExitStack() as stack:
        terminals = stack.enter_context(distribution(city))
        told = _tell_terminals(city, terminals, plan.tariff_text, day, mischief, devices)
        street = stack.enter_context(
            Street(
                city.home.world / "depots", city.hsm, parse_tariff(plan.tariff_text),
                holdings=terminals.holdings,
            )
        )  # fmt: skip
        taken = street.live(day.taps, riders, mischief, progress)
        if taken.turned_away:
            place, why = taken.turned_away[0]
            raise RuntimeError(f"{day.taps[place]} was refused: {why}")
        evening = moment(day.business_date, 21)
        loaded_fen += load_one(city, riders, day, day.riders[0].card_no, at=evening)
        present(
            street, city.hsm, city.home.inbox, business_date=day.business_date,
            at=moment(day.business_date, 22), mischief=mischief,
        )  # fmt: skip
    riders.keep()
    drawer.close()
    agent_pays(city, loaded_fen, business_date=day.business_date, at=moment(day.business_date, 23))
    return Lived(day, loaded_fen, taken.debits, riders.balance_fen(), told)


def _tell_terminals(
    city: City, terminals: Terminals, tariff_text: str, day: DayPlan, mischief: Mapping[str, Mischief],
    devices: Sequence[Device],
) -> tuple[Told, Told]:  # fmt: skip
    """Every terminal takes the files whole; cards are reported lost; this morning they take the change.

    The buses that the lost cards will ride stand in a tunnel then: they let them on by their old list.
    """
    everyone = [device.terminal for device in devices]
    publish(city, tariff_text, at=_reported(day.business_date) - timedelta(days=1))
    first = terminals.refresh(everyone)
    lost = _report_lost(city, mischief, day.business_date)
    publish(city, tariff_text, at=moment(day.business_date, 4))
    tunnel = {one.terminal for one in day.taps if one.card_no in lost}
    return first, terminals.refresh(everyone, out_of_reach=tunnel)


def load_one(
    city: City, riders: Riders, day: DayPlan, card_no: str, *, at: datetime, holder: str = ""
) -> int:
    """One rider loads a card at the counter, each step durable as it happens, for cash or from a wallet; the amount."""
    office = Office(city.engine, city.hsm, AGENT, day.business_date, holder=holder)
    with LoadJournal(city.home.world / "counter.db") as journal:
        counter = LoadCounter(COUNTER_TERMINAL, journal, office, Hotlist(0))
        card = riders.card(card_no)
        card.reset()
        outcome = counter.load(card, NOON_LOAD_FEN, at=at)
    if outcome.receipt is None:
        raise RuntimeError(f"the load was refused: {outcome.refusal}")
    return NOON_LOAD_FEN


def load_from_wallet(city: City, lived: Lived, card_no: str, holder: str, *, at: datetime) -> Lived:
    """A card is loaded from its holder's wallet after the day's rides."""
    drawer = Drawer(city.home.world / "cards.db")
    riders = Riders(Factory(city.hsm, city.transport_key_file), drawer)
    load_one(city, riders, lived.plan, card_no, at=at, holder=holder)
    riders.keep()
    drawer.close()
    return replace(lived, on_chips_fen=riders.balance_fen())


def compare_chips(city: City, lived: Lived, on_purses_fen: int) -> Chips:
    """Put what is on the chips beside what the books owe on purses."""
    columns = tap.c
    query = select(columns.card_no, columns.counter).where(columns.money == Money.PAID.value)
    with reading(city.engine) as conn:
        cleared = {(row.card_no, row.counter) for row in conn.execute(query)}
        foreign = set(conn.scalars(select(tap.c.card_no).where(tap.c.issuer != ISSUER)))
    missing = sum(
        debit.amount_fen
        for debit in lived.debits
        if (debit.card_no, debit.counter) not in cleared and debit.card_no not in foreign
    )
    return Chips(lived.on_chips_fen, on_purses_fen, missing)


def _reported(business_date: date) -> datetime:
    return moment(business_date, 9) - timedelta(days=3)


def _report_lost(city: City, mischief: Mapping[str, Mischief], business_date: date) -> set[str]:
    reported = _reported(business_date)
    lost = {card_no for card_no, kind in mischief.items() if kind is Mischief.HOTLISTED}
    with writing(city.engine) as conn:
        for card_no in sorted(lost):
            entry = HotlistEntry(card_no, reported, reported + timedelta(days=1), "reported lost")
            hotlist_card(conn, entry)
    return lost


def _devices(day: DayPlan) -> list[Device]:
    """Every validator of the plan, and the neighbours that clones ride with."""
    since = moment(day.business_date, 0) - timedelta(days=365)
    places = {(one.terminal, one.operator) for one in day.taps}
    places |= {(f"{int(terminal, 16) ^ 1:012X}", operator) for terminal, operator in places}
    return [Device(terminal, operator, since) for terminal, operator in sorted(places)]
