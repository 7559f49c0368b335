"""City files: read strictly, entered whole or not at all, and written out as what they were."""

import json
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from city.registers.device_rows import COLUMNS, read_devices
from city.registers.entering import Entered, enter
from city.registers.file import BankYear, CityFile, Flaw, Register, read_city_file
from city.registers.reading import registers_of
from clearing.devices import Device
from clearing.sectors.healthcare.registers import Hospital
from clearing.sectors.socialsecurity.funds import FundAgreement
from clearing.sectors.utilities.catalogue import Biller, Supply
from clearing.wire.bcd import CITY_ZONE
from ledger.accounts import find_accounts
from ledger.db import reading, writing
from settlement.agreements import Agreement, Cycle
from settlement.participants import SCHEME, Participant

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
BUS = Participant("BUS-1", "Bus One", "4000020109200000201", "102584000013", "工商银行", "一公司")
GAS = replace(BUS, id="GAS-1", name="Gas", name_zh="")
WHOLE = CityFile(
    participants=(BUS, GAS, replace(BUS, id=SCHEME)),
    agreements=(Agreement("BUS-1", 60, date(2026, 3, 1), cycle=Cycle.SAME_DAY, fee_max_fen=500),),
    devices=(Device("0000000A0001", "BUS-1", AT, AT + timedelta(days=9), 2_000),),
    billers=(Biller("GAS-1", "Gas", Supply.GAS, part_payment=True),),
    hospitals=(Hospital("GAS-1", 3),),
    funds=(FundAgreement("BENEFIT-1", "GAS-1", 100, date(2026, 1, 1)),),
    pools=("MED-POOL",),
    agents=("COUNTER-1",),
    bank_years=(BankYear(2040, (date(2040, 1, 2),), (date(2040, 1, 7),)),),
)

ids = st.from_regex(r"[A-Z][A-Z0-9]{0,7}", fullmatch=True)
fen = st.none() | st.integers(1, 10**6)
days = st.dates(date(2026, 1, 1), date(2039, 12, 31))


@st.composite
def city_files(draw: st.DrawFn) -> CityFile:
    """Registers that fit one another."""
    names = draw(st.lists(ids, min_size=1, max_size=5, unique=True))
    of_them = st.sampled_from(names)
    agreements = st.builds(Agreement, of_them, st.integers(0, 10_000), days)
    begin = days.map(lambda day: datetime(day.year, day.month, day.day, tzinfo=UTC))
    terminals = st.integers(0, 16**12 - 1).map("{:012X}".format)
    devices = st.builds(Device, terminals, of_them, begin, st.none(), fen)
    levels = draw(st.dictionaries(of_them, st.integers(1, 3)))
    kinds = draw(st.dictionaries(of_them, st.sampled_from(Supply)))
    years = draw(st.sets(st.integers(2050, 2060), max_size=2))
    return CityFile(
        participants=tuple(replace(BUS, id=name) for name in names),
        agreements=tuple(draw(st.lists(agreements, unique_by=lambda one: one.participant))),
        devices=tuple(draw(st.lists(devices, max_size=6, unique_by=lambda one: one.terminal))),
        billers=tuple(Biller(name, "Biller", kind) for name, kind in kinds.items()),
        hospitals=tuple(Hospital(name, level) for name, level in levels.items()),
        agents=tuple(draw(st.sets(ids, max_size=3))),
        bank_years=tuple(BankYear(year, (date(year, 5, 1),)) for year in years),
    )


def sorted_registers(file: CityFile) -> dict[str, list[Any]]:
    return {name: sorted(map(repr, getattr(file, name))) for name in CityFile.model_fields}


def entered(engine: Engine, file: CityFile) -> Entered:
    with writing(engine) as conn:
        found = enter(conn, file, at=AT)
    assert isinstance(found, Entered), found
    return found


def flaws_of(engine: Engine, file: CityFile) -> dict[str, str]:
    with engine.connect() as conn:
        found = enter(conn, file, at=AT)
        conn.rollback()
    assert not isinstance(found, Entered)
    return {one.place: one.why for one in found}


@given(file=city_files())
@settings(max_examples=60)
def test_a_city_file_is_read_as_it_was_written(file: CityFile) -> None:
    assert read_city_file(file.model_dump_json()) == file


