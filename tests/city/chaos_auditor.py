"""The auditor: everybody's own journals against our books, reference by reference and pocket by pocket."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from city.drawer import Drawer
from city.home import Home
from clearing.online.load import pending_loads
from clearing.online.payment import PaymentRecord
from clearing.online.payment_record import payments_by_reference
from clearing.online.qr_tables import qr_ride
from clearing.online.tables import payment, topup
from clearing.online.topup_record import stray_confirmations
from clearing.sectors.healthcare.bill_book import contradicted_bills, open_bills
from clearing.sectors.utilities.notices import due_notices
from clearing.tables import chip_load, tap
from ledger.balances import balances
from ledger.checks import check_books
from terminals.outbox import Outbox
from terminals.qr_outbox import QrOutbox
from tests.city.chaos_town import BILLERS, Town
from tests.city.chaos_witnesses import Testimony, biller_says, insurer_says, testimony

Standing = Mapping[str, Mapping[tuple[str, str], int]]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something on which two do not agree: lost, doubled, differing, or not as it should be."""

    kind: str
    what: str
    told: object = None
    heard: object = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}: told {self.told}, heard {self.heard}"


def unfinished(conn: Connection) -> list[str]:
    """What the books have yet to tell, to ask, or to be told."""
    left = [f"notice {due.notice.act} {due.notice.reference}" for due in due_notices(conn)]
    return left + [f"bill {bill.reference} {bill.state}" for bill in open_bills(conn)]


def audit(conn: Connection, folder: Path, town: Town, opening_fen: Mapping[str, int]) -> list[Difference]:
    """Everything on which journals and books do not agree, before the night."""
    told, ours = testimony(folder, town), books_say(conn)
    theirs = told.standing()
    return [
        *(Difference("complaint", complaint) for complaint in told.complaints),
        *compare("payment", theirs, ours),
        *compare("pocket", predicted_fen(told), moved_fen(conn, opening_fen)),
        *compare("claim at the insurer", _shares(ours), insurer_says(folder)),
        *(
            difference
            for biller in BILLERS
            for difference in compare(
                f"write-off at {biller}", _of_biller(ours, biller), biller_says(folder, biller)
            )
        ),
        *tidiness(conn),
    ]


def compare(what: str, told: Mapping[str, Any], heard: Mapping[str, Any]) -> list[Difference]:
    """By name: what one side told and the other has not heard is lost, what it heard from nobody is doubled."""
    found = []
    for name in sorted(told.keys() | heard.keys()):
        if told.get(name) != heard.get(name):
            kind = "differs" if name in told and name in heard else "lost" if name in told else "doubled"
            found.append(Difference(kind, f"{what} {name}", told.get(name), heard.get(name)))
    return found


def books_say(conn: Connection) -> dict[str, dict[tuple[str, str], int]]:
    """What stands in our own tables of payments, top-ups and loads, by reference."""
    references = list(conn.scalars(select(payment.c.reference)))
    stands = {
        reference: _legs(record) for reference, record in payments_by_reference(conn, references).items()
    }
    confirmed = select(topup.c.reference, topup.c.holder, topup.c.channel_id, topup.c.amount_fen)
    for reference, holder, channel, fen in conn.execute(confirmed.where(topup.c.state == "confirmed")):
        stands[reference] = {(f"agent:{channel}", f"wallet:{holder}"): fen}
    loads = select(chip_load.c.reference, chip_load.c.card_no, chip_load.c.holder, chip_load.c.amount_fen)
    for reference, card_no, holder, fen in conn.execute(loads.where(chip_load.c.confirmed_at.is_not(None))):
        stands[f"load:{reference}"] = {(f"wallet:{holder}", f"purse:{card_no}"): fen}
    return {reference: legs for reference, legs in stands.items() if legs}


def _legs(record: PaymentRecord) -> dict[tuple[str, str], int]:
    if record.reversed_by is not None:
        return {}
    return {
        (leg.account, f"clearing:{record.merchant}"): leg.amount_fen - back.amount_fen
        for leg, back in zip(record.legs, record.refunded_legs, strict=True)
        if leg.amount_fen != back.amount_fen
    }


def predicted_fen(told: Testimony) -> dict[str, int]:
    """What every account must have moved by, debits positive, from what everybody says."""
    moved: Counter[str] = Counter()
    for legs in told.standing().values():
        for (debit, credit), fen in legs.items():
            moved[debit] += fen
            moved[credit] -= fen
    return {code: fen for code, fen in moved.items() if fen}


def moved_fen(conn: Connection, opening_fen: Mapping[str, int]) -> dict[str, int]:
    """What every account has moved by since the town was founded, debits positive."""
    now = {one.code: one.net_fen - opening_fen.get(one.code, 0) for one in balances(conn)}
    return {code: fen for code, fen in now.items() if fen}


def tidiness(conn: Connection) -> list[Difference]:
    """What must not be in the books once everything has drained."""
    odd = [
        *(("books", finding) for finding in check_books(conn)),
        *(("not drained", left) for left in unfinished(conn)),
        *(("load neither made nor returned", load) for load in pending_loads(conn)),
        *(("confirmation that nobody could book", stray) for stray in stray_confirmations(conn)),
        *(("bill with contradicting answers", bill.reference) for bill in contradicted_bills(conn)),
    ]
    return [Difference("untidy", f"{what}: {thing}") for what, thing in odd]


def audit_chips(conn: Connection, folder: Path, town: Town) -> list[Difference]:
    """After the night: the depot's durable records and the chips themselves against what was cleared."""
    with (
        Outbox(folder / "depot" / "rides.db") as outbox,
        QrOutbox(folder / "depot" / "code-rides.db") as codes,
    ):
        rides = {f"{one.card_no}:{one.counter}": one.amount_fen for one in outbox.records()}
        code_rides = {f"{one.terminal}:{one.terminal_sequence}": one.amount_fen for one in codes.records()}
        unresolved = outbox.unresolved()
    drawer = Drawer(Home(folder / "city").world / "cards.db")
    chips_fen = {f"purse:{chip.card_no}": chip.state.purse.balance_fen for chip in drawer.chips()}
    drawer.close()
    cleared = select(tap.c.card_no, tap.c.counter, tap.c.paid_fen)
    cleared_codes = select(qr_ride.c.terminal, qr_ride.c.terminal_sequence, qr_ride.c.paid_fen)
    purses_fen = {one.code: one.balance_fen for one in balances(conn, "purse:") if one.code in chips_fen}
    return [
        *compare("ride", rides, {f"{card}:{counter}": fen for card, counter, fen in conn.execute(cleared)}),
        *compare(
            "ride on a code", code_rides, {f"{at}:{n}": fen for at, n, fen in conn.execute(cleared_codes)}
        ),
        *compare("chip", chips_fen, purses_fen),
        *(Difference("complaint", f"ride that nobody can prove: {one}") for one in unresolved),
        *(Difference("untidy", f"books: {finding}") for finding in check_books(conn)),
    ]


def _shares(ours: Standing) -> dict[str, int]:
    """What the fund pays of every hospital bill that stands."""
    return {
        reference: sum(fen for (debit, _), fen in legs.items() if debit.startswith("fund:"))
        for reference, legs in ours.items()
        if reference.startswith("hospital:")
    }


def _of_biller(ours: Standing, biller: str) -> dict[str, int]:
    return {
        reference: sum(legs.values())
        for reference, legs in ours.items()
        if any(credit == f"clearing:{biller}" for _, credit in legs)
    }
