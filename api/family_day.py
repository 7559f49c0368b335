"""The family day of the demonstration: service and peers are started, and the family comes in by the doors."""

import secrets
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

from api.http.clients import register_client
from api.http.state import Deps
from api.service import make_service, serving
from card.vault import open_vault
from city.biller import running_biller
from city.demo import Lived, load_from_wallet, moment
from city.family import Clock, Event, Family
from city.insurer import running_insurer
from city.plan import read_plan
from city.sectors import GAS, INSTITUTIONS, establish, insure
from city.world import City
from clearing.sectors.healthcare.insurer_http import HttpInsurer
from clearing.sectors.utilities.catalogue import Supply
from clearing.sectors.utilities.http_biller import HttpBiller
from ledger.db import writing

SCHEDULE = Path(__file__).parent.parent / "clearing/sectors/socialsecurity/schedules/demo-2026.json"
NAMES = ("李示范", "张示范")
IDENTITY_NOS = ("530102199001010028", "530102199203030027")
"""Made up for the demonstration: they belong to nobody."""
CODE_TIMEOUT_S = 10.0


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


def live_family(city: City, lived: Lived) -> tuple[Lived, list[Event]]:
    """Live the family's day of institutions and phones; what happened, with its postings, and the chips after it."""
    day = lived.plan
    clock = Clock(moment(day.business_date, 8))
    vault = open_vault(city.engine, city.hsm, random=secrets.token_bytes, at=clock())
    words = {one.client_id: secrets.token_urlsafe(24) for one in INSTITUTIONS}
    with writing(city.engine) as conn:
        schedule = SCHEDULE.read_text(encoding="utf-8")
        establish(conn, read_plan("demo"), schedule, business_date=day.business_date, at=clock())
        for one in INSTITUTIONS:
            register_client(conn, one.client_id, words[one.client_id], one.participant, one.scopes, clock())
    paper = CodeOnPaper()
    with ExitStack() as stack:
        world = city.home.world
        insurer = stack.enter_context(running_insurer(world / "insurer"))
        biller = stack.enter_context(running_biller(world / "gas", GAS, Supply.GAS))
        peers = {
            "insurer": stack.enter_context(HttpInsurer(insurer.url)),
            "billers": {GAS: stack.enter_context(HttpBiller(biller.url))},
        }
        doors = Deps(city.engine, city.hsm, vault, clock, peers, paper)
        url = stack.enter_context(serving(make_service(doors, city.home.nights, clock)))
        family = Family(city.engine, url, words, clock, paper.next_code, IDENTITY_NOS)
        return _live(city, family, lived), family.events


def _live(city: City, family: Family, lived: Lived) -> Lived:
    business_date = lived.plan.business_date
    cards = [rider.card_no for rider in lived.plan.riders[:2]]
    family.skip()
    father, mother = family.enrol(moment(business_date, 8), NAMES, cards)
    with writing(city.engine) as conn:
        insure(conn, mother, business_date=business_date, at=moment(business_date, 8))
    family.happen(moment(business_date, 8, 5), "the month's share reaches a medical account", mother)
    family.top_up(moment(business_date, 9), father)
    family.top_up(moment(business_date, 9), mother)
    family.visit_hospital(moment(business_date, 10), mother)
    phone = family.sign_in(moment(business_date, 11), IDENTITY_NOS[0])
    family.pay_contribution(moment(business_date, 11, 30), father, IDENTITY_NOS[0], phone)
    family.receive_benefit(moment(business_date, 14), IDENTITY_NOS[0])
    family.shop(moment(business_date, 18), father)
    at = moment(business_date, 19)
    lived = load_from_wallet(city, lived, cards[1], mother, at=at)
    family.happen(at, "a card is loaded from the wallet", f"50.00 yuan onto card {cards[1]}")
    family.lose_card(moment(business_date, 20, 5), family.sign_in(moment(business_date, 20), IDENTITY_NOS[0]))
    return lived
