"""Dirty days at random: the rules agree with the slow reference, and money is conserved."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from card.hotlist import HotlistEntry, hotlist_card, hotlisted
from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing.columns import numbers, rows_where, texts
from clearing.devices import Device, register_devices
from clearing.engine.rules import MATCH, run
from clearing.facts import earlier_taps, night_facts, registry_facts, tariff_facts
from clearing.tables import tap
from clearing.wire.bcd import pack_moment
from clearing.wire.record import TapRecord
from clearing.workfiles import read_table
from ledger.balances import balances
from ledger.checks import check_books
from ledger.db import make_engine, reading, writing
from tests.support.clearing_day import DAY, ISSUER, TAP, SmallCity, at, card_no, shenzhen, signed, terminal_no
from tests.support.verdict_reference import Reference

WITHDRAWN, UNKNOWN = terminal_no(7), terminal_no(9)
LONG_AGO = at(0, day=date(2018, 1, 1))
LISTED, STRANGER = 3, 4
NIGHTS = 3
# An example is three whole nights: shrinking a failure would take minutes.
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)


@dataclass(frozen=True)
class Ride:
    """A tap as a careless world may present it; few cards and counters, so that taps meet."""

    card: int
    counter: int
    astray_fen: int
    amount_fen: int
    hour: int
    terminal: str
    fault: str
    night: int
    operator: str

    def record(self) -> bytes:
        loaded_fen = 1_000 if self.card == 2 and self.hour > 8 else 0
        moment = at(self.hour, day=DAY - timedelta(days=40)) if self.fault == "old" else at(self.hour)
        return _packed(
            replace(
                TAP,
                card_no=card_no(self.card),
                counter=self.counter,
                balance_before_fen=10_000 - 160 * (self.counter - 1) + loaded_fen + self.astray_fen,
                amount_fen=self.amount_fen,
                moment=pack_moment(moment),
                terminal=self.terminal,
            ),
            self.fault,
        )


@lru_cache(maxsize=10_000)
def _packed(record: TapRecord, fault: str) -> bytes:
    record = signed(record)
    if fault == "tac":
        record = replace(record, tac=bytes(byte ^ 0x10 for byte in record.tac))
    packed = record.pack()
    return packed[:1] + b"\x07" + packed[2:] if fault == "ride" else packed


def often(usual: object, *others: object) -> st.SearchStrategy[object]:
    return st.sampled_from([usual] * 8 * len(others) + list(others))


rides = st.lists(
    st.builds(
        Ride,
        card=st.sampled_from([1, 1, 2, 2, 2, 3, 4]),
        counter=st.integers(1, 4),
        astray_fen=often(0, 1_000, -5),
        amount_fen=often(160, 150, 170, 5_000, 0),
        hour=st.sampled_from([8, 9, 10]),
        terminal=often(terminal_no(1), WITHDRAWN, UNKNOWN, terminal_no(3)),
        fault=often("", "tac", "tac", "ride", "old"),
        night=st.integers(0, NIGHTS - 1),
        operator=often("BUS-1", "METRO-1"),
    ),
    min_size=4,
    max_size=30,
)


@pytest.fixture(scope="module")
def hsm(hsm_process: RunningHsm) -> Iterator[Hsm]:
    with Hsm(hsm_process.host, hsm_process.port) as client:
        yield client


def _city(template: Path, hsm: Hsm, home: Path, purse_fen: int) -> SmallCity:
    home.mkdir(parents=True)
    shutil.copyfile(template, home / "onecard.db")
    city = SmallCity(make_engine(f"sqlite:///{home / 'onecard.db'}"), hsm, home / "city")
    city.furnish(cards=3, purse_fen=purse_fen)
    with writing(city.engine) as conn:
        register_devices(conn, [Device(WITHDRAWN, "BUS-1", LONG_AGO, at(9))])
        hotlist_card(conn, HotlistEntry(card_no(LISTED), at(9), at(10), "lost"))
    city.load(card_no(2), 1_000, when=at(8, 30), counter=1)
    return city


def _reference() -> Reference:
    devices = [Device(terminal_no(n), "BUS-1" if n < 3 else "METRO-1", LONG_AGO) for n in range(1, 5)]
    return Reference(
        devices=[*devices, Device(WITHDRAWN, "BUS-1", LONG_AGO, at(9))],
        issuers={card_no(n): ISSUER for n in range(1, 4)},
        tariffs=[shenzhen()],
        tac_ok=lambda record: signed(record).tac == record.tac,
        hotlist={card_no(LISTED): (at(9), at(10))},
        loads=[(card_no(2), at(8, 30), 1_000)],
    )


def _batches(taken: list[Ride], night: int) -> dict[str, list[bytes]]:
    batches: dict[str, list[bytes]] = {}
    for ride in taken:
        if ride.night == night:
            batches.setdefault(ride.operator, []).append(ride.record())
    return batches


@settings(max_examples=12, deadline=None, phases=UNSHRUNK)
@given(taken=rides, purse_fen=st.sampled_from([200, 1_000_000]))
def test_nights_agree_with_the_reference(
    sqlite_template: Path, hsm: Hsm, taken: list[Ride], purse_fen: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        city, reference = _city(sqlite_template, hsm, Path(folder) / "a", purse_fen), _reference()
        cloned = set()
        for night in range(NIGHTS):
            presented = {}
            for operator, records in _batches(taken, night).items():
                city.present(operator, night + 1, records)
                presented |= {(operator, night + 1, n): record for n, record in enumerate(records)}
            day = DAY + timedelta(days=night)
            city.clear(day)
            cloned |= reference.night(day, presented)
            for card in cloned - set(reference.hotlist):
                reference.hotlist[card] = city.night(day).at, city.night(day).at + timedelta(days=1)
            _assert_agreement(city, reference)
        _assert_money_is_conserved(city, purse_fen)
        city.engine.dispose()


def _assert_agreement(city: SmallCity, reference: Reference) -> None:
    columns = tap.c
    with reading(city.engine) as conn:
        rows = conn.execute(
            select(columns.operator, columns.sequence, columns.position)
            .add_columns(columns.verdict, columns.money, columns.paid_fen)
            .order_by(columns.operator, columns.sequence, columns.position)
        )
        found = {tuple(row[:3]): tuple(row[3:]) for row in rows}
        listed = {entry.card_no for entry in hotlisted(conn)}
    assert found == {
        key: (kept.verdict.value, kept.money.value, kept.paid_fen) for key, kept in reference.kept.items()
    }
    assert listed == set(reference.hotlist)


def _assert_money_is_conserved(city: SmallCity, purse_fen: int) -> None:
    columns = tap.c
    with reading(city.engine) as conn:
        assert check_books(conn) == []
        paid_fen, cost_fen = conn.execute(
            select(
                func.coalesce(func.sum(columns.paid_fen), 0), func.coalesce(func.sum(columns.amount_fen), 0)
            ).where(columns.money == "paid")
        ).one()
        held = {balance.code: balance.balance_fen for balance in balances(conn)}
    owed_fen = sum(fen for code, fen in held.items() if code.startswith("clearing:"))
    purses_fen = sum(fen for code, fen in held.items() if code.startswith("purse:"))
    shortfall_fen = held.get("suspense:purse_shortfall", 0)
    assert owed_fen == paid_fen
    assert -held.get("suspense:overcharge", 0) == cost_fen - paid_fen
    assert purses_fen == 3 * purse_fen + 1_000 - cost_fen + shortfall_fen
    assert min(fen for code, fen in held.items() if code.startswith("purse:")) >= 0


@settings(max_examples=5, deadline=None, phases=UNSHRUNK)
@given(taken=rides, seed=st.integers(0, 1 << 32))
def test_the_order_and_repetition_of_files_change_nothing(
    sqlite_template: Path, hsm: Hsm, taken: list[Ride], seed: int
) -> None:
    batches = _batches([replace(ride, night=0) for ride in taken], 0)
    shuffle = np.random.default_rng(seed)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("plain", "messy"):
            city = _city(sqlite_template, hsm, Path(folder) / name, 1_000)
            paths = [city.present(operator, 1, records) for operator, records in batches.items()]
            if name == "messy":
                for path in paths:
                    for prefix in ("0-copy-of-", "zz-"):
                        shutil.copyfile(path, path.with_name(prefix + path.name))
            city.clear()
            work = city.night().work
            outcomes.append((work / "priced.parquet").read_bytes())
            if name == "messy":
                taps, tacs = read_table(work / "taps.parquet"), read_table(work / "tac.parquet")
                again = _judged_in_order(city, taps.take(shuffle.permutation(taps.num_rows)), tacs)
                assert again.equals(_judged_in_order(city, taps, tacs))
            city.engine.dispose()
    assert outcomes[0] == outcomes[1]


def _judged_in_order(city: SmallCity, taps: pa.Table, tacs: pa.Table) -> pa.Table:
    with reading(city.engine) as conn:
        facts = registry_facts(conn, sorted(set(texts(taps, "card_no"))))
        facts["earlier"] = rows_where(
            earlier_taps(conn, taps), np.zeros(earlier_taps(conn, taps).num_rows, np.bool_)
        )
    facts |= night_facts(city.night()) | tariff_facts(city.tariffs)
    found = run(MATCH, {"tap": taps, "tac": tacs} | facts, "verdict")
    assert numbers(found, "no").tolist() == sorted(numbers(taps, "no").tolist())
    return found
