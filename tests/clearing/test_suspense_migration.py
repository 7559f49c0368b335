"""The migration of decisions on taps in suspense: as the tables are defined, there and back on both databases."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, Row, inspect, select, text, update
from sqlalchemy.exc import IntegrityError

from card.hsm.client import Hsm
from clearing.proposals import Asked, Decision, Proposal, State, Target, proposals, propose
from clearing.suspense_tables import suspense_item, suspense_proposal
from ledger.db import metadata, migrate, reading, writing
from settlement.suspense_decisions import turn_down, withdraw
from settlement.two_people import Word
from tests.support.clearing_day import TAP, SmallCity, card_no, signed, terminal_no

OURS = {suspense_item.name, suspense_proposal.name}
AT = datetime(2018, 9, 2, 4, 30, tzinfo=UTC)


@pytest.fixture
def proposed(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> Engine:
    """Books with three proposals: one turned down, one withdrawn, one that waits."""
    city = SmallCity(engine, city_hsm, tmp_path)
    city.furnish()
    strange = replace(TAP, terminal=terminal_no(9))
    city.present("BUS-1", 1, [signed(replace(strange, card_no=card_no(n))) for n in (1, 2)])
    city.clear()
    for word in (turn_down, withdraw, None):
        by = "chen" if word is turn_down else "lin"
        with writing(engine) as conn:
            made = propose(conn, Asked(Target("BUS-1", 1, 0), Decision.PAY, "the depot has it", "lin", AT))
            assert isinstance(made, Proposal)
            if word is not None:
                word(conn, Word(made.number, by, AT, "not yet" if word is turn_down else ""))
    return engine


def test_the_migration_makes_the_tables_of_proposals_as_they_are_defined(engine: Engine) -> None:
    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in OURS

    with engine.connect() as conn:
        options = {"include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
        for name in OURS:
            defined = {check.name for check in metadata.tables[name].constraints if check.name}
            found = {check["name"] for check in inspect(conn).get_check_constraints(name)}
            assert {one for one in defined if str(one).startswith("ck_")} == found


def test_the_tables_of_proposals_go_down_and_up_again(engine: Engine) -> None:
    migrate(engine, "0040_interop")
    assert not OURS & set(inspect(engine).get_table_names())
    migrate(engine)
    assert set(inspect(engine).get_table_names()) >= OURS


def stored(engine: Engine) -> list[Row[Any]]:
    tables = (suspense_item, suspense_proposal)
    with reading(engine) as conn:
        return [row for table in tables for row in conn.execute(select(table).order_by(table.c[0]))]


def test_a_withdrawn_proposal_is_turned_down_by_nobody_before_its_state_is_known_and_comes_back(
    proposed: Engine,
) -> None:
    rows = stored(proposed)
    with reading(proposed) as conn:
        before = proposals(conn, done_too=True)
    assert [one.state for one in before] == [State.TURNED_DOWN, State.WITHDRAWN, State.PROPOSED]
    migrate(proposed, "0041_suspense")
    with reading(proposed) as conn:
        old = conn.execute(
            text("SELECT state, decided_by, decided_why FROM suspense_proposal ORDER BY number")
        )
        assert [tuple(row) for row in old] == [
            ("turned_down", "chen", "not yet"), ("turned_down", "", "withdrawn by lin"), ("proposed", None, None),
        ]  # fmt: skip
        checks = {check["name"] for check in inspect(conn).get_check_constraints(suspense_proposal.name)}
    assert {"ck_suspense_proposal_two_people_decide", "ck_suspense_proposal_decision_is_whole"} <= checks
    with pytest.raises(IntegrityError), writing(proposed) as conn:
        conn.execute(text("UPDATE suspense_proposal SET state = 'withdrawn' WHERE number = 2"))
    migrate(proposed)
    assert stored(proposed) == rows


@pytest.mark.parametrize(
    ("number", "state", "by"), [(2, "turned_down", "lin"), (2, "withdrawn", "chen"), (1, "withdrawn", "chen")]
)
def test_the_database_itself_knows_who_may_end_a_proposal(
    proposed: Engine, number: int, state: str, by: str
) -> None:
    rows = stored(proposed)
    change = update(suspense_proposal).where(suspense_proposal.c.number == number)
    with pytest.raises(IntegrityError, match="two_people_decide"), writing(proposed) as conn:
        conn.execute(change.values(state=state, decided_by=by))
    assert stored(proposed) == rows


def test_items_still_refer_to_proposals_after_the_tables_were_made_anew(proposed: Engine) -> None:
    migrate(proposed, "0041_suspense")
    migrate(proposed)
    for statement in (
        "DELETE FROM suspense_proposal WHERE number = 1",
        "UPDATE suspense_item SET proposal = 9 WHERE proposal = 1",
    ):
        with pytest.raises(IntegrityError), writing(proposed) as conn:
            conn.execute(text(statement))
    assert len(stored(proposed)) == 6
