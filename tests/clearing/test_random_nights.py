"""Dirty days at random: the rules agree with the slow reference, and money is conserved."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from card.hotlist import HotlistEntry, hotlist_card, hotlisted
from card.hsm.client import Hsm
from card.tables import card as register
from city.processes import RunningHsm
from clearing.columns import numbers
from clearing.devices import Device, register_devices
from clearing.interop.centres import Answers, Centre, answer_for, register_centre
from clearing.interop.results import result_inbox
from clearing.interop.routing import route
from clearing.interop.tables import centre_tap
from clearing.matching import judge, record_pieces
from clearing.tables import tap
from clearing.verdict import Money, Verdict
from clearing.wire.bcd import pack_moment
from clearing.wire.interop import RESULT, ResultLine
from clearing.wire.record import TapRecord
from clearing.wire.result_code import ResultCode
from clearing.workfiles import read_table, write_table
from ledger.balances import balances
from ledger.checks import check_books
from ledger.db import make_engine, reading, writing
from tests.support.clearing_day import (
    DAY,
    ISSUER,
    MADE_AT,
    TAP,
    SmallCity,
    at,
    card_no,
    shenzhen,
    signed,
    terminal_no,
)
from tests.support.depth import UNSHRUNK, examples
from tests.support.verdict_reference import Kept, Key, Reference

Value = TypeVar("Value")
WITHDRAWN, UNKNOWN = terminal_no(7), terminal_no(9)
LONG_AGO = at(0, day=date(2018, 1, 1))
CARDS, LOADED, LISTED, STRANGER, GUESTS = 8, 2, 3, 9, (10, 11)
GUEST_ISSUER = "02021000"
KUNMING = Centre("KUNMING", "Kunming Clearing", LONG_AGO, at(12), 4_000)
"""The centre of the guests' cards, which presents our cards' taps there, and until noon."""
ANSWERS = Answers(KUNMING.code, GUEST_ISSUER, LONG_AGO, at(11))
VALID = {
    card_no(4): (date(2017, 1, 1), DAY - timedelta(days=1)),
    card_no(5): (DAY - timedelta(days=1), date(2037, 12, 31)),
}
"""The days of two cards: one is over, one had not begun where a tap is old."""
NIGHTS = 3
Presentation = tuple[int, str, bytes]
"""A night, an operator, and a record that it presents."""


def world(seed: int) -> list[Presentation]:
    """A few cards' rides as a careless world presents them: late, twice, altered, damaged."""
    chance = Random(seed)
    presented: list[Presentation] = []
    for card in [*range(1, CARDS + 1), STRANGER, *GUESTS]:
        balance_fen = 40_000
        for counter in range(1, chance.randint(2, 7)):
            hour = 7 + counter
            if card == LOADED and counter == 2:
                balance_fen += 1_000
            amount_fen = _often(chance, 160, 150, 170, 5_000, 0)
            record = replace(
                TAP,
                card_no=card_no(card),
                issuer=GUEST_ISSUER if card in GUESTS else ISSUER,
                counter=counter,
                balance_before_fen=balance_fen + _often(chance, 0, 1_000, -5),
                amount_fen=amount_fen,
                moment=pack_moment(_often(chance, at(hour), at(hour, day=DAY - timedelta(days=40)))),
                terminal=_often(chance, terminal_no(1), WITHDRAWN, UNKNOWN, terminal_no(3)),
            )
            balance_fen -= amount_fen
            night, operator = chance.randrange(NIGHTS), _often(chance, "BUS-1", "METRO-1", KUNMING.code)
            fault = _often(chance, "", "tac", "ride", "lost")
            if fault != "lost":
                presented.append((night, operator, _packed(record, fault)))
            if chance.random() < 0.2:
                presented.append((chance.randrange(NIGHTS), operator, _packed(record, fault)))
            if chance.random() < 0.15:
                twin = replace(record, station=2, terminal=terminal_no(2))
                presented.append(
                    (chance.randrange(NIGHTS), "BUS-1", _packed(twin, _often(chance, "", "tac")))
                )
    chance.shuffle(presented)
    return presented


def _often(chance: Random, usual: Value, *others: Value) -> Value:
    return chance.choice(others) if chance.random() < 0.12 else usual


