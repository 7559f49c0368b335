"""A day's validators obey signed files from their yard; cards of both suites ride and are paid alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from card.registry import find
from city.day import NATIONAL_EVERY, Mischief
from city.distribution import distribution, publish
from city.plan import read_plan
from city.world import City
from clearing.tables import tap
from clearing.wire.record import TapRecord
from ledger.db import reading
from settlement.tables import instruction
from tests.support.clearing_day import at, terminal_no
from tests.support.lived_city import MakeCity, lived

TARIFF_VERSION = 1


@pytest.fixture(scope="module")
def city(
    make_city: MakeCity, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[City]:
    with lived(make_city, tmp_path_factory.mktemp("told"), sqlite_template, Mischief.HOTLISTED) as made:
        yield made


def records(city: City) -> list[tuple[TapRecord, str]]:
    with reading(city.engine) as conn:
        rows = conn.execute(select(tap.c.record, tap.c.verdict)).all()
    return [(TapRecord.unpack(row.record), row.verdict) for row in rows]


def test_every_ride_names_the_list_and_tariff_that_its_validator_was_told(city: City) -> None:
    told = {(record.hotlist_version, record.tariff_version, verdict) for record, verdict in records(city)}
    # The bus that the lost card rode was out of reach when the change was published.
    assert (1, TARIFF_VERSION, "hotlisted") in told
    assert (2, TARIFF_VERSION, "accepted") in told
    assert {(tariff, hotlist > 0) for hotlist, tariff, _ in told} == {(TARIFF_VERSION, True)}


def test_a_validator_that_comes_back_into_reach_takes_the_change_alone(city: City) -> None:
    lost = [record for record, verdict in records(city) if verdict == "hotlisted"]
    behind = {record.terminal for record in lost}
    with distribution(city) as terminals:
        assert {terminals.holdings(terminal).hotlist.version for terminal in behind} == {1}
        told = terminals.refresh(behind)
        assert told.taken == (("hotlist-00002-change.ohl", len(behind)),)
        assert all(record.card_no in terminals.holdings(record.terminal).hotlist.cards for record in lost)
        publish(city, read_plan("demo").tariff_text, at=at(12))
        assert terminals.refresh(behind).taken == ()


def test_a_new_validator_takes_the_whole_list_and_all_else(city: City) -> None:
    with distribution(city) as terminals:
        told = terminals.refresh([terminal_no(77)])
        assert [name for name, count in told.taken if count == 1] == [
            "hotlist-00002.ohl", "settings-00001.ocd", "tariff-00001.ocd",
        ]  # fmt: skip


def test_a_share_of_the_cards_is_national_and_rides_to_the_bank(city: City) -> None:
    national = [(record, verdict) for record, verdict in records(city) if record.algorithm == 1]
    assert national and {verdict for _, verdict in national} == {"accepted"}
    assert {int(record.card_no[7:]) % NATIONAL_EVERY for record, _ in national} == {0}
    with reading(city.engine) as conn:
        registered = [find(conn, record.card_no) for record, _ in national]
        assert {one.algorithm for one in registered if one} == {1}
        assert conn.execute(select(instruction)).first() is not None
