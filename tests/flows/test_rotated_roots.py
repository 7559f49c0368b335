"""The roots of the cards are rotated: cards made before and after are loaded, ride, and are cleared alike."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from card.hsm.client import Hsm
from card.issue import Terms, activate_card, issue_card
from card.life import Act, Moved
from card.registry import find
from card.stock import Batch, personalise_blanks, receive_batch
from city.drawer import Chip
from city.factory import Factory
from city.office import Office
from city.processes import RunningHsm, running_hsm
from clearing.tables import tap
from clearing.wire.ride import Ride
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.db import reading, writing
from terminals.counter import LoadCounter
from terminals.hotlist import Hotlist
from terminals.loads import LoadJournal
from terminals.outbox import Outbox
from terminals.sam import HsmSam
from terminals.standing import RideFacts
from terminals.trip import Identity
from terminals.validator import Validator
from tests.support.clearing_day import DAY, ISSUER, SmallCity, at, shenzhen, terminal_no
from tests.support.rotation import rotate

BATCH = Batch("2026-03", ISSUER, "03104870000000000500", 2)
BEFORE, AFTER = BATCH.numbers
ROOTS = {0: ("PK", "LK", "TK"), 1: ("PS", "LS", "TS")}


def sell(city: SmallCity, factory: Factory, card_no: str, algorithm: int) -> Chip:
    """The card is personalised, registered from what its factory says, and in use."""
    chip = factory.personalise(card_no, issuer=ISSUER, holder_class=1, algorithm=algorithm)
    act = Act("clerk 7", at(6), "sold", "COUNTER-1")
    with writing(city.engine) as conn:
        personalise_blanks(conn, [chip.personalised], act)
        assert isinstance(issue_card(conn, card_no, Terms("COUNTER-1", 0, 0, DAY), act), Moved)
        activate_card(conn, card_no, act)
    return chip


def load_and_ride(city: SmallCity, factory: Factory, chips: list[Chip], folder: Path) -> None:
    identity = Identity(terminal_no(1))
    with LoadJournal(folder / "counter.db", "off") as journal, Outbox(folder / "outbox.db", "off") as outbox:
        office = Office(city.engine, city.hsm, "COUNTER-1", DAY)
        counter = LoadCounter("518000000000", journal, office, Hotlist(0))
        bus = Validator(identity, HsmSam(identity.terminal, city.hsm, outbox), outbox, shenzhen(), Hotlist(0))
        for minute, chip in enumerate(chips):
            card, when = factory.awaken(chip), at(8) + timedelta(minutes=15 * minute)
            assert counter.load(card, 5_000, at=at(7)).refusal is None
            assert bus.tap(card, RideFacts(Ride.BUS, 200, line=1), at=when).refusal is None
        city.present("BUS-1", 1, outbox.records())


@pytest.mark.parametrize("algorithm", [0, 1])
def test_cards_of_before_and_after_a_rotation_ride_and_the_night_accepts_both(
    engine: Engine, tmp_path: Path, algorithm: int
) -> None:
    home = tmp_path / "hsm"

    def city_at(running: RunningHsm, hsm: Hsm, folder: str) -> tuple[SmallCity, Factory]:
        return SmallCity(engine, hsm, tmp_path / folder), Factory(hsm, running.transport_key_file)

    with running_hsm(home) as running, Hsm(running.host, running.port) as hsm:
        city, factory = city_at(running, hsm, "before")
        city.furnish(cards=1)
        with writing(engine) as conn:
            open_accounts(conn, [account("agent:COUNTER-1")], at=at(6))
            receive_batch(conn, BATCH, Act("clerk 7", at(6), "delivered", "COUNTER-1"))
        chips = [sell(city, factory, BEFORE, algorithm)]
    rotate(home, *ROOTS[algorithm])
    with running_hsm(home) as running, Hsm(running.host, running.port) as hsm:
        city, factory = city_at(running, hsm, "after")
        chips.append(sell(city, factory, AFTER, algorithm))
        load_and_ride(city, factory, chips, tmp_path)
        city.clear()
    with reading(engine) as conn:
        registered = [find(conn, card_no) for card_no in BATCH.numbers]
        assert [one and (one.key_version, one.algorithm) for one in registered] == [
            (1, algorithm),
            (2, algorithm),
        ]
        assert list(conn.scalars(select(tap.c.verdict).order_by(tap.c.position))) == ["accepted", "accepted"]
