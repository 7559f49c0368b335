"""The table of attempts (docs/attempts.md): what comes of each at the terminal, and what at clearing."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from card.chip.applet import VirtualCard
from card.chip.files import PublicData
from card.chip.keys import CardKeys
from card.chip.sam import SamPurchase
from card.hotlist import HotlistEntry, hotlist_card, hotlisted
from card.hsm.client import Hsm
from card.registry import CardRecord, register
from city.processes import RunningHsm
from clearing.interop.centres import Answers, Centre, answer_for, register_centre
from clearing.tables import tap
from clearing.verdict import Verdict
from clearing.wire.record import TapRecord
from clearing.wire.ride import Ride
from clearing.wire.signed import Kind
from ledger.db import reading, writing
from terminals.holdings import Holdings
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox
from terminals.outcome import Refusal
from terminals.reader import Sam, Transmits
from terminals.sam import HsmSam
from terminals.standing import RideFacts
from terminals.trip import Identity
from terminals.validator import OPENED, Validator
from tests.support.clearing_day import DAY, ISSUER, SmallCity, at, card_no, shenzhen, terminal_no
from tests.terminals.depot import Depot, TearingCard, returned
from tests.terminals.signed_files import KEYS, document, settings_text

PAGE = Path(__file__).parents[2] / "docs" / "attempts.md"
BUS = RideFacts(Ride.BUS, 200, line=1)
FOREIGN = "02021000"
STRANGE_KEYS = CardKeys(b"\1" * 16, b"\2" * 16, b"\3" * 16)


@dataclass
class Scene:
    """A bus with its outbox, the cards about it, and the clearing house behind it; `said` is what the bus said."""

    city: SmallCity
    depot: Depot
    said: list[str] = field(default_factory=list)
    extra: list[TapRecord] = field(default_factory=list)
    instead: list[TapRecord] | None = None
    minute: int = 0

    def card(
        self, *, number: int = 1, issuer: str = ISSUER, keys: CardKeys | None = None,
        expires: date = date(2037, 12, 31), purchase_sequence: int = 1, **state: Any,
    ) -> VirtualCard:  # fmt: skip
        """Card 1 of the city, as it left the counter, or something that says it is."""
        public = PublicData(issuer, card_no(number), 1, date(2017, 1, 1), expires)
        return self.depot.card(public, keys=keys, purchase_sequence=purchase_sequence, **state)

    def bus(
        self, terminal: int = 1, *, hotlist: Hotlist | None = None, sam: Sam | None = None,
        holdings: Holdings | None = None,
    ) -> Validator:  # fmt: skip
        """A bus of the operator."""
        identity, outbox = Identity(terminal_no(terminal)), self.depot.outbox
        sam = sam or HsmSam(identity.terminal, self.depot.hsm, outbox)
        return Validator(identity, sam, outbox, shenzhen(), hotlist or Hotlist(7), holdings=holdings)

    def rides(self, card: Transmits, bus: Validator | None = None, ride: RideFacts = BUS) -> None:
        """The card is held to the bus, some minutes after the last."""
        self.minute += 15
        when = at(8) + timedelta(minutes=self.minute)
        outcome = (bus or self.bus()).tap(card, ride, at=when)
        self.said.append(OPENED if outcome.refusal is None else outcome.refusal.value)

    def block(self, hour: int) -> None:
        """The card is on the hotlist since seven, and every device has to hold it from this hour on."""
        with writing(self.city.engine) as conn:
            hotlist_card(conn, HotlistEntry(card_no(1), at(7), at(hour), "reported lost"))

    def verdicts(self) -> list[str]:
        """Upload what the bus has, and what somebody else puts beside it; clear the night."""
        kept = self.depot.outbox.records() if self.instead is None else self.instead
        records = [*kept, *self.extra]
        if not records:
            return []
        self.city.present("BUS-1", 1, records)
        self.city.clear()
        with reading(self.city.engine) as conn:
            return list(conn.scalars(select(tap.c.verdict).order_by(tap.c.position)))


Attempt = Callable[[Scene], None]


def honest(scene: Scene) -> None:
    card = scene.card()
    scene.rides(card)
    scene.rides(returned(card), scene.bus(2))


def clone_with_keys(scene: Scene) -> None:
    scene.rides(scene.card())
    scene.rides(scene.card(), scene.bus(2))


def clone_of_a_hotlisted_card(scene: Scene) -> None:
    scene.rides(scene.card(), scene.bus(2, hotlist=Hotlist(8, frozenset({card_no(1)}))))


def clone_without_keys(scene: Scene) -> None:
    scene.rides(scene.card(keys=STRANGE_KEYS))


def forged_record(scene: Scene) -> None:
    scene.rides(scene.card())
    (record,) = scene.depot.outbox.records()
    scene.extra.append(
        replace(record, counter=2, balance_before_fen=9_840, terminal_sequence=99, tac=b"\1\2\3\4")
    )


@dataclass
class Recording:
    """A device that answers with what it once heard a card say."""

    heard: list[tuple[bytes, bytes]]

    def transmit(self, apdu: bytes) -> bytes:
        return next((answer for asked, answer in self.heard if asked[1] == apdu[1]), b"\x6d\x00")


def recorded(scene: Scene) -> Recording:
    """Somebody listens in while the card rides the first bus."""
    listening = TearingCard(scene.card())
    scene.rides(listening)
    return Recording(listening.heard)


def replayed_dialogue(scene: Scene) -> None:
    scene.rides(recorded(scene))


def replayed_elsewhere(scene: Scene) -> None:
    scene.depot.outbox.advance_sequence(terminal_no(2), 500)
    scene.rides(recorded(scene), scene.bus(2))


def replayed_at_the_same_number(scene: Scene) -> None:
    """MAC2 covers the amount under a key of the card's and the SAM's numbers: two new SAMs both count from 1."""
    scene.rides(recorded(scene), scene.bus(2))


def replayed_record(scene: Scene) -> None:
    scene.rides(scene.card())
    scene.extra += scene.depot.outbox.records()


def counter_rolled_back(scene: Scene) -> None:
    card = scene.card()
    scene.rides(card)
    scene.rides(scene.card())  # its memory written back to what it was before


def counter_rolled_back_elsewhere(scene: Scene) -> None:
    scene.rides(scene.card())
    scene.rides(scene.card(), scene.bus(2))


@dataclass
class StrangeSam:
    """A SAM of another city's keys: its MAC1 means nothing to our cards."""

    sam: HsmSam

    def transmit(self, apdu: bytes) -> bytes:
        answer = self.sam.transmit(apdu)
        return answer[:4] + bytes(4) + answer[8:] if apdu[1] == 0x70 else answer

    def resume(self, purchase: SamPurchase, terminal_sequence: int) -> bool:
        return self.sam.resume(purchase, terminal_sequence)


