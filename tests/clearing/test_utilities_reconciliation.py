"""Reconciling with a biller: every kind of difference found, put right, and gone; money conserved throughout."""

from collections import deque
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Engine, func, select

from city.biller_journal import Told
from clearing.online.payment import payments_of_merchant
from clearing.online.refund import Refund, refund
from clearing.sectors.utilities.bills import BillPaid, pay_bill
from clearing.sectors.utilities.claims import CLAIM, UNMATCHED
from clearing.sectors.utilities.comparing import DifferenceKind
from clearing.sectors.utilities.daily_file import FileLine, write_daily_file
from clearing.sectors.utilities.differences import open_differences
from clearing.sectors.utilities.notices import due_notices
from clearing.sectors.utilities.peer import BillerClient
from clearing.sectors.utilities.reconciliation import (
    FileRefusal,
    FileRefused,
    Reconciled,
    reconcile_day,
    unreconciled_days,
)
from clearing.sectors.utilities.register import payment_of, payments_of_day
from clearing.sectors.utilities.reversal import (
    TakeBackRefusal,
    TakeBackRefused,
    TakenBack,
    reverse_bill,
    withdraw_bill,
)
from clearing.sectors.utilities.sending import send_notices
from clearing.sectors.utilities.states import LIVE, Act, State
from clearing.sectors.utilities.tables import difference
from ledger.checks import check_books
from ledger.day import begin_close
from ledger.db import reading, writing
from tests.support.archived_month import archived, over
from tests.support.utility_day import (
    ANN,
    AT,
    BEN,
    DAY,
    GAS,
    LATER,
    WALLET_FEN,
    WATER,
    NearBiller,
    Spoil,
    fen_in,
    near_biller,
    order,
    paid,
    prepare,
    told_of,
)

NEXT_DAY = DAY + timedelta(days=1)


REFUSED = [
    ("WATER-1", b"", FileRefusal.FLAWED),
    ("NOBODY", write_daily_file("NOBODY", DAY, 1, [], made_at=AT), FileRefusal.BILLER_UNKNOWN),
    ("GAS-1", write_daily_file("WATER-1", DAY, 1, [], made_at=AT), FileRefusal.OTHER_BILLER),
    ("GAS-1", write_daily_file("GAS-1", NEXT_DAY, 1, [], made_at=AT), FileRefusal.OTHER_DAY),
    ("GAS-1", write_daily_file("GAS-1", DAY, 2, [], made_at=AT + LATER), FileRefusal.ISSUE_TAKEN),
    ("GAS-1", write_daily_file("GAS-1", DAY, 1, [], made_at=AT), FileRefusal.ISSUE_SUPERSEDED),
]


@pytest.fixture
def water(engine: Engine, tmp_path: Path) -> NearBiller:
    prepare(engine)
    return near_biller(tmp_path, WATER)


@pytest.fixture
def clients(engine: Engine, water: NearBiller) -> dict[str, BillerClient]:
    reached: dict[str, BillerClient] = {WATER.id: water}
    paid(engine, reached, order("app:1"))
    paid(engine, reached, order("app:2", bill_no="B2", amount_fen=2000))
    return reached


def reconciled(engine: Engine, water: NearBiller) -> Reconciled:
    found = reconcile_day(engine, WATER.id, water.daily_file(DAY), DAY, AT)
    assert isinstance(found, Reconciled), found
    return found


def kinds(engine: Engine, found: Reconciled) -> dict[str, DifferenceKind]:
    """The kinds of what was found, which is also what is listed."""
    with reading(engine) as conn:
        assert [one.difference for one in open_differences(conn, WATER.id, DAY)] == list(found.differences)
    return {one.reference: one.kind for one in found.differences}


def state(engine: Engine, reference: str) -> State:
    with reading(engine) as conn:
        found = payment_of(conn, reference)
    assert found is not None
    return found.state


def in_suspense(engine: Engine) -> tuple[int, int]:
    """What is in suspense on either side; no account is opened before something goes there."""
    with reading(engine) as conn:
        if not conn.scalar(select(func.sum(difference.c.claims))):
            return 0, 0
    return fen_in(engine, UNMATCHED), fen_in(engine, CLAIM)