def test_whatever_fits_is_entered_once_and_read_back(engine: Engine) -> None:
    known = CityFile()

    @given(file=city_files())
    @settings(max_examples=15)
    def enters_and_reads_back(file: CityFile) -> None:
        with engine.connect() as conn:
            first = enter(conn, file, at=AT)
            assert isinstance(first, Entered)
            assert (
                dict(first.new) == dict(first.given) == {name: len(getattr(file, name)) for name in Register}
            )
            assert sorted_registers(registers_of(conn)) == sorted_registers(file)
            again = enter(conn, registers_of(conn), at=AT)
            assert isinstance(again, Entered) and not any(again.new.values())
            conn.rollback()

    enters_and_reads_back()
    with reading(engine) as conn:
        assert registers_of(conn) == known


def test_every_register_is_entered_with_the_accounts_that_go_with_it(engine: Engine) -> None:
    assert all(count == len(getattr(WHOLE, name)) for name, count in entered(engine, WHOLE).new.items())
    codes = [
        "clearing:BUS-1",
        "payable:GAS-1",
        "fund:BENEFIT-1",
        "fund:MED-POOL",
        "agent:COUNTER-1",
        "bank:reserve",
    ]
    with reading(engine) as conn:
        assert {one.code for one in find_accounts(conn, [*codes, f"payable:{SCHEME}"])} == set(codes)
        assert sorted_registers(registers_of(conn)) == sorted_registers(WHOLE)
    assert set(CityFile.model_fields) == set(Register)


def test_everything_that_does_not_fit_is_named_at_once_with_what_to_do(engine: Engine) -> None:
    entered(engine, WHOLE)
    other = CityFile(
        participants=(replace(BUS, account_no="777"), replace(BUS, id="BUS-2")),
        agreements=(replace(WHOLE.agreements[0], fee_bp=70), Agreement("NOBODY", 1, date(2026, 1, 1))),
        devices=(replace(WHOLE.devices[0], max_amount_fen=1),),
        billers=(replace(WHOLE.billers[0], kind=Supply.CABLE),),
        hospitals=(Hospital("GAS-1", 2),),
        funds=(replace(WHOLE.funds[0], limit_fen=7),),
        bank_years=(BankYear(2040),),
    )
    found = flaws_of(engine, other)
    firsts = {
        f"{name}.0" for name in ("participants", "devices", "billers", "hospitals", "funds", "bank_years")
    }
    assert set(found) == firsts | {"agreements.1.participant"}
    assert "account_no is 4000020109200000201, not 777; leave it" in found["participants.0"]
    assert "max_amount_fen is 2000, not 1;" in found["devices.0"] and "city retire" in found["devices.0"]
    assert "2040-01-02 free, 2040-01-07 worked, not plain weeks" in found["bank_years.0"]
    assert "enter it under `participants`" in found["agreements.1.participant"]
    only = flaws_of(engine, CityFile(agreements=other.agreements[:1]))
    assert "fee_bp is 60, not 70; end the one in force" in only["agreements.0"]
    with reading(engine) as conn:
        assert sorted_registers(registers_of(conn)) == sorted_registers(WHOLE)


TERMS = '{"agreements": [{"participant": "B", "fee_bp": %s, "valid_from": "%s"}]}'
DEVICE = '{"devices": [{"terminal": "%s", "operator": "B", "valid_from": "2026-01-01T04:00"}]}'


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("{", "file", "Invalid JSON"),
        ("[]", "file", "should be an object"),
        ('{"operators": []}', "operators", "not permitted"),
        ('{"hospitals": [{"participant": "H", "level": "3"}]}', "hospitals.0.level", "valid integer"),
        ('{"hospitals": [{"participant": "H", "level": 3, "beds": 9}]}', "hospitals.0.beds", "Unexpected"),
        (TERMS % (10001, "2026-01-01"), "agreements.0", "10000 basis"),
        (TERMS % (1, "1.1.26"), "agreements.0.valid_from", "valid date"),
        (DEVICE % "A1", "devices.0", "12 hex digits"),
        ('{"agents": ["a b"]}', "agents.0", "pattern"),
    ],
)
def test_a_flaw_is_named_by_its_place(text: str, place: str, why: str) -> None:
    found = read_city_file(text)
    assert not isinstance(found, CityFile)
    (flaw,) = found
    assert flaw.place == place and why in flaw.why and str(flaw).startswith(f"{place}: ")


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(data=st.data())
@settings(max_examples=100)
def test_no_change_of_a_file_is_more_than_a_flaw(data: st.DataObject) -> None:
    document = json.loads(WHOLE.model_dump_json())
    name = data.draw(st.sampled_from(Register))
    (entry, *_) = document[name]
    if isinstance(entry, dict):
        entry[data.draw(st.sampled_from(sorted(entry)))] = data.draw(json_values)
    else:
        document[name] = data.draw(json_values)
    found = read_city_file(json.dumps(document))
    assert isinstance(found, CityFile) or all(isinstance(one, Flaw) and one.why for one in found)


