"""The town that chaos comes over: founded once on a database, then copied for every story."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine
from stdnum.cn import ric

from api.family_day import SCHEDULE
from api.gateway.terminals import GatewayTerminal, enrol_terminal
from api.http.clients import Client, issue_token, register_client
from api.http.sessions import open_session
from api.http.tokens_kept import SCOPES
from card.holders import Enrolled, enrol_all, tie_card
from card.hsm.client import Hsm
from card.person import Person
from card.vault import open_vault
from city.day import ISSUER, Rider
from city.demo import DEMO_DATE, moment
from city.distribution import publish
from city.drawer import Drawer
from city.factory import Factory
from city.home import Home
from city.issuing import issue
from city.phone import Phone
from city.plan import read_plan
from city.riders import Riders
from city.sectors import AGENCY, CHANNEL, GAS, HOSPITAL, POOL, SHOP, establish
from city.world import SINCE, City, found, install
from clearing.devices import Device
from clearing.online.merchant_codes import MerchantCodeOrder, make_merchant_code
from clearing.online.qr import CertificateIssued, issue_certificate
from clearing.sectors.healthcare.policy import Category
from clearing.sectors.healthcare.registers import Cover, register_covers
from clearing.sectors.socialsecurity.bill_file import BillFile, BillLine
from clearing.sectors.socialsecurity.bills import Issued
from clearing.sectors.socialsecurity.bills import issue as issue_bills
from clearing.sectors.socialsecurity.directory import HolderDirectory
from clearing.sectors.socialsecurity.schedule import Insurance
from clearing.sectors.utilities.catalogue import Biller, Supply, register_billers
from clearing.wire.emvco import MerchantCode, write_merchant_code
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.db import writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from settlement.agreements import Agreement, Cycle, register_agreements
from settlement.participants import Participant, register_participants

PLAN: Final = read_plan("demo")
FOUNDED: Final = moment(DEMO_DATE, 6)
WATER: Final = Biller("WATER-1", "城市供水", Supply.WATER, part_payment=True)
TREATED_ON: Final = date(2018, 3, 5)
TERMINALS: Final = (("POS00001", "china-pos"), ("POS00002", "ascii"))
OPERATOR: Final = "BUS-EAST"
VALIDATOR, CODE_VALIDATOR = "518000900001", "518000900002"
WALLETS_FEN: Final = (300_000, 200_000, 120_000, 6_000)
"""What each citizen begins with; the last one is often short."""
MEDICAL_FEN: Final = 20_000
CLIENTS: Final = {"channel": CHANNEL, "hospital": HOSPITAL, "shop": SHOP}
"""Institutions whose programs call the API, by the program's name."""
SECRET: Final = "a secret that no story uses"


@dataclass(frozen=True, slots=True)
class Town:
    """What a story needs to know: holders, cards and certificates by citizen, the shop's code, the issuer's key."""

    holders: tuple[str, ...]
    cards: tuple[str, ...]
    certificates: tuple[bytes, ...]
    payload: str
    issuer_key: str
    office_key: str

    def phone(self, citizen: int) -> Phone:
        """A citizen's phone as it leaves home in the morning."""
        phone = Phone(seed_of(citizen))
        phone.certificate = self.certificates[citizen]
        return phone


def seed_of(citizen: int) -> bytes:
    """The seed of the key in a citizen's phone."""
    return bytes([citizen + 1]) * 32


def found_town(engine: Engine, hsm: Hsm, home: Home, transport_key_file: Path) -> Town:
    """Found it in a migrated, empty database; chips are put into the drawer of `home`."""
    for needed in (home.root, home.inbox, home.archive, home.nights, home.world):
        needed.mkdir(parents=True, exist_ok=True)
    city = City(home, engine, hsm, transport_key_file)
    found(city, PLAN, business_date=DEMO_DATE, at=FOUNDED)
    install(city, [Device(terminal, OPERATOR, moment(SINCE, 0)) for terminal in (VALIDATOR, CODE_VALIDATOR)])
    cards = tuple(f"0310487{number + 1:013d}" for number in range(len(WALLETS_FEN)))
    drawer = Drawer(home.world / "cards.db")
    riders = Riders(Factory(hsm, transport_key_file), drawer)
    issue(city, riders, [Rider(card, ISSUER, 1, 0) for card in cards], at=FOUNDED, progress=_quiet)
    riders.keep()
    drawer.close()
    vault = open_vault(engine, hsm, random=secrets.token_bytes, at=FOUNDED)
    people = [Person(_identity_no(number), "张三", "13800001234") for number in range(len(cards))]
    with writing(engine) as conn:
        _institutions(conn)
        enrolled = enrol_all(conn, vault, people, at=FOUNDED)
        holders = tuple(one.holder for one in enrolled if isinstance(one, Enrolled))
        for holder, card in zip(holders, cards, strict=True):
            tie_card(conn, holder, card, at=FOUNDED)
        _pockets(conn, holders)
        _contributions(conn, HolderDirectory(vault), people)
        code = make_merchant_code(
            conn, MerchantCodeOrder(SHOP, "CORNER NOODLES", "KUNMING", "5812"), at=FOUNDED
        )
        assert isinstance(code, MerchantCode)
    for terminal, specification in TERMINALS:
        version = hsm.terminal_master_key(terminal).version
        with writing(engine) as conn:
            entered = GatewayTerminal(terminal, SHOP, version, specification=specification)
            enrol_terminal(conn, entered, at=FOUNDED)
    publish(city, PLAN.tariff_text, at=FOUNDED)
    version, key = hsm.qr_public_key()
    office_version, office_key = hsm.public_key()
    certificates = tuple(_certificate(engine, hsm, one, number) for number, one in enumerate(holders))
    keys = f"{version}:{key.hex()}", f"{office_version}:{office_key.hex()}"
    return Town(holders, cards, certificates, write_merchant_code(code), *keys)