@lru_cache(maxsize=10_000)
def _packed(record: TapRecord, fault: str) -> bytes:
    record = signed(record)
    if fault == "tac":
        record = replace(record, tac=bytes(byte ^ 0x10 for byte in record.tac))
    packed = record.pack()
    return packed[:1] + b"\x07" + packed[2:] if fault == "ride" else packed


@pytest.fixture(scope="module")
def hsm(hsm_process: RunningHsm) -> Iterator[Hsm]:
    with Hsm(hsm_process.host, hsm_process.port) as client:
        yield client


def dirty_city(template: Path, hsm: Hsm, home: Path, purse_fen: int) -> SmallCity:
    home.mkdir(parents=True)
    shutil.copyfile(template, home / "onecard.db")
    city = SmallCity(make_engine(f"sqlite:///{home / 'onecard.db'}"), hsm, home / "city")
    city.furnish(cards=CARDS, purse_fen=purse_fen)
    with writing(city.engine) as conn:
        register_devices(conn, [Device(WITHDRAWN, "BUS-1", LONG_AGO, at(9))])
        hotlist_card(conn, HotlistEntry(card_no(LISTED), at(9), at(10), "lost"))
        hotlist_card(conn, HotlistEntry(card_no(GUESTS[1]), at(8), at(9), "lost"))
        assert register_centre(conn, KUNMING, at=LONG_AGO) is True
        assert answer_for(conn, ANSWERS) is True
        for number, (first, last) in VALID.items():
            days = {"valid_from": first, "valid_until": last}
            conn.execute(update(register).where(register.c.card_no == number).values(days))
    city.load(card_no(LOADED), 1_000, when=at(8, 30), counter=1)
    return city


def _reference() -> Reference:
    devices = [Device(terminal_no(n), "BUS-1" if n < 3 else "METRO-1", LONG_AGO) for n in range(1, 5)]
    return Reference(
        devices=[*devices, Device(WITHDRAWN, "BUS-1", LONG_AGO, at(9))],
        issuers={card_no(n): ISSUER for n in range(1, CARDS + 1)},
        tariffs=[shenzhen()],
        tac_ok=lambda record: signed(record).tac == record.tac,
        hotlist={card_no(LISTED): (at(9), at(10)), card_no(GUESTS[1]): (at(8), at(9))},
        centres=[KUNMING],
        answers=[ANSWERS],
        valid=VALID,
        loads=[(card_no(LOADED), at(8, 30), 1_000)],
    )


def batches_of(presented: list[Presentation], night: int) -> dict[str, list[bytes]]:
    batches: dict[str, list[bytes]] = {}
    for on, operator, record in presented:
        if on == night:
            batches.setdefault(operator, []).append(record)
    return batches


@examples(4, phases=UNSHRUNK)
@given(seed=st.integers(0, 1 << 32), purse_fen=st.sampled_from([200, 1_000_000]))
def test_nights_agree_with_the_reference(sqlite_template: Path, hsm: Hsm, seed: int, purse_fen: int) -> None:
    rides = world(seed)
    with tempfile.TemporaryDirectory() as folder:
        city, reference = dirty_city(sqlite_template, hsm, Path(folder) / "a", purse_fen), _reference()
        cloned: set[str] = set()
        told: dict[Key, bool] = {}
        for night in range(NIGHTS):
            presented: dict[Key, bytes] = {}
            for operator, records in batches_of(rides, night).items():
                city.present(operator, night + 1, records)
                presented |= {(operator, night + 1, n): record for n, record in enumerate(records)}
            day = DAY + timedelta(days=night)
            city.clear(day)
            cloned |= reference.night(day, presented)
            for card in cloned - set(reference.hotlist):
                reference.hotlist[card] = city.night(day).at, city.night(day).at + timedelta(days=1)
            _route(city, day)
            for key, accepted in told.items():
                reference.answered(key, accepted=accepted)
            told = _answer_guests(city, night + 1, Random(seed + night))
            _assert_agreement(city, reference)
        assert_money_is_conserved(city, purse_fen)
        city.engine.dispose()


def _route(city: SmallCity, day: date) -> None:
    result = route(city.engine, city.night(day))
    with result.transaction(city.engine) as conn:
        result.written(conn)


