"""A small day to run nights on: two operators, five cards, their loads and taps, good and bad."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from sqlalchemy import Connection, Engine

from card.hsm.client import Hsm
from card.registry import CardRecord, register
from clearing.context import Night
from clearing.devices import Device, register_devices
from clearing.engine.duck import IN_PROCESS
from clearing.online.load import LoadOrder, LoadProof, authorise_loads, confirm_loads
from clearing.wire.batch import Ride, TapRecord, write_batch
from clearing.wire.names import batch_name
from clearing.wire.tariff import parse_tariff
from ledger.day import open_day
from ledger.db import writing
from settlement.agreements import Agreement, Cycle, register_agreements
from settlement.participants import SCHEME, Participant, register_participants

ROOT: Final = Path(__file__).resolve().parents[2]
TARIFF: Final = parse_tariff(
    (ROOT / "clearing" / "sectors" / "transit" / "tariffs" / "shenzhen-2018.json").read_text()
)
DAY: Final = date(2018, 9, 1)
MORNING: Final = datetime(2018, 8, 31, 22, 0, tzinfo=UTC)
AT: Final = datetime(2018, 9, 1, 16, 30, tzinfo=UTC)
DEMO_TAC_ROOT: Final = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
ISSUER: Final = "01011000"
METRO, BUS, STRANGE = "518000000001", "755000000001", "755000000099"
LOADED_FEN: Final = 5_000

PARTICIPANTS: Final = (
    Participant(SCHEME, "City One-Card Reserve", "755900000000001", "308584000013", "Custodian Bank", "备付金专户"),
    Participant("METRO-1", "Metro Line 1", "755912345678901", "102584002910", "ICBC Shenzhen", "深圳地铁一号线"),
    Participant("BUS-1", "Bus Group", "755987654321012", "104584001108", "BOC Shenzhen"),
)  # fmt: skip
AGREEMENTS: Final = (
    Agreement("METRO-1", 60, date(2018, 1, 1)),
    Agreement("BUS-1", 35, date(2018, 1, 1), cycle=Cycle.SAME_DAY, fee_min_fen=5),
)


def card_no(number: int) -> str:
    """The number of the day's n-th card."""
    return f"0310487{number:013d}"


@dataclass(frozen=True, slots=True)
class Ridden:
    """A tap to be made: what is not given is what an honest card and terminal would say."""

    card: int
    counter: int
    before_fen: int
    amount_fen: int
    list_fare_fen: int
    ride: Ride = Ride.BUS
    terminal: str = BUS
    moment: str = "20180901081500"
    spoil_tac: bool = False
    issuer: str = ISSUER

    def record(self) -> bytes:
        """The tap as 64 bytes with its TAC."""
        unsigned = TapRecord(
            ride=self.ride, issuer=self.issuer, card_no=card_no(self.card), counter=self.counter,
            balance_before_fen=self.before_fen, amount_fen=self.amount_fen, kind=9, terminal=self.terminal,
            terminal_sequence=self.card * 1000 + self.counter, moment=bytes.fromhex(self.moment),
            key_version=1, algorithm=0, tac=bytes(4), list_fare_fen=self.list_fare_fen, holder_class=1,
            linked=False, full_fare=False, line=1, station=7, tariff_version=TARIFF.version,
            hotlist_version=0,
        )  # fmt: skip
        tac = purchase_tac(unsigned)
        return replace(unsigned, tac=bytes(4) if self.spoil_tac else tac).pack()


METRO_TAPS: Final = (
    Ridden(1, 1, 5000, 0, 0, Ride.METRO_ENTRY, METRO, "20180901073000"),
    Ridden(1, 2, 5000, 380, 400, Ride.METRO_EXIT, METRO, "20180901080000"),
    Ridden(2, 1, 5000, 475, 500, Ride.METRO_EXIT, METRO, "20180901080100"),
    Ridden(4, 1, 5000, 380, 400, Ride.METRO_EXIT, METRO, "20180901080200"),
    Ridden(4, 3, 4460, 190, 200, Ride.METRO_EXIT, METRO, "20180901090200"),  # counter 2 never came
)
BUS_TAPS: Final = (
    Ridden(1, 3, 4620, 160, 200),
    Ridden(2, 2, 4525, 200, 200, moment="20180901082000"),  # 40 fen above the tariff
    Ridden(3, 1, 5000, 160, 200, terminal=STRANGE),  # a terminal nobody registered
    Ridden(5, 1, 5000, 160, 200, spoil_tac=True),
    Ridden(3, 2, 4840, 160, 200, moment="20180901093000"),
)
LATE_BUS_TAPS: Final = (
    Ridden(1, 3, 4620, 160, 200),  # presented in the first file already
    Ridden(1, 4, 4460, 240, 300, moment="20180901193000"),
)


