"""The night's own check of the books, before it touches them and after: any finding stops it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Final

from sqlalchemy import Connection, Engine, case, or_, select

from clearing.context import Night, StepRefused, StepResult
from clearing.interop.applying import ENTRY_KIND as INTEROP
from clearing.online.qr_tables import qr_ride
from clearing.online.tables import payment
from clearing.online.totals import participant_totals
from clearing.sectors.healthcare.claims import State as BillState
from clearing.sectors.healthcare.tables import hospital_bill
from clearing.sectors.utilities.claims import CLAIM, UNMATCHED
from clearing.sectors.utilities.tables import difference
from clearing.tables import batch_file, chip_load, tap
from clearing.verdict import Money
from ledger.balances import Balance, totals
from ledger.checks import nightly_checks
from ledger.db import asked_together
from ledger.findings import Finding
from ledger.money import yuan
from ledger.snapshots import total_fen
from settlement.bank.booking import PAYMENT, RESERVE, RETURN, SUSPENDING, SUSPENSE
from settlement.bank.tables import bank_line, bank_statement
from settlement.day_end import NETTED, movements_on
from settlement.files import write_csv
from settlement.netting import Role, Standing
from settlement.positions import positions_of

FINDING_COLUMNS: Final = ("check", "subject", "expected fen", "found fen", "what")
NOT_ONLINE: Final = ("clearing", INTEROP, "net", "qr_clearing")
"""Kinds of entries that move `clearing:` accounts and are no online payment's."""
_SHOWN: Final = 3

Movements = Mapping[tuple[str, str, str], int]
"""What moved on a date, as `settlement.day_end.movements_on` has it."""
Totals = Sequence[Balance]
"""The trial balance of now, as `ledger.balances.totals` has it."""


def check_books_before(engine: Engine, night: Night) -> StepResult:
    """Refuse to begin on books that do not agree with themselves."""
    return _result("check_books_before", night, _found(asked_together(engine, nightly_checks())))


def check_books_after(engine: Engine, night: Night) -> StepResult:
    """Refuse to seal books that do not agree, or a day in which money came from nowhere or was lost."""
    conserved = partial(check_conservation, business_date=night.business_date)
    return _result("check_books_after", night, _found(asked_together(engine, [*nightly_checks(), conserved])))


def _found(answers: Sequence[Sequence[Finding]]) -> list[Finding]:
    return [finding for found in answers for finding in found]


def check_conservation(conn: Connection, business_date: date) -> list[Finding]:
    """Hold the day's movements in the ledger against what clearing and netting say they did, in fen."""
    # Each asked once: one reads every line of the day, the other every account.
    moved, held = movements_on(conn, business_date), totals(conn)
    return [
        *(finding for check in BY_MOVEMENTS for finding in check(conn, business_date, moved)),
        *(finding for check in BY_DATE for finding in check(conn, business_date)),
        *(finding for check in BY_TOTALS for finding in check(conn, held)),
    ]


def presented_taps_are_all_decided(conn: Connection, business_date: date) -> list[Finding]:
    """What the night's files presented is what became paid, suspended, rejected and discarded taps."""
    cleared = batch_file.c.cleared_on == business_date
    filed_fen = conn.execute(select(total_fen(batch_file.c.amount_fen)).where(cleared)).scalar_one()
    batch = (batch_file.c.operator == tap.c.operator) & (batch_file.c.sequence == tap.c.sequence)
    query = select(tap.c.money, total_fen(tap.c.amount_fen)).join(batch_file, batch)
    # None of them can have been decided earlier; it tells the database which taps to look through.
    query = query.where(cleared, tap.c.decided_on >= business_date)
    by_money: dict[str, int] = dict(conn.execute(query.group_by(tap.c.money)).all())
    parts = ", ".join(f"{by_money.get(money, 0)} {money}" for money in Money)
    return _compare("presented", "taps", filed_fen, sum(by_money.values()), f"of the fen presented: {parts}")