def test_an_instant_without_an_offset_is_the_citys() -> None:
    found = read_city_file(DEVICE % "0000000A0001")
    assert isinstance(found, CityFile)
    assert found.devices[0].valid_from == datetime(2026, 1, 1, 4, tzinfo=CITY_ZONE)


@given(file=city_files())
@settings(max_examples=30)
def test_rows_of_devices_are_read_as_they_were_written(file: CityFile) -> None:
    rows = [",".join(COLUMNS)]
    for one in file.devices:
        rows.append(",".join("" if value is None else str(value) for value in asdict(one).values()))
    assert read_devices("\n".join(rows)) == CityFile(devices=file.devices)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("0000000A0001,BUS-1,,,", "valid_from is empty"),
        ("0000000A0001,BUS-1,yesterday,,", "valid_from 'yesterday' is no day and no instant"),
        ("0000000a0001,BUS-1,2026-12-01,,", "is not 12 hex digits"),
        ("0000000A0001,BUS-1,2026-12-01,2026-12-01,", "is not after its valid_from"),
        ("0000000A0001,BUS-1,2026-12-01,,4.5", "max_amount_fen '4.5' is no number"),
        ("0000000A0001,BUS-1,2026-12-01,,0", "lets nothing through"),
        ("0000000A0001,BUS-10000,2026-12-01,,", "1 to 8 characters"),
        ("0000000A0001,BUS-1,2026-12-01,,1,1", "there are 6 values; give 5"),
        ("0000000A0001,BUS-1", "there are 2 values; give 5"),
        ('0000000A0001,"BUS"-1,2026-12-01,,', "write plain CSV"),
    ],
)
def test_a_row_of_a_device_that_cannot_be_is_named_by_its_line(row: str, why: str) -> None:
    found = read_devices(f"{','.join(COLUMNS)}\n0000000A0009,BUS-1,2026-12-01,,\n{row}\n")
    assert not isinstance(found, CityFile)
    (flaw,) = found
    assert flaw.place == "line 3" and why in flaw.why


@given(text=st.text(max_size=60), row=st.lists(st.text(max_size=12), max_size=6))
def test_no_text_of_rows_is_more_than_a_flaw(text: str, row: list[str]) -> None:
    for offered in (text, f"{','.join(COLUMNS)}\n{text}", f"{','.join(COLUMNS)}\n{','.join(row)}"):
        found = read_devices(offered)
        assert isinstance(found, CityFile) or all(one.place.startswith("line ") and one.why for one in found)


def test_flaws_far_apart_in_a_long_file_are_all_found(engine: Engine) -> None:
    known = [Device(f"{number:012X}", "BUS-1", AT) for number in range(200)]
    entered(engine, CityFile(participants=(BUS,), devices=tuple(known[:150])))
    wrong = {0, 77, 149}
    other = [replace(one, max_amount_fen=1) if place in wrong else one for place, one in enumerate(known)]
    assert set(flaws_of(engine, CityFile(devices=tuple(other)))) == {f"devices.{place}" for place in wrong}


def test_rows_without_the_names_of_their_columns_are_not_guessed_at() -> None:
    found = read_devices("0000000A0001,BUS-1,2026-12-01,,\n")
    assert not isinstance(found, CityFile)
    assert found[0].place == "line 1" and ",".join(COLUMNS) in found[0].why
    assert not isinstance(read_devices(""), CityFile)