def wrong_mac1(scene: Scene) -> None:
    sam = HsmSam(terminal_no(1), scene.depot.hsm, scene.depot.outbox)
    scene.rides(scene.card(), scene.bus(sam=StrangeSam(sam)))


def wrong_mac2(scene: Scene) -> None:
    scene.rides(TearingCard(scene.card(), at=4, spoil=lambda answer: answer[:4] + bytes(4) + answer[8:]))


def wrong_tac(scene: Scene) -> None:
    scene.rides(TearingCard(scene.card(), at=4, spoil=lambda answer: bytes(4) + answer[4:]))


def expired(scene: Scene) -> None:
    scene.rides(scene.card(expires=DAY - timedelta(days=1)))


def register_days(scene: Scene, first: date, last: date) -> None:
    """Card 8 is issued, for these days."""
    issued = CardRecord(card_no(8), ISSUER, 1, 1, 0, at(0), valid_from=first, valid_until=last)
    with writing(scene.city.engine) as conn:
        register(conn, [issued], at=at(0))


def expiry_written_over(scene: Scene) -> None:
    register_days(scene, date(2017, 1, 1), DAY - timedelta(days=1))
    scene.rides(scene.card(number=8))


def start_written_over(scene: Scene) -> None:
    register_days(scene, DAY + timedelta(days=1), date(2037, 12, 31))
    scene.rides(scene.card(number=8))


def blocked(scene: Scene) -> None:
    scene.block(8)
    scene.rides(scene.card(), scene.bus(hotlist=Hotlist(8, frozenset({card_no(1)}))))


def blocked_at_a_stale_terminal(scene: Scene) -> None:
    scene.block(8)
    scene.rides(scene.card())


def blocked_within_the_deadline(scene: Scene) -> None:
    scene.block(23)
    scene.rides(scene.card())


def foreign_where_not_taken(scene: Scene) -> None:
    holdings = Holdings(scene.city.home / "held", KEYS, terminal_no(1))
    holdings.take(document(Kind.SETTINGS, settings_text(issuers=[ISSUER]), made_at=at(0)))
    scene.rides(scene.card(issuer=FOREIGN), scene.bus(holdings=holdings))


def foreign_where_taken(scene: Scene) -> None:
    keys = scene.depot.keys_of(card_no(1), issuer=FOREIGN)
    scene.rides(scene.card(issuer=FOREIGN, keys=keys))