def _answer_guests(city: SmallCity, number: int, chance: Random) -> dict[Key, bool]:
    """The centre answers some of the taps that wait for it, one way or the other, by a file for the next night."""
    columns = centre_tap.c
    with reading(city.engine) as conn:
        waiting = conn.execute(select(centre_tap).where(columns.code.is_(None))).all()
    chosen = [row for row in waiting if chance.random() < 0.7]
    codes = [chance.choice([ResultCode.ACCEPTED, ResultCode.TAC_WRONG]) for _ in chosen]
    lines = [
        ResultLine(row.number, row.place, row.amount_fen, code).pack()
        for row, code in zip(chosen, codes, strict=True)
    ]
    content = RESULT.write(
        operator=KUNMING.code, sequence=number, business_date=DAY, made_at=MADE_AT, mac_key_version=1,
        records=lines, mac=lambda digest: city.hsm.batch_mac(KUNMING.code, digest, 1),
    )  # fmt: skip
    inbox = result_inbox(city.inbox)
    inbox.mkdir(exist_ok=True)
    (inbox / RESULT.name(KUNMING.code, number)).write_bytes(content)
    return {
        (row.operator, row.sequence, row.position): code is ResultCode.ACCEPTED
        for row, code in zip(chosen, codes, strict=True)
    }


def test_random_worlds_know_every_verdict() -> None:
    found, proved = set(), 0
    for seed in range(20):
        reference = _reference()
        for night in range(NIGHTS):
            presented = {
                (operator, night + 1, n): record
                for operator, records in batches_of(world(seed), night).items()
                for n, record in enumerate(records)
            }
            reference.night(DAY + timedelta(days=night), presented)
        routed = [key for key, kept in reference.kept.items() if kept.verdict is Verdict.ROUTED]
        for place, key in enumerate(routed[:-1]):
            reference.answered(key, accepted=bool(place % 2))
        found |= {kept.verdict for kept in reference.kept.values()}
        proved += sum(_proved_later(kept) for kept in reference.kept.values())
    assert found == set(Verdict)
    assert proved > 0


def _proved_later(kept: Kept) -> bool:
    return kept.money is Money.PAID and signed(kept.record).tac != kept.record.tac


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


def assert_money_is_conserved(city: SmallCity, purse_fen: int) -> None:
    columns = tap.c
    with reading(city.engine) as conn:
        assert check_books(conn) == []
        paid_fen, cost_fen = conn.execute(
            select(
                func.coalesce(func.sum(columns.paid_fen), 0), func.coalesce(func.sum(columns.amount_fen), 0)
            ).where(columns.money == "paid")
        ).one()
        accepted = select(func.coalesce(func.sum(centre_tap.c.amount_fen), 0)).where(centre_tap.c.code == 0)
        guests_fen = conn.execute(accepted).scalar_one()
        held = {balance.code: balance.balance_fen for balance in balances(conn)}
    owed_fen = sum(fen for code, fen in held.items() if code.startswith("clearing:"))
    owed_fen -= held.get(f"city:{KUNMING.code}", 0)
    purses_fen = sum(fen for code, fen in held.items() if code.startswith("purse:"))
    shortfall_fen = held.get("suspense:purse_shortfall", 0)
    assert owed_fen == paid_fen - guests_fen, "what a guest's city owes is no purse's"
    assert -held.get("suspense:overcharge", 0) == cost_fen - paid_fen
    assert purses_fen == CARDS * purse_fen + 1_000 - (cost_fen - guests_fen) + shortfall_fen
    assert min(fen for code, fen in held.items() if code.startswith("purse:")) >= 0


@examples(2, phases=UNSHRUNK)
@given(seed=st.integers(0, 1 << 32))
def test_the_order_and_repetition_of_files_change_nothing(sqlite_template: Path, hsm: Hsm, seed: int) -> None:
    batches = batches_of([(0, operator, record) for _, operator, record in world(seed)], 0)
    shuffle = np.random.default_rng(seed)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("plain", "messy"):
            city = dirty_city(sqlite_template, hsm, Path(folder) / name, 1_000)
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
    """What the rules find, of the taps that are not simply accepted; they are told all of them, in any order."""
    night, records = city.night(), list(record_pieces(city.night()))
    with reading(city.engine) as conn:
        given = (
            write_table(night.work / "told.parquet", taps),
            write_table(night.work / "wrong.parquet", tacs),
        )
        found = read_table(judge(conn, night, *given, iter(records)))
    unusual = numbers(found, "no").tolist()
    assert unusual == sorted(set(unusual)) and set(unusual) <= set(numbers(taps, "no").tolist())
    return found