def paid_taps_left_their_purses(conn: Connection, business_date: date, moved: Movements) -> list[Finding]:
    """What paid taps cost came out of purses, or stands in suspense where a purse held too little.

    What another city's cards paid here is its centre's debt, and what ours paid there is owed to it.
    """
    movements, routed = _kind(moved, "clearing"), _kind(moved, INTEROP)
    paid = select(total_fen(tap.c.amount_fen), total_fen(tap.c.paid_fen)).where(
        tap.c.decided_on == business_date, tap.c.money == Money.PAID
    )
    cost_fen, paid_fen = conn.execute(paid).one()
    moved_fen = sum(movements.values()) + sum(routed.values())
    owed_fen = sum(fen for (_, credited), fen in movements.items() if credited in NETTED)
    owed_fen += sum(fen for (_, credited), fen in routed.items() if credited == "clearing")
    return [
        *_compare("conservation", "purses", cost_fen, moved_fen, "paid taps against what left the purses"),
        *_compare(
            "conservation", "operators", paid_fen, owed_fen, "paid taps against what operators are owed"
        ),
    ]


def online_payments_are_all_booked(conn: Connection, business_date: date, moved: Movements) -> list[Finding]:
    """What payments, refunds and reversals of the date say participants are owed is what the ledger moved."""
    said_fen = sum(total.net_fen for total in participant_totals(conn, business_date))
    moved_fen = 0
    for (kind, debited, credited), fen in moved.items():
        if kind not in NOT_ONLINE:
            moved_fen += fen * ((credited == "clearing") - (debited == "clearing"))
    return _compare(
        "conservation", "online", said_fen, moved_fen, "online payments against what is owed for them"
    )


def rides_on_codes_are_all_booked(conn: Connection, business_date: date, moved: Movements) -> list[Finding]:
    """What paid rides on riders' codes cost is what operators are owed for them."""
    paid = select(total_fen(qr_ride.c.paid_fen)).where(qr_ride.c.decided_on == business_date)
    movements = _kind(moved, "qr_clearing")
    owed_fen = sum(fen for (_, credited), fen in movements.items() if credited == "clearing")
    return _compare(
        "conservation",
        "codes",
        conn.execute(paid).scalar_one(),
        owed_fen,
        "rides on codes against what is owed",
    )


def netting_moved_what_it_says(conn: Connection, business_date: date, moved: Movements) -> list[Finding]:
    """What the position sheet nets is what became payable and what became fee."""
    movements = _kind(moved, "net")
    sheet = positions_of(conn, business_date)
    net_fen = sum(row.position_fen for row in sheet if row.standing is Standing.NETTED)
    fee_fen = sum(row.position_fen for row in sheet if row.role is Role.SCHEME)
    payable_fen, income_fen = (
        sum(movements.get((segment, row), 0) for segment in NETTED) for row in ("payable", "income:fee")
    )
    return [
        *_compare(
            "conservation", "payable", net_fen, payable_fen, "net positions against what became payable"
        ),
        *_compare(
            "conservation", "income:fee", fee_fen, income_fen, "the scheme's position against its income"
        ),
        *_compare(
            "conservation", "positions", 0, sum(row.position_fen for row in sheet), "sum of all positions"
        ),
    ]


def the_bank_moved_what_its_lines_say(
    conn: Connection, business_date: date, moved: Movements
) -> list[Finding]:
    """What statements' lines booked on the date say was paid, came back or is unexplained is what the reserve moved."""
    line, statement = bank_line.c, bank_statement.c
    query = (
        select(line.fate, line.direction, total_fen(line.amount_fen))
        .join(bank_statement, statement.number == line.statement)
        .where(statement.booked_on == business_date)
        .group_by(line.fate, line.direction)
    )
    said: dict[tuple[str, bool], int] = {}
    for fate, direction, fen in conn.execute(query):
        kind = {"paid": PAYMENT, "returned": RETURN, "known": ""}.get(fate, SUSPENDING)
        said[kind, direction == "in"] = said.get((kind, direction == "in"), 0) + fen
    findings = []
    for kind, other in ((PAYMENT, "payable"), (RETURN, "payable"), (SUSPENDING, SUSPENSE)):
        movements = _kind(moved, kind)
        for comes_in, way in ((False, (other, RESERVE)), (True, (RESERVE, other))):
            what = f"lines of statements against {kind} {'into' if comes_in else 'out of'} the reserve"
            findings += _compare(
                "conservation", RESERVE, said.get((kind, comes_in), 0), movements.get(way, 0), what
            )
    return findings


def suspense_of_the_bank_is_of_open_lines(conn: Connection, held: Totals) -> list[Finding]:
    """What stands in suspense for the bank is what its open lines say, out less in."""
    signed = case((bank_line.c.direction == "out", bank_line.c.open_fen), else_=-bank_line.c.open_fen)
    open_fen = conn.execute(select(total_fen(signed))).scalar_one()
    held_fen = sum(row.net_fen for row in held if row.code == SUSPENSE)
    return _compare("conservation", SUSPENSE, open_fen, held_fen, "open lines of statements against suspense")