def test_a_day_on_which_both_sides_have_the_same_agrees(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    send_notices(engine, clients, AT)
    found = reconciled(engine, water)
    assert found.agrees and (found.agreed, found.proved) == (2, 0)
    assert (found.ours_count, found.ours_fen) == (found.theirs_count, found.theirs_fen) == (2, 5000)


def test_the_file_counts_as_the_answer_that_got_lost(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    water.spoils = deque([Spoil.LOST, Spoil.LOST])
    send_notices(engine, clients, AT)
    found = reconciled(engine, water)
    assert found.agrees and found.proved == 2
    assert state(engine, "app:1") is State.WRITTEN_OFF
    with reading(engine) as conn:
        assert due_notices(conn) == []


def test_what_only_we_have_is_notified_again_and_gone_from_the_next_issue(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    send_notices(engine, clients, AT)
    with reading(engine) as conn:
        ours = payment_of(conn, "app:1")
    assert ours is not None
    water.journal.blunder(told_of(ours), None)
    found = reconciled(engine, water)
    assert kinds(engine, found) == {"app:1": DifferenceKind.OURS_ONLY} and not found.totals_agree
    with reading(engine) as conn:
        assert [(one.notice.reference, one.notice.act) for one in due_notices(conn)] == [
            ("app:1", Act.WRITE_OFF)
        ]
    water.journal.repair()
    assert send_notices(engine, clients, AT).taken == 1
    again = reconciled(engine, water)
    assert again.agrees and again.issue == found.issue + 1 and kinds(engine, again) == {}


def test_what_only_we_have_and_the_biller_refuses_goes_back_to_the_holder(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    water.journal.write_off(Told("cash", "A1", "B1", 3000, NEXT_DAY), AT)
    found = reconciled(engine, water)
    assert kinds(engine, found) == dict.fromkeys(("app:1", "app:2"), DifferenceKind.OURS_ONLY)
    send_notices(engine, clients, AT)
    assert state(engine, "app:1") is State.RETURNED
    assert reconciled(engine, water).agrees
    assert fen_in(engine, f"wallet:{ANN}") == WALLET_FEN - 2000


def test_what_only_we_have_can_be_given_back_after_the_day(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    paid(engine, clients, order("app:3", account_no="A2", bill_no="B3", amount_fen=4000, holder=BEN))
    water.journal.write_off(Told("app:3", "A2", "B3", 4000, DAY), AT)
    reconciled(engine, water)
    with writing(engine) as conn:
        begin_close(conn, DAY, at=AT)
        asked = withdraw_bill(conn, "app:1", at=AT)
        filed = withdraw_bill(conn, "app:3", at=AT)
    assert isinstance(asked, TakenBack)
    assert isinstance(filed, TakeBackRefused) and filed.reason is TakeBackRefusal.NO_DIFFERENCE
    send_notices(engine, clients, AT)
    assert (state(engine, "app:1"), state(engine, "app:2")) == (State.REVERSED, State.WRITTEN_OFF)
    assert reconciled(engine, water).agrees
    assert fen_in(engine, f"wallet:{ANN}") == WALLET_FEN - 2000


def test_what_only_they_have_is_in_suspense_until_they_withdraw_it_and_pays_nobody(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    send_notices(engine, clients, AT)
    invented = Told("ghost", "A2", "B3", 4000, DAY)
    water.journal.blunder(invented, 4000)
    for _ in range(2):  # the same file again books nothing twice
        assert kinds(engine, reconciled(engine, water)) == {"ghost": DifferenceKind.THEIRS_ONLY}
        assert in_suspense(engine) == (4000, -4000)
    assert fen_in(engine, "clearing:WATER-1") == 5000
    water.journal.blunder(invented, 4100)  # the biller claims more in its next issue
    reconciled(engine, water)
    assert in_suspense(engine) == (4100, -4100)
    water.journal.repair()
    assert reconciled(engine, water).agrees
    assert in_suspense(engine) == (0, 0)
    water.journal.blunder(invented, 4000)  # and again: another claim
    reconciled(engine, water)
    with reading(engine) as conn:
        (one,) = open_differences(conn)
        assert check_books(conn) == []
    assert (one.difference.theirs_fen, one.settled_at, in_suspense(engine)) == (4000, None, (4000, -4000))


def test_a_claim_whose_month_is_archived_is_released_as_any_other(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller, tmp_path: Path
) -> None:
    send_notices(engine, clients, AT)
    water.journal.blunder(Told("ghost", "A2", "B3", 4000, DAY), 4000)
    reconciled(engine, water)
    assert in_suspense(engine) == (4000, -4000)
    today = over(engine, DAY)
    archived(engine, DAY, tmp_path / "ledger-archive")
    water.journal.repair()
    late = datetime.combine(today, time(3), UTC)
    found = reconcile_day(engine, WATER.id, water.daily_file(DAY), DAY, late)
    assert isinstance(found, Reconciled) and found.agrees
    assert in_suspense(engine) == (0, 0)
    with reading(engine) as conn:
        assert check_books(conn) == []


def test_what_the_biller_keeps_after_letting_go_is_its_claim(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    send_notices(engine, clients, AT)
    with writing(engine) as conn:
        reverse_bill(conn, "app:1", holder=ANN, at=AT)
    before = reconciled(engine, water)
    assert kinds(engine, before) == {"app:1": DifferenceKind.REVERSAL_OPEN}
    send_notices(engine, clients, AT)
    assert reconciled(engine, water).agrees
    water.journal.blunder(Told("app:1", "A1", "B1", 3000, DAY), 3000)
    after = reconciled(engine, water)
    assert kinds(engine, after) == {"app:1": DifferenceKind.THEIRS_ONLY}
    assert "given back by us" in after.differences[0].message


def test_another_amount_and_another_bill_are_listed_and_change_nothing(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    send_notices(engine, clients, AT)
    water.journal.blunder(Told("app:1", "A1", "B1", 3000, DAY), 2900)
    found = reconciled(engine, water)
    assert kinds(engine, found) == {"app:1": DifferenceKind.OTHER_AMOUNT}
    assert (found.differences[0].ours_fen, found.differences[0].theirs_fen) == (3000, 2900)
    lines = [FileLine("app:1", "A1", "B2", 3000, AT), FileLine("app:2", "A1", "B2", 2000, AT)]
    other = reconcile_day(engine, WATER.id, write_daily_file(WATER.id, DAY, 9, lines, made_at=AT), DAY, AT)
    assert isinstance(other, Reconciled)
    assert kinds(engine, other) == {"app:1": DifferenceKind.OTHER_BILL} and other.totals_agree
    assert fen_in(engine, "clearing:WATER-1") == 5000


def test_differences_that_make_up_for_each_other_are_found_all_the_same(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    send_notices(engine, clients, AT)
    water.journal.blunder(Told("app:1", "A1", "B1", 3000, DAY), 2900)
    water.journal.blunder(Told("app:2", "A1", "B2", 2000, DAY), 2100)
    found = reconciled(engine, water)
    assert found.totals_agree and not found.agrees and len(found.differences) == 2


def test_a_payment_filed_under_another_date_is_told_apart_from_an_invented_one(
    engine: Engine, clients: dict[str, BillerClient]
) -> None:
    with writing(engine) as conn:
        begin_close(conn, DAY, at=AT)
    lines = [FileLine("app:1", "A1", "B1", 3000, AT), FileLine("ghost", "A1", "B1", 1, AT)]
    found = reconcile_day(
        engine, WATER.id, write_daily_file(WATER.id, NEXT_DAY, 1, lines, made_at=AT), NEXT_DAY, AT
    )
    assert isinstance(found, Reconciled)
    misfiled, invented = found.differences
    assert misfiled.kind is invented.kind is DifferenceKind.THEIRS_ONLY
    assert f"with us of {DAY} at WATER-1" in misfiled.message and "unknown to us" in invented.message


def test_money_refunded_by_another_door_shows_against_the_file(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    send_notices(engine, clients, AT)
    with writing(engine) as conn:
        refund(conn, [Refund("by-merchant", "app:1", 500, DAY, AT)], at=AT)
    found = reconciled(engine, water)
    assert kinds(engine, found) == {"app:1": DifferenceKind.OTHER_AMOUNT}
    assert found.differences[0].ours_fen == 2500


def test_a_file_that_is_not_the_one_asked_for_is_refused(engine: Engine) -> None:
    prepare(engine)
    good = write_daily_file(GAS.id, DAY, 2, [], made_at=AT)
    first = reconcile_day(engine, GAS.id, good, DAY, AT)
    assert isinstance(first, Reconciled) and first.agrees
    assert reconcile_day(engine, GAS.id, good, DAY, AT) == first
    for biller, content, expected in REFUSED:
        answer = reconcile_day(engine, biller, content, DAY, AT)
        assert isinstance(answer, FileRefused) and answer.reason is expected and answer.message


def test_days_without_a_file_are_listed(
    engine: Engine, clients: dict[str, BillerClient], water: NearBiller
) -> None:
    with reading(engine) as conn:
        assert unreconciled_days(conn, before=DAY) == []
        assert unreconciled_days(conn, before=NEXT_DAY) == [(WATER.id, DAY)]
    reconciled(engine, water)
    with reading(engine) as conn:
        assert unreconciled_days(conn, before=NEXT_DAY) == []


@pytest.mark.parametrize("seed", range(4))
def test_after_any_day_repair_leaves_no_difference_and_every_fen_in_its_place(
    engine: Engine, tmp_path: Path, seed: int
) -> None:
    chance = Random(seed)
    prepare(engine)
    gas = near_biller(tmp_path, GAS)
    clients: dict[str, BillerClient] = {GAS.id: gas}
    for number in range(6):
        gas.journal.add_bill("A8", "周*", f"P{number}", "2018-08", 900, DAY)
    at = AT
    references: list[str] = []
    for turn in range(30):
        at += LATER
        gas.spoils = deque(chance.choice([None, None, Spoil.UNDONE, Spoil.LOST]) for _ in range(4))
        one = order(
            f"r{turn}", biller=GAS, account_no="A8", bill_no=f"P{chance.randrange(6)}",
            amount_fen=chance.randint(1, 500), holder=chance.choice([ANN, BEN]),
        )  # fmt: skip
        act = chance.randrange(6)
        if act <= 2 and isinstance(pay_bill(engine, clients, one, at=at), BillPaid):
            references.append(one.reference)
        elif act == 3 and references:
            with writing(engine) as conn:
                held = payment_of(conn, chance.choice(references))
                assert held is not None
                reverse_bill(conn, held.reference, holder=held.holder, at=at)
        elif act == 4:
            send_notices(engine, clients, at)
        elif act == 5:
            told = Told(chance.choice([*references, "ghost"]), "A8", "P0", 1, DAY)
            gas.journal.blunder(told, chance.choice([None, 7]))
            reconcile_day(engine, GAS.id, gas.daily_file(DAY), DAY, at)
        assert_conserved(engine)
    gas.journal.repair()
    gas.spoils.clear()
    for _ in range(3):
        at += LATER
        send_notices(engine, clients, at)
        last = reconcile_day(engine, GAS.id, gas.daily_file(DAY), DAY, at)
    assert isinstance(last, Reconciled) and last.agrees
    assert last.theirs_fen == fen_in(engine, "clearing:GAS-1")
    assert in_suspense(engine) == (0, 0)
    with reading(engine) as conn:
        assert open_differences(conn) == [] and due_notices(conn) == [] and check_books(conn) == []


def assert_conserved(engine: Engine) -> None:
    """No fen is lost between wallets and biller, and each payment's money is where its state says."""
    wallets_fen = sum(fen_in(engine, f"wallet:{holder}") for holder in (ANN, BEN))
    assert wallets_fen + fen_in(engine, "clearing:GAS-1") == 2 * WALLET_FEN
    with reading(engine) as conn:
        ours = payments_of_day(conn, GAS.id, DAY)
        booked = {one.reference: one.standing_fen for one in payments_of_merchant(conn, GAS.id, DAY)}
    standing = (*LIVE, State.REVERSING)
    assert booked == {one.reference: one.amount_fen if one.state in standing else 0 for one in ours}
