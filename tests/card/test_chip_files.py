"""Files 15 and 17 and the FCI, on real cards and on ours."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card.chip.files import Fci, FileError, PublicData, Region, directory_fci

H = bytes.fromhex
WORKED_FILE = H("01011000FFFFFFFF02010310487000000000123420260101203612310000")
WORKED_FCI = H("6F318408A000000632010105A5259F0801029F0C1E") + WORKED_FILE
WORKED = PublicData("01011000", "03104870000000001234", 0, date(2026, 1, 1), date(2036, 12, 31))
PUBLIC = st.builds(
    PublicData,
    issuer=st.binary(min_size=4, max_size=4).map(lambda raw: raw.hex().upper()),
    card_no=st.text("0123456789", min_size=20, max_size=20),
    holder_class=st.integers(0, 255),
    starts=st.dates(),
    expires=st.dates(),
    kind=st.integers(0, 255),
    version=st.integers(0, 255),
    issuer_rest=st.binary(min_size=4, max_size=4).map(lambda raw: raw.hex().upper()),
    custom=st.integers(0, 255),
)


def card_file(shared_data: Path, name: str) -> tuple[dict[str, bytes], dict[str, Any]]:
    """A real card's answers by command, without their status words, and what they are known to say."""
    document = json.loads((shared_data / "chip" / name).read_text())
    return {sent: H(answer)[:-2] for sent, answer in document["apdus"]}, document["expected"]


@given(PUBLIC)
def test_public_data_read_back_as_they_were_written(public: PublicData) -> None:
    raw = public.pack()
    assert len(raw) == 30
    assert raw[28] == public.holder_class
    assert PublicData.unpack(raw) == public


@given(st.binary(max_size=40) | st.binary(min_size=30, max_size=30))
def test_any_bytes_are_public_data_or_a_file_error(raw: bytes) -> None:
    try:
        public = PublicData.unpack(raw)
    except FileError as refused:
        assert refused.remedy in str(refused)
    else:
        assert public.pack() == raw


@given(st.binary(max_size=80))
def test_any_bytes_are_an_fci_or_a_file_error(raw: bytes) -> None:
    try:
        fci = Fci.unpack(raw)
    except FileError as refused:
        assert refused.field == "FCI"
    else:
        assert fci.aid in raw


@given(st.integers(0, len(WORKED_FCI) - 1))
def test_a_truncated_fci_is_a_file_error(length: int) -> None:
    with pytest.raises(FileError):
        Fci.unpack(WORKED_FCI[:length])


def test_the_worked_cards_files() -> None:
    assert WORKED.pack() == WORKED_FILE
    fci = Fci.unpack(WORKED_FCI)
    assert (fci.version, PublicData.unpack(fci.public)) == (2, WORKED)
    assert fci.pack() == WORKED_FCI


def test_a_real_t_union_card_says_who_it_is(shared_data: Path) -> None:
    answers, expected = card_file(shared_data, "tunion_nfsee.json")
    fci = Fci.unpack(answers["00A4040008A00000063201010500"])
    public = PublicData.unpack(fci.public)
    assert public.card_no == "0" + expected["card_no"]
    assert (public.issuer + public.issuer_rest).lower() == expected["issuer"]
    assert (public.starts.isoformat(), public.expires.isoformat()) == (expected["issue"], expected["expiry"])
    assert fci.pack() == answers["00A4040008A00000063201010500"]
    region = Region.unpack(answers["00B097000B"])
    assert (region.province, region.city) == (expected["province"], expected["city"])
    assert region.card_type == expected["card_type_code"]
    assert region.pack() == answers["00B097000B"]


def test_a_real_city_union_card_says_who_it_is(shared_data: Path) -> None:
    answers, expected = card_file(shared_data, "cityunion_nfsee.json")
    fci = Fci.unpack(answers["00A4040009A0000000038698070100"])
    public = PublicData.unpack(fci.public)
    assert fci.public == answers["00B095001E"]
    assert fci.version is None
    assert public.card_no == expected["city"] + expected["card_no"]
    assert (public.starts.isoformat(), public.expires.isoformat()) == (expected["issue"], expected["expiry"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"card_no": "0310487000000000123"}, "card_no"),
        ({"card_no": "0310487000000000123X"}, "card_no"),
        ({"issuer": "0101100"}, "issuer"),
        ({"issuer": "010110"}, "issuer"),
        ({"holder_class": 256}, "holder_class"),
    ],
)
def test_a_field_that_does_not_fit_is_named(change: dict[str, Any], field: str) -> None:
    fields = {
        "issuer": "01011000",
        "card_no": "03104870000000001234",
        "holder_class": 1,
        "starts": date(2026, 1, 1),
        "expires": date(2036, 12, 31),
    }
    with pytest.raises(FileError) as refused:
        PublicData(**{**fields, **change}).pack()
    assert refused.value.field == field


def test_the_directory_lists_the_transit_application() -> None:
    assert b"2PAY.SYS.DDF01" in directory_fci()
    assert H("4F08A000000632010105") in directory_fci()
