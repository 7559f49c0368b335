"""Dirty days at random, with people who decide what they like between the nights: money is conserved all the same."""

import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from card.hsm.client import Hsm
from clearing.proposals import Asked, Decision, Proposal, ProposalRefused, Target, propose
from clearing.suspense import suspended_groups, suspended_taps
from clearing.tables import tap
from clearing.verdict import Verdict
from ledger.db import reading, writing
from settlement.books import paid_taps_left_their_purses
from settlement.day_end import movements_on
from settlement.suspense_approval import approve
from settlement.two_people import DecisionRefusal, DecisionRefused, Word
from tests.clearing.test_random_nights import (
    NIGHTS,
    assert_money_is_conserved,
    batches_of,
    dirty_city,
    world,
)
from tests.support.clearing_day import DAY, SmallCity
from tests.support.depth import UNSHRUNK, examples


def targets(city: SmallCity, chance: Random) -> Iterator[tuple[Target, int]]:
    """Taps in suspense one by one, with what each shows, and all of an operator's at once; some of each."""
    with reading(city.engine) as conn:
        singly, groups = suspended_taps(conn, DAY), suspended_groups(conn, DAY)
    for one in singly:
        if chance.random() < 0.5:
            yield Target(one.operator, one.sequence, one.position), one.amount_fen
    for group in groups:
        if chance.random() < 0.5:
            yield Target(group.operator, verdict=group.verdict, presented_on=group.presented_on), 0


def decide(city: SmallCity, chance: Random, night: int) -> int:
    """Propose and approve at random; how many proposals were carried out."""
    at, waiting = city.night(DAY + timedelta(days=night)).at, []
    for target, amount_fen in targets(city, chance):
        decision = chance.choice(tuple(Decision))
        part_fen = chance.randint(0, amount_fen) if target.position is not None else None
        wanted_fen = part_fen if decision is Decision.PAY and chance.random() < 0.5 else None
        with writing(city.engine) as conn:
            made = propose(conn, Asked(target, decision, "as it fell", "lin", at, wanted_fen))
        waiting += [made.number] if isinstance(made, Proposal) else []
        assert isinstance(made, Proposal) or made.refusal not in ("reason_unfit", "amount_unfit")
    chance.shuffle(waiting)
    done = 0
    for number in waiting:
        word = Word(number, "chen", at)
        answer = approve(city.engine, word, nights=city.home / "nights")
        if isinstance(answer, DecisionRefused):
            assert answer.refusal is DecisionRefusal.VOID
        else:
            assert approve(city.engine, word, nights=city.home / "nights") == answer
            done += 1
    return done


def assert_the_day_moved_what_its_taps_say(city: SmallCity, night: int) -> None:
    day = DAY + timedelta(days=night)
    with reading(city.engine) as conn:
        assert paid_taps_left_their_purses(conn, day, movements_on(conn, day)) == []
        paid_twice = (
            select(tap.c.card_no, tap.c.counter)
            .where(tap.c.money == "paid")
            .group_by(tap.c.card_no, tap.c.counter)
            .having(func.count() > 1)
        )
        assert conn.execute(paid_twice).all() == []


@examples(4, phases=UNSHRUNK)
@given(seed=st.integers(0, 1 << 32), purse_fen=st.sampled_from([200, 1_000_000]))
def test_money_is_conserved_whatever_two_people_decide(
    sqlite_template: Path, city_hsm: Hsm, seed: int, purse_fen: int
) -> None:
    chance, rides = Random(seed), world(seed)
    with tempfile.TemporaryDirectory() as folder:
        city = dirty_city(sqlite_template, city_hsm, Path(folder) / "a", purse_fen)
        for night in range(NIGHTS):
            for operator, records in batches_of(rides, night).items():
                city.present(operator, night + 1, records)
            city.clear(DAY + timedelta(days=night))
            assert_the_day_moved_what_its_taps_say(city, night)
            decide(city, chance, night)
            assert_money_is_conserved(city, purse_fen)
        city.clear(DAY + timedelta(days=NIGHTS))
        assert_the_day_moved_what_its_taps_say(city, NIGHTS)
        city.engine.dispose()


def test_the_random_people_carry_out_much_of_what_they_propose(
    sqlite_template: Path, city_hsm: Hsm, tmp_path: Path
) -> None:
    done, refused = 0, set[str]()
    for seed in range(6):
        city = dirty_city(sqlite_template, city_hsm, tmp_path / str(seed), 1_000_000)
        for operator, records in batches_of(world(seed), 0).items():
            city.present(operator, 1, records)
        city.clear()
        with writing(city.engine) as conn:
            for group in suspended_groups(conn, DAY, verdict=Verdict.ROUTED):
                target = Target(group.operator, verdict=group.verdict, presented_on=group.presented_on)
                answer = propose(conn, Asked(target, Decision.PAY, "now", "lin", city.night().at))
                refused |= {answer.refusal} if isinstance(answer, ProposalRefused) else {"made"}
        done += decide(city, Random(seed), 0)
        city.engine.dispose()
    assert done > 5
    assert refused == {"routed"}, "what another city answers for is not decided here"