def let_in(engine: Engine, town: Town, *, at: datetime) -> Mapping[str, str]:
    """Open a session for every citizen's phone and give every program a token; both by the caller's name."""
    tokens = {}
    with writing(engine) as conn:
        for number, holder in enumerate(town.holders):
            tokens[f"phone-{number}"] = secrets.token_urlsafe(24)
            open_session(conn, holder, tokens[f"phone-{number}"], at=at)
        for name, participant in CLIENTS.items():
            known = Client(name, participant, frozenset(SCOPES))
            tokens[name] = issue_token(conn, known, known.scopes, at=at, random=secrets.token_bytes(32))
    return tokens


def _certificate(engine: Engine, hsm: Hsm, holder: str, citizen: int) -> bytes:
    device_key = Phone(seed_of(citizen)).device_key
    issued = issue_certificate(engine, hsm, holder, device_key, at=FOUNDED)
    assert isinstance(issued, CertificateIssued), issued
    return issued.raw


def _institutions(conn: Connection) -> None:
    """Everybody of the demonstration, and a second biller."""
    establish(conn, SCHEDULE.read_text(encoding="utf-8"), business_date=DEMO_DATE, at=FOUNDED)
    participant = Participant(WATER.id, WATER.name, "4000020109200000309", "102584000013", "工商银行")
    register_participants(conn, [participant], at=FOUNDED)
    register_agreements(
        conn, [Agreement(WATER.id, fee_bp=20, cycle=Cycle("T+1"), valid_from=SINCE)], at=FOUNDED
    )
    register_billers(conn, [WATER], at=FOUNDED)
    open_accounts(conn, [account(f"payable:{WATER.id}"), account(f"agent:{CHANNEL}")], at=FOUNDED)
    for name, participant_id in CLIENTS.items():
        register_client(conn, name, SECRET, participant_id, SCOPES, FOUNDED)


def _pockets(conn: Connection, holders: tuple[str, ...]) -> None:
    register_covers(conn, [Cover(one, Category.EMPLOYEE, date(2010, 1, 1)) for one in holders], at=FOUNDED)
    filled = zip(holders, WALLETS_FEN, strict=True)
    lines = [Line(f"agent:{CHANNEL}", f"wallet:{holder}", amount_fen) for holder, amount_fen in filled]
    lines += [Line(f"fund:{POOL}", f"medical:{holder}", MEDICAL_FEN) for holder in holders]
    (posted,) = post(conn, [Entry("opening", "opening", DEMO_DATE, FOUNDED, tuple(lines))], at=FOUNDED)
    assert isinstance(posted, Posted), posted


def _contributions(conn: Connection, directory: HolderDirectory, people: list[Person]) -> None:
    """Everybody is asked for a year's medical insurance."""
    lines = tuple(
        BillLine(
            number + 1, f"C-{number}", one.identity_no, Insurance.RESIDENT_MEDICAL, 2026, 1, 12, "student"
        )
        for number, one in enumerate(people)
    )
    answers = issue_bills(conn, directory, BillFile(AGENCY, lines), agency=AGENCY, at=FOUNDED)
    assert all(isinstance(answer, Issued) for answer in answers), answers


def _identity_no(number: int) -> str:
    first = f"530102198001{10 + number:02d}{number:03d}"
    return first + str(ric.calc_check_digit(first + "0"))


def _quiet(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


BILLERS: Final[Mapping[str, tuple[Supply, bool]]] = {GAS: (Supply.GAS, False), WATER.id: (WATER.kind, True)}
"""The billers whose programs run: what they supply, and whether they take parts."""