def prepare(engine: Engine, hsm: Hsm, home: Path) -> None:
    """Register everybody, load every card, and put the operators' files into the inbox of `home`."""
    with writing(engine) as conn:
        open_day(conn, DAY, at=MORNING)
        register_participants(conn, PARTICIPANTS, at=MORNING)
        register_agreements(conn, AGREEMENTS, at=MORNING)
        register_devices(conn, [Device(METRO, "METRO-1", MORNING), Device(BUS, "BUS-1", MORNING)])
        cards = [CardRecord(card_no(number), ISSUER, 1, 1, 0, MORNING) for number in range(1, 6)]
        register(conn, cards, at=MORNING)
        load_cards(conn, range(1, 6))
    inbox = home / "inbox"
    put(inbox, hsm, "METRO-1", 1, METRO_TAPS)
    put(inbox, hsm, "BUS-1", 1, BUS_TAPS)
    put(inbox, hsm, "BUS-1", 3, LATE_BUS_TAPS)
    (inbox / "METRO-1-00000002.ocb").write_bytes((inbox / "METRO-1-00000001.ocb").read_bytes()[:200])


def load_cards(conn: Connection, cards: range, day: date = DAY, at: datetime = MORNING) -> None:
    """Load 50 yuan onto each card, proved by it; card 5 has paid for another load that it never proved."""
    orders = [LoadOrder(card_no(number), LOADED_FEN, "KIOSK-1", f"L{number}", day, at) for number in cards]
    authorise_loads(conn, [*orders, LoadOrder(card_no(5), 1_000, "KIOSK-1", "LX", day, at)], at=at)
    proofs = [LoadProof(f"L{number}", LOADED_FEN, 1, bytes(4), day, at) for number in cards]
    confirm_loads(conn, proofs, at=at)


def put(inbox: Path, hsm: Hsm, operator: str, sequence: int, taps: tuple[Ridden, ...]) -> Path:
    """Write an operator's batch file with its MAC into the inbox."""
    inbox.mkdir(parents=True, exist_ok=True)
    data = write_batch(
        operator=operator,
        sequence=sequence,
        business_date=DAY,
        made_at=bytes.fromhex("20180901233000"),
        mac_key_version=1,
        records=[tap.record() for tap in taps],
        mac=lambda digest: hsm.batch_mac(operator, digest, 1),
    )
    path = inbox / batch_name(operator, sequence)
    path.write_bytes(data)
    return path


def night_of(home: Path, hsm: Hsm, day: date = DAY, at: datetime = AT) -> Night:
    """The night of a day in `home`."""
    return Night(
        business_date=day,
        at=at,
        folder=home / "nights" / day.isoformat(),
        inbox=home / "inbox",
        archive=home / "archive",
        hsm=hsm,
        tariffs=(TARIFF,),
        progress=lambda _what, _done, _total: None,
        rules=IN_PROCESS,
    )


def purchase_tac(tap: TapRecord) -> bytes:
    """The TAC as a card of the demo root makes it: an independent few lines, from the format document alone."""
    key = _diversified(DEMO_TAC_ROOT, bytes.fromhex(tap.issuer) + b"\xff" * 4)
    key = _diversified(key, bytes.fromhex(tap.card_no[-16:]))
    single = bytes(left ^ right for left, right in zip(key[:8], key[8:], strict=True))
    content = (
        tap.amount_fen.to_bytes(4, "big")
        + bytes([tap.kind])
        + bytes.fromhex(tap.terminal)
        + tap.terminal_sequence.to_bytes(4, "big")
        + tap.moment
        + b"\x80"
    )
    content += bytes(-len(content) % 8)
    encryptor = Cipher(TripleDES(single * 3), modes.CBC(bytes(8))).encryptor()
    return encryptor.update(content)[-8:-4]


def _diversified(key: bytes, factor: bytes) -> bytes:
    encryptor = Cipher(TripleDES(key + key[:8]), modes.ECB()).encryptor()
    return encryptor.update(factor + bytes(255 - byte for byte in factor))