def pending_loads_are_all_known(conn: Connection, held: Totals) -> list[Finding]:
    """Money taken and not yet on a chip is what unconfirmed loads say."""
    query = select(total_fen(chip_load.c.amount_fen)).where(
        chip_load.c.confirmed_at.is_(None), chip_load.c.returned_at.is_(None)
    )
    ordered_fen = conn.execute(query).scalar_one()
    booked_fen = sum(row.balance_fen for row in held if row.code == "load")
    return _compare(
        "conservation", "load", ordered_fen, booked_fen, "unconfirmed loads against load accounts"
    )


def hospital_bills_are_paid_whole(conn: Connection, _business_date: date) -> list[Finding]:
    """Every bill that the cash desk holds to be paid is a payment of its total that stands."""
    bill = hospital_bill.c
    query = (
        select(bill.reference, bill.total_fen, payment.c.amount_fen, payment.c.reversed_by)
        .outerjoin(payment, payment.c.reference == bill.reference)
        .where(
            bill.paid_at.is_not(None),
            bill.state != BillState.CANCELLED.value,
            or_(
                payment.c.reference.is_(None),
                payment.c.reversed_by.is_not(None),
                payment.c.amount_fen != bill.total_fen,
            ),
        )
        .order_by(bill.reference)
    )
    return [
        Finding("conservation", reference, total_fen, 0 if reversed_by else amount_fen or 0, "a bill paid")
        for reference, total_fen, amount_fen, reversed_by in conn.execute(query)
    ]


def billers_claims_are_all_known(conn: Connection, held: Totals) -> list[Finding]:
    """What is held in suspense for billers is what their open differences claim."""
    query = select(total_fen(difference.c.theirs_fen)).where(difference.c.suspense_entry.is_not(None))
    claimed_fen = conn.execute(query).scalar_one()
    held_fen = {row.code: row.balance_fen for row in held if row.code in (UNMATCHED, CLAIM)}
    message = "claims of billers against the suspense accounts"
    return [
        *_compare("conservation", UNMATCHED, claimed_fen, held_fen.get(UNMATCHED, 0), message),
        *_compare("conservation", CLAIM, -claimed_fen, held_fen.get(CLAIM, 0), message),
    ]


BY_MOVEMENTS: Final[tuple[Callable[[Connection, date, Movements], list[Finding]], ...]] = (
    paid_taps_left_their_purses,
    online_payments_are_all_booked,
    rides_on_codes_are_all_booked,
    netting_moved_what_it_says,
    the_bank_moved_what_its_lines_say,
)
BY_DATE: Final[tuple[Callable[[Connection, date], list[Finding]], ...]] = (
    presented_taps_are_all_decided,
    hospital_bills_are_paid_whole,
)
BY_TOTALS: Final[tuple[Callable[[Connection, Totals], list[Finding]], ...]] = (
    pending_loads_are_all_known,
    billers_claims_are_all_known,
    suspense_of_the_bank_is_of_open_lines,
)


def _result(step: str, night: Night, findings: Sequence[Finding]) -> StepResult:
    if not findings:
        return StepResult({"findings": 0})
    path = write_csv(
        night.folder / "out" / "reports" / f"{step}.csv",
        FINDING_COLUMNS,
        ((one.check, one.subject, one.expected_fen, one.found_fen, one.message) for one in findings),
    )
    shown = "; ".join(
        f"{one.check} {one.subject}: {yuan(one.expected_fen)} yuan expected, {yuan(one.found_fen)} found"
        f" ({one.message})"
        for one in findings[:_SHOWN]
    )
    more = f"; and {len(findings) - _SHOWN} more" if findings[_SHOWN:] else ""
    raise StepRefused(
        step,
        f"{len(findings)} findings: {shown}{more}",
        f"see {path}; correct by reversal, never by overwriting",
    )


def _kind(movements: Movements, kind: str) -> Mapping[tuple[str, str], int]:
    return {(debited, credited): fen for (of, debited, credited), fen in movements.items() if of == kind}


def _compare(check: str, subject: str, expected_fen: int, found_fen: int, message: str) -> list[Finding]:
    if expected_fen == found_fen:
        return []
    return [Finding(check, subject, expected_fen, found_fen, message)]
