"""A day with another city: its cards ride here, ours ride there, and its centre is a program of its own."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, select

from card.hsm.client import Hsm
from city.centre import RunningCentre, running_centre
from clearing.context import Night
from clearing.interop.centres import Answers, Centre, answer_for, register_centre
from clearing.interop.http_centre import HttpCentre
from clearing.interop.results import result_inbox
from clearing.peers import Peers
from clearing.tables import tap
from clearing.wire.batch import write_batch
from clearing.wire.interop import RESULT, ResultLine
from clearing.wire.names import batch_name
from clearing.wire.record import TapRecord
from clearing.wire.ride import Ride
from ledger.balances import balance
from ledger.db import reading, writing
from settlement.agreements import Agreement, register_agreements
from settlement.participants import Participant, register_participants
from tests.settlement.small_day import (
    AT,
    BUS,
    DAY,
    ISSUER,
    MORNING,
    TARIFF,
    card_no,
    night_of,
    prepare,
    purchase_tac,
)

KUNMING: Final = "KUNMING"
GUEST_ISSUER: Final = "02021000"
THERE: Final = "650000000001"
"""A terminal in the other city."""
GUESTS: Final = "BUS-1", 2
"""The batch in which guests' taps are presented: the one that the small day has left out."""
UNSIGNED: Final = TapRecord(
    ride=Ride.BUS, issuer=GUEST_ISSUER, card_no=f"0209999{1:013d}", counter=1, balance_before_fen=5_000,
    amount_fen=160, kind=9, terminal=BUS, terminal_sequence=900, moment=bytes.fromhex("20180901101500"),
    key_version=1, algorithm=0, tac=bytes(4), list_fare_fen=200, holder_class=1, linked=False, full_fare=False,
    line=1, station=7, tariff_version=TARIFF.version, hotlist_version=0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OtherCity:
    """The centre, a client of it, and the city that it is another one to."""

    engine: Engine
    hsm: Hsm
    home: Path
    centre: RunningCentre
    peers: Peers

    def night(self, *, days: int = 0, peers: Peers | None = None) -> Night:
        """The night of the day, or of one some days later."""
        later = timedelta(days=days)
        night = night_of(self.home, self.hsm, DAY + later, AT + later)
        return replace(night, peers=self.peers if peers is None else peers)

    def taps(self, operator: str, sequence: int) -> list[tuple[str, str, int]]:
        """Verdict, money and what is paid of a batch's taps, in order."""
        columns = tap.c
        query = (
            select(columns.verdict, columns.money, columns.paid_fen)
            .where(columns.operator == operator, columns.sequence == sequence)
            .order_by(columns.position)
        )
        with reading(self.engine) as conn:
            return [(row.verdict, row.money, row.paid_fen) for row in conn.execute(query)]

    def balance_fen(self, code: str) -> int:
        """What stands on an account; 0 where there is none."""
        with reading(self.engine) as conn:
            try:
                return balance(conn, code).balance_fen
            except LookupError:
                return 0

    def ride_there(self, *records: bytes, day: date = DAY) -> int:
        """Our cards ride in the other city, whose centre presents that; the number of its file."""
        self.centre.control("POST", "/rides", [record.hex() for record in records])
        return int(self.centre.control("POST", f"/present/{day}")["number"])


def guest(number: int, **changes: object) -> bytes:
    """A tap of another city's card here, with its TAC."""
    record = replace(UNSIGNED, card_no=f"0209999{number:013d}", **changes)  # type: ignore[arg-type]
    return replace(record, tac=purchase_tac(record)).pack()


def abroad(number: int, **changes: object) -> bytes:
    """A tap of one of our cards in the other city, with its TAC; our tariff knows nothing of what it costs there."""
    there = {"issuer": ISSUER, "card_no": card_no(number), "terminal": THERE, "amount_fen": 333, "counter": 9}
    record = replace(UNSIGNED, **(there | changes))  # type: ignore[arg-type]
    return replace(record, tac=purchase_tac(record)).pack()


def put_guests(inbox: Path, hsm: Hsm, records: Sequence[bytes], sequence: int = GUESTS[1]) -> None:
    """The bus company presents taps of guests."""
    operator = GUESTS[0]
    content = write_batch(
        operator=operator,
        sequence=sequence,
        business_date=DAY,
        made_at=bytes.fromhex("20180901233000"),
        mac_key_version=1,
        records=records,
        mac=lambda digest: hsm.batch_mac(operator, digest, 1),
    )
    (inbox / batch_name(operator, sequence)).write_bytes(content)


def put_results(inbox: Path, hsm: Hsm, lines: Sequence[ResultLine], sequence: int = 1) -> Path:
    """Somebody brings a result file of the centre's by hand; where it lies."""
    content = RESULT.write(
        operator=KUNMING,
        sequence=sequence,
        business_date=DAY,
        made_at=bytes.fromhex("20180902080000"),
        mac_key_version=1,
        records=[line.pack() for line in lines],
        mac=lambda digest: hsm.batch_mac(KUNMING, digest, 1),
    )
    folder = result_inbox(inbox)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RESULT.name(KUNMING, sequence)
    path.write_bytes(content)
    return path


def befriend(engine: Engine, hsm: Hsm, home: Path, guests: Sequence[bytes]) -> None:
    """The small day, with a centre that answers for guests' cards, and guests' taps in a batch of their own."""
    prepare(engine, hsm, home)
    with writing(engine) as conn:
        account = Participant(KUNMING, "Kunming Clearing", "871900000000001", "102731000010", "ICBC Kunming")
        register_participants(conn, [account], at=MORNING)
        register_agreements(conn, [Agreement(KUNMING, 0, date(2018, 1, 1))], at=MORNING)
        since = MORNING - timedelta(days=90)
        assert register_centre(conn, Centre(KUNMING, "Kunming Clearing", since), at=MORNING) is True
        assert answer_for(conn, Answers(KUNMING, GUEST_ISSUER, since)) is True
    put_guests(home / "inbox", hsm, guests)


@contextmanager
def other_city(
    engine: Engine, hsm: Hsm, hsm_address: str, home: Path, guests: Sequence[bytes]
) -> Iterator[OtherCity]:
    """Befriend the other city, whose centre runs until the block ends."""
    befriend(engine, hsm, home, guests)
    with ExitStack() as stack:
        centre = stack.enter_context(running_centre(home / "centre", KUNMING, hsm_address))
        client = stack.enter_context(HttpCentre(centre.url))
        yield OtherCity(engine, hsm, home, centre, Peers(centres={KUNMING: client}))
