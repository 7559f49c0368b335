"""A day with a hospital, an insurer and a water company beside the buses: what a night has to settle with them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import Engine

from card.hsm.client import Hsm
from city.biller import RunningBiller, running_biller
from city.insurer import Mode, RunningInsurer, running_insurer
from clearing.context import Night
from clearing.online.payment import Channel
from clearing.peers import Peers
from clearing.sectors.healthcare.bills import Agreed, Bill, BillRecord
from clearing.sectors.healthcare.cashier import Cashier
from clearing.sectors.healthcare.insurer_http import HttpInsurer
from clearing.sectors.healthcare.policy import Split
from clearing.sectors.utilities.bills import BillOrder, BillPaid, pay_bill
from clearing.sectors.utilities.catalogue import Biller, Supply, register_billers
from clearing.sectors.utilities.http_biller import HttpBiller
from ledger.db import writing
from settlement.agreements import Agreement, register_agreements
from settlement.participants import Participant, register_participants
from tests.settlement.small_day import AT, DAY, MORNING, night_of, prepare
from tests.support.hospital_day import (
    CLINIC,
    EMPLOYEE,
    HOSPITAL,
    POLICIES,
    RESIDENT,
    at,
    bill,
    drain,
    open_city,
)

WATER = Biller("WATER-1", "City Water", Supply.WATER)
WATER_ACCOUNT = "A1"
WATER_FEN = {"B1": 3_000, "B2": 2_000}


@dataclass(frozen=True, slots=True)
class Institutions:
    """A running insurer and water company, and clients of both that wait for their answers."""

    insurer: RunningInsurer
    water: RunningBiller
    peers: Peers


@contextmanager
def institutions(home: Path) -> Iterator[Institutions]:
    """Start both with journals of their own in `home`."""
    with ExitStack() as stack:
        insurer = stack.enter_context(running_insurer(home / "insurer"))
        water = stack.enter_context(running_biller(home / "water", WATER.id, WATER.kind))
        bills = [
            {
                "account_no": WATER_ACCOUNT,
                "customer": "张*",
                "bill_no": number,
                "period": "2018-08",
                "amount_fen": amount_fen,
                "due_on": "2018-09-20",
            }
            for number, amount_fen in WATER_FEN.items()
        ]
        water.control("POST", "/bills", bills)
        client = stack.enter_context(HttpBiller(water.url))
        asked = stack.enter_context(HttpInsurer(insurer.url))
        yield Institutions(insurer, water, Peers({WATER.id: client}, asked))


def furnish(engine: Engine, hsm: Hsm, home: Path) -> None:
    """The small day of two operators, with hospitals and a water company that are paid by the night."""
    prepare(engine, hsm, home)
    open_city(engine)
    with writing(engine) as conn:
        register_billers(conn, [WATER], at=MORNING)
        ids = (HOSPITAL, CLINIC, WATER.id)
        participants = [
            Participant(one, one.title(), f"7559{number:011d}", "308584000013", "Custodian Bank")
            for number, one in enumerate(ids, 1)
        ]
        register_participants(conn, participants, at=MORNING)
        register_agreements(conn, [Agreement(one, 0, date(2018, 1, 1)) for one in ids], at=MORNING)


def settle(engine: Engine, insurer: HttpInsurer, given: Bill) -> BillRecord:
    """Preview a bill, agree to it, settle it as far as the insurer answers."""
    desk = Cashier(engine, insurer, POLICIES)
    split = desk.preview(given, at=at(9))
    assert isinstance(split, Split), split
    found = desk.settle(given, Agreed.of(split), at=at(9))
    assert isinstance(found, BillRecord), found
    return found


def pay_water(engine: Engine, peers: Peers, bill_no: str = "B1") -> None:
    """Pay a water bill, of which the company hears nothing yet."""
    order = BillOrder(
        f"app:{bill_no}", WATER.id, WATER_ACCOUNT, bill_no, WATER_FEN[bill_no], EMPLOYEE, Channel.APP, at(10)
    )
    paid = pay_bill(engine, peers.billers, order, at=at(10))
    assert isinstance(paid, BillPaid), paid


def live(engine: Engine, there: Institutions) -> None:
    """A bill settled, one whose answer is lost, one that its holder cannot pay any more, and a water bill."""
    insurer = there.peers.insurer
    assert isinstance(insurer, HttpInsurer)
    assert settle(engine, insurer, bill("SETTLED", 40_000)).state == "paid"
    there.insurer.behave(Mode.GARBLES, "claim")
    assert settle(engine, insurer, bill("LOST", 10_000)).state == "unknown"
    # The deductible is his to pay, and by the night his wallet is empty.
    assert settle(engine, insurer, bill("POOR", 25_000, holder=RESIDENT, hospital=CLINIC)).state == "unknown"
    there.insurer.behave(Mode.ANSWERS)
    with writing(engine) as conn:
        drain(conn, f"wallet:{RESIDENT}", 30_000)
    pay_water(engine, there.peers)


def night_with(home: Path, hsm: Hsm, peers: Peers, *, days: int = 0) -> Night:
    """The night of the day, or of one some days later, with these peers."""
    later = timedelta(days=days)
    return replace(night_of(home, hsm, DAY + later, AT + later), peers=peers)
