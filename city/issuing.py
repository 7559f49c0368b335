"""Cards into riders' hands: personalised, registered, and loaded at a counter for their first rides."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from card.registry import CardRecord, register
from city.agent import AGENT
from city.day import ISSUER, Rider
from city.office import Office
from city.riders import Riders
from city.world import City
from ledger.db import writing
from terminals.counter import LoadCounter
from terminals.hotlist import Hotlist
from terminals.loads import LoadJournal

COUNTER_TERMINAL = "518000000000"
ISSUED_BEFORE = timedelta(days=30)


def issue(
    city: City,
    riders: Riders,
    people: Sequence[Rider],
    *,
    at: datetime,
    progress: Callable[[str, int, int], None],
) -> int:
    """Give everyone a card who has none, and enter our own in the register; how many cards were made."""
    new = riders.issue(people, progress)
    records = [
        CardRecord(
            rider.card_no, rider.issuer, rider.holder_class, made.key_version, made.algorithm,
            at - ISSUED_BEFORE, valid_from=made.valid_from, valid_until=made.valid_until,
        )
        for rider in new
        if rider.issuer == ISSUER
        for made in [riders.personalised(rider.card_no)]
    ]  # fmt: skip
    with writing(city.engine) as conn:
        register(conn, records, at=at)
    return len(new)


def load_all(
    city: City,
    riders: Riders,
    people: Sequence[Rider],
    *,
    business_date: date,
    at: datetime,
    progress: Callable[[str, int, int], None],
) -> int:
    """Load every rider's card at the counter before the day begins; what the agent took, in fen."""
    office = Office(city.engine, city.hsm, AGENT, business_date)
    loaded_fen = 0
    with LoadJournal(city.home.world / "counter.db", "off") as journal, office.together():
        counter = LoadCounter(COUNTER_TERMINAL, journal, office, Hotlist(0))
        for done, rider in enumerate(people, 1):
            if rider.issuer == ISSUER and rider.load_fen:
                outcome = counter.load(riders.card(rider.card_no), rider.load_fen, at=at)
                if outcome.receipt is None:
                    raise RuntimeError(f"card {rider.card_no} was not loaded: {outcome.refusal}")
                loaded_fen += rider.load_fen
            progress("loads", done, len(people))
    return loaded_fen