def foreign_whose_centre_answers(scene: Scene) -> None:
    with writing(scene.city.engine) as conn:
        assert register_centre(conn, Centre("KUNMING", "Kunming Clearing", at(0)), at=at(0)) is True
        assert answer_for(conn, Answers("KUNMING", FOREIGN, at(0))) is True
    foreign_where_taken(scene)


def keys_of_the_test_plant(scene: Scene) -> None:
    scene.rides(scene.card(keys=STRANGE_KEYS, key_version=9))


def never_issued(scene: Scene) -> None:
    """Its keys are of our roots, but nobody has issued it."""
    scene.rides(scene.card(number=9))


def unknown_terminal(scene: Scene) -> None:
    scene.rides(scene.card(), scene.bus(9))


def tariff_by_hand(scene: Scene) -> None:
    bus = scene.bus()
    bus.tariff = replace(shenzhen(), max_fare_fen=dict.fromkeys(Ride, 50_000))
    scene.rides(scene.card(balance_fen=90_000), bus, replace(BUS, list_fare_fen=50_000, full_fare=True))


def amount_raised_in_the_batch(scene: Scene) -> None:
    scene.rides(scene.card())
    (record,) = scene.depot.outbox.records()
    scene.instead = [replace(record, amount_fen=1_600)]


ATTEMPTS: dict[str, Attempt] = {
    "an honest card on two buses": honest,
    "a clone with the card's keys, on another bus": clone_with_keys,
    "the clone once its number is on the hotlist": clone_of_a_hotlisted_card,
    "a clone of the number without the keys": clone_without_keys,
    "a record made up for a card": forged_record,
    "a recorded dialogue played to the same terminal": replayed_dialogue,
    "the same to another terminal": replayed_elsewhere,
    "the same to a terminal whose SAM is at the same number": replayed_at_the_same_number,
    "a record presented twice": replayed_record,
    "a counter rolled back, on the same terminal": counter_rolled_back,
    "a counter rolled back, on another terminal": counter_rolled_back_elsewhere,
    "MAC1 of a wrong key": wrong_mac1,
    "MAC2 wrong": wrong_mac2,
    "TAC wrong": wrong_tac,
    "an expired card": expired,
    "an expired card whose expiry was written over": expiry_written_over,
    "a card before its first day, written over likewise": start_written_over,
    "a blocked card": blocked,
    "a blocked card at a terminal with an old list": blocked_at_a_stale_terminal,
    "the same before the deadline of the list": blocked_within_the_deadline,
    "a foreign city's card where none is taken": foreign_where_not_taken,
    "a foreign city's card where they are taken": foreign_where_taken,
    "the same where its city's centre answers for it": foreign_whose_centre_answers,
    "a test card with test keys": keys_of_the_test_plant,
    "a test card with our keys, never issued": never_issued,
    "a terminal that is nobody's": unknown_terminal,
    "a tariff edited by hand": tariff_by_hand,
    "an amount raised in the batch": amount_raised_in_the_batch,
}


def page() -> dict[str, tuple[list[str], list[str]]]:
    """The table as people read it: attempt, words of the terminal, verdicts of clearing."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    words = re.compile(r"`(\w+)`")
    return {row[0]: (words.findall(row[1]), words.findall(row[2])) for row in rows if "`" in row[1]}


@pytest.fixture
def scene(engine: Engine, hsm_process: RunningHsm, city_hsm: Hsm, tmp_path: Path) -> Iterator[Scene]:
    city = SmallCity(engine, city_hsm, tmp_path / "city")
    city.furnish()
    transport_key = bytes.fromhex(hsm_process.transport_key_file.read_text())
    with Outbox(tmp_path / "outbox.db", "off") as outbox:
        yield Scene(city, Depot(city_hsm, transport_key, outbox))


@pytest.mark.parametrize("name", ATTEMPTS)
def test_what_comes_of_an_attempt_is_what_the_table_says(scene: Scene, name: str) -> None:
    ATTEMPTS[name](scene)
    said, cleared = page()[name]
    assert (scene.said, scene.verdicts()) == (said, cleared)


def test_the_page_tells_every_attempt_in_words_that_exist() -> None:
    table = page()
    assert list(table) == list(ATTEMPTS)
    assert {word for said, _ in table.values() for word in said} <= {OPENED, *Refusal}
    assert {word for _, cleared in table.values() for word in cleared} <= set(Verdict)


def test_a_clone_that_was_found_is_on_the_next_hotlist(scene: Scene) -> None:
    clone_with_keys(scene)
    scene.verdicts()
    with reading(scene.city.engine) as conn:
        assert [entry.card_no for entry in hotlisted(conn)] == [card_no(1)]
