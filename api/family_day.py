"""The family day of the demonstration: service and peers are started, and the family comes in by the doors."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from queue import SimpleQueue

from api.http.clients import register_client
from api.http.state import Deps
from api.peers import as_doors, peers_at
from api.web import make_service, serving
from card.vault import open_vault
from city.biller import running_biller
from city.day import terminal_of
from city.demo import Lived, load_from_wallet, moment
from city.family import Clock, Event, Family, Program
from city.insurer import Mode, RunningInsurer, running_insurer
from city.phone import Phone
from city.sectors import GAS, INSTITUTIONS, establish, insure
from city.world import City, carried_tariff
from clearing.peers import Peers
from clearing.qr_intake import qr_inbox
from clearing.sectors.utilities.catalogue import Supply
from clearing.wire.batch import Ride
from ledger.db import writing
from ledger.sharing import Shared
from terminals.qr_outbox import QrOutbox
from terminals.qr_upload import QrUploader
from terminals.qr_validator import QrValidator
from terminals.trip import Identity
from terminals.validator import RideFacts

SCHEDULE = Path(__file__).parent.parent / "clearing/sectors/socialsecurity/schedules/demo-2026.json"
NAMES = ("李示范", "张示范")
IDENTITY_NOS = ("530102199001010028", "530102199203030027")
"""Made up for the demonstration: they belong to nobody."""
CODE_TIMEOUT_S = 10.0
GAS_ACCOUNT = "880012345"
QR_OPERATOR, QR_OPERATOR_INDEX = "BUS-EAST", 2
SEED = bytes(range(32))
"""Of the demonstration's handset."""


class CodeOnPaper:
    """The demonstration's sender of one-time codes: they wait here to be read and printed."""

    def __init__(self) -> None:
        self._sent: SimpleQueue[str] = SimpleQueue()

    def send(self, phone: str, code: str) -> None:
        """Keep the code; no phone is anywhere."""
        self._sent.put(code)

    def next_code(self) -> str:
        """The code that was sent next, once it is there."""
        return self._sent.get(timeout=CODE_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class FamilyDay:
    """The day with the family's part in it: what happened, with its postings, and who is there at night."""

    lived: Lived
    events: Sequence[Event]
    peers: Peers


@contextmanager
def live_family(city: City, lived: Lived) -> Iterator[FamilyDay]:
    """Live the family's day of institutions and phones; insurer and biller run on until the block ends."""
    day = lived.plan
    clock = Clock(moment(day.business_date, 8))
    vault = open_vault(city.engine, city.hsm, random=secrets.token_bytes, at=clock())
    words = {one.client_id: secrets.token_urlsafe(24) for one in INSTITUTIONS}
    with writing(city.engine) as conn:
        schedule = SCHEDULE.read_text(encoding="utf-8")
        establish(conn, schedule, business_date=day.business_date, at=clock())
        for one in INSTITUTIONS:
            register_client(conn, one.client_id, words[one.client_id], one.participant, one.scopes, clock())
    paper = CodeOnPaper()
    with ExitStack() as stack:
        world = city.home.world
        insurer = stack.enter_context(running_insurer(world / "insurer"))
        biller = stack.enter_context(running_biller(world / "gas", GAS, Supply.GAS))
        biller.control("POST", "/bills", [gas_bill(day.business_date)])
        peers = stack.enter_context(peers_at({GAS: biller.url}, insurer.url))
        writer = stack.enter_context(Shared(city.engine))
        doors = Deps(city.engine, writer, city.hsm, vault, clock, as_doors(peers), paper)
        url = stack.enter_context(serving(make_service(doors, city.home.nights)))
        family = Family(city.engine, url, words, clock, paper.next_code, IDENTITY_NOS)
        lived = _live(city, family, lived, insurer)
        yield FamilyDay(lived, family.events, peers)


def family_cards(lived: Lived) -> tuple[str, ...]:
    """The father's card and the mother's: they have commuted with them before the family's day is told."""
    return tuple(rider.card_no for rider in lived.plan.riders[:2])


def _live(city: City, family: Family, lived: Lived, insurer: RunningInsurer) -> Lived:
    business_date = lived.plan.business_date
    cards = family_cards(lived)
    family.skip()
    father, mother = family.enrol(moment(business_date, 8), NAMES, cards)
    with writing(city.engine) as conn:
        insure(conn, mother, business_date=business_date, at=moment(business_date, 8))
    family.happen(moment(business_date, 8, 5), "the month's share reaches a medical account", mother)
    family.top_up(moment(business_date, 9), father)
    family.top_up(moment(business_date, 9), mother)
    family.visit_hospital(moment(business_date, 10), mother)
    insurer.behave(Mode.GARBLES, "claim")
    family.fetch_medicine(moment(business_date, 10, 30), mother)
    insurer.behave(Mode.ANSWERS)
    phone = family.sign_in(moment(business_date, 11), IDENTITY_NOS[0])
    family.pay_contribution(moment(business_date, 11, 30), father, IDENTITY_NOS[0], phone)
    family.receive_benefit(moment(business_date, 14), IDENTITY_NOS[0])
    phone = family.sign_in(moment(business_date, 17), IDENTITY_NOS[0])
    _ride_by_code(city, family, phone, business_date)
    family.pay_gas(moment(business_date, 17, 45), GAS_ACCOUNT, phone)
    family.shop(moment(business_date, 17, 50), phone)
    at = moment(business_date, 19)
    lived = load_from_wallet(city, lived, cards[1], mother, at=at)
    family.happen(at, "a card is loaded from the wallet", f"50.00 yuan onto card {cards[1]}")
    family.lose_card(moment(business_date, 20, 5), family.sign_in(moment(business_date, 20), IDENTITY_NOS[0]))
    return lived


def gas_bill(business_date: date) -> dict[str, object]:
    """What the gas company has sent the family."""
    return {
        "account_no": GAS_ACCOUNT,
        "customer": "李*",
        "bill_no": "G-2026-02",
        "period": "2026-02",
        "amount_fen": 6_840,
        "due_on": business_date.isoformat(),
    }


def _ride_by_code(city: City, family: Family, phone: Program, business_date: date) -> None:
    """The father rides home by bus on a code; the bus has no line to anybody, its depot uploads at night."""
    at = moment(business_date, 17, 30)
    handset = Phone(SEED)
    handset.certificate = family.certificate(at, handset.device_key, phone)
    version, key = city.hsm.qr_public_key()
    tariff = carried_tariff(city.home)
    with QrOutbox(city.home.world / f"{QR_OPERATOR}-qr.db") as outbox:
        bus = QrValidator(Identity(terminal_of(QR_OPERATOR_INDEX, 0)), outbox, {version: key}, tariff)
        ride = bus.scan(handset.show(at=at), RideFacts(Ride.BUS, 250, line=100), at=at)
        if not ride.opened:
            raise RuntimeError(f"the bus refused the code: {ride.refusal}")
        uploader = QrUploader(QR_OPERATOR, outbox, city.hsm, qr_inbox(city.home.inbox))
        uploader.make(business_date, at=moment(business_date, 22))
        uploader.send()
