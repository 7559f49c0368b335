"""Random weeks at the bank: whatever it does and in whatever order its files come, the books are its own to the fen."""

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from settlement.bank.points import Point, PointKind
from settlement.bank.proposals import Decision, Proposal
from settlement.bank.taking import Took
from tests.settlement.small_day import DAY
from tests.support.bank_days import DEPOSIT, DEPOSIT_FEN, FIRST, BankedCity, banked_city, banked_url
from tests.support.depth import DEPTH

DAYS = 6
ORDERS = ("--reject", "--short", "--twice", "--hold", "--send-back", "--deposit")


database_url, city = banked_url, banked_city


def orders(city: BankedCity, chance: Random, day: int) -> list[str]:
    """What the bank does badly on a day: to payments that it may have, or with money that nobody knows."""
    found = [] if day else ["--deposit", f"{DEPOSIT}={DEPOSIT_FEN}"]
    for name, (state, _) in city.states().items():
        order = chance.choice(ORDERS)
        if chance.random() < 0.5 or order == "--deposit":
            continue
        if order in ("--twice", "--send-back"):
            found += [order, name] if state in ("paid", "accepted") and day else []
        else:
            found += [order, {"--reject": f"{name}=AC04", "--short": f"{name}=1"}.get(order, name)]
    if chance.random() < 0.3:
        found += ["--deposit", f"STRANGER-{day}={chance.choice((700, -300))}"]
    return found


def decide(city: BankedCity, chance: Random, one: Point) -> bool:
    """Have two people do what may be done about a point; whether they did."""
    other = next(
        (each.id for each in city.points() if each.amount_fen == one.amount_fen and each.id != one.id), ""
    )
    choices: dict[PointKind, list[tuple[Decision, dict[str, str]]]] = {
        PointKind.OURS_ONLY: [(Decision.REJECT, {})],
        PointKind.DIFFERS: [(Decision.SETTLE, {}), (Decision.BOOK, {"account": "expense:bank"})],
        PointKind.CONTRADICTS: [(Decision.SETTLE, {}), (Decision.BOOK, {"account": "agent:KIOSK-1"})],
        PointKind.TWICE: [(Decision.OFFSET, {"other": other}), (Decision.BOOK, {"account": "agent:KIOSK-1"})],
        PointKind.THEIRS_ONLY: [(Decision.BOOK, {"account": "agent:KIOSK-1"})],
    }
    decision, named = chance.choice(choices.get(one.kind, [(Decision.PAY_AGAIN, {})]))
    if one.kind in (PointKind.GAP, PointKind.FILE):
        return False
    return isinstance(city.try_to_decide(one.id, decision, **named), Proposal)


def owed_fen(city: BankedCity) -> int:
    return -sum(city.held_fen(f"payable:{name}") for name in ("METRO-1", "BUS-1"))


@pytest.mark.parametrize("seed", range(1, 1 + 3 * DEPTH))
def test_whatever_a_bank_does_the_reserve_is_its_balance_and_nobody_is_paid_twice(
    city: BankedCity, seed: int
) -> None:
    chance = Random(seed)
    promised_fen = owed_fen(city)
    late: list[Path] = []
    for day in range(DAYS):
        city.today = FIRST + timedelta(days=day + 1)
        files = city.bank(FIRST + timedelta(days=day), *orders(city, chance, day))
        late += files
        if chance.random() < 0.7:
            chance.shuffle(late)
            for told in city.take([*late, chance.choice(files)]):
                assert told.took is not Took.REFUSED, told
            late = []
        for one in city.points():
            if chance.random() < 0.6:
                decide(city, chance, one)
        assert city.sound() and city.reserve(DAY + timedelta(days=1)).rest_fen == 0
    city.take(late)
    city.night(DAY + timedelta(days=1))
    found = city.reserve(DAY + timedelta(days=1))
    assert (found.custodian_fen, found.rest_fen) == (found.books_fen, 0) and city.sound()
    # What is payable is what the last attempts have not brought; what arrived and what is owed is what was promised.
    with_due = city.due()
    assert owed_fen(city) == sum(with_due.values()) and city.paid_fen() + owed_fen(city) == promised_fen
