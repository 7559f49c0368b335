"""Files of agencies: read back as written, and every flaw named by line, field, value and remedy."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearing.sectors.socialsecurity.batches import Return
from clearing.sectors.socialsecurity.benefit_file import FORM as BENEFITS
from clearing.sectors.socialsecurity.benefit_file import (
    BenefitFile,
    BenefitLine,
    Pocket,
    read_benefit_file,
    write_benefit_file,
)
from clearing.sectors.socialsecurity.bill_file import FORM as BILLS
from clearing.sectors.socialsecurity.bill_file import BillFile, BillLine, read_bill_file, write_bill_file
from clearing.sectors.socialsecurity.schedule import Insurance
from clearing.sectors.socialsecurity.sheet import Flawed
from tests.clearing.social_books import identity

ROOT = Path(__file__).resolve().parents[2]
GOOD = "\n".join(
    (
        "benefit-batch,1,SSB,2026-09-1,SSB,pension,2,15000",
        "claim,identity_no,pocket,amount_fen,memo",
        f"P-1,{identity(1)},wallet,10000,九月养老金",
        f"P-2,{identity(2)},subsidy,5000,",
        "",
    )
)

claims = st.from_regex(r"[A-Z0-9][A-Z0-9-]{0,23}", fullmatch=True)
memos = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60)
benefit_lines = st.builds(
    BenefitLine, st.just(0), claims, st.integers(1, 999).map(identity), st.sampled_from(Pocket),
    st.integers(1, 10**12 - 1), memos,
)  # fmt: skip


@given(st.lists(benefit_lines, min_size=1, max_size=8, unique_by=lambda one: one.claim))
def test_a_batch_is_read_as_it_was_written(lines: list[BenefitLine]) -> None:
    data = write_benefit_file(agency="SSB", number="N-1", fund="F-1", programme="pension", lines=lines)
    read = read_benefit_file(data)
    assert isinstance(read, BenefitFile)
    kept = [(one.claim, one.identity_no, one.pocket, one.amount_fen, one.memo) for one in read.lines]
    assert kept == [(one.claim, one.identity_no, one.pocket, one.amount_fen, one.memo) for one in lines]
    assert read.total_fen == sum(one.amount_fen for one in lines)


@given(st.lists(
    st.builds(
        BillLine, st.just(0), claims, st.integers(1, 999).map(identity), st.sampled_from(Insurance),
        st.integers(2000, 2099), st.just(1), st.integers(1, 12), st.sampled_from(["", "200", "student"]),
    ),
    min_size=1, max_size=8, unique_by=lambda one: one.number,
))  # fmt: skip
def test_bills_are_read_as_they_were_written(lines: list[BillLine]) -> None:
    read = read_bill_file(write_bill_file(agency="SSB", lines=lines))
    assert isinstance(read, BillFile)
    assert [one.number for one in read.lines] == [one.number for one in lines]
    assert [(one.insurance, one.year, one.months, one.bracket) for one in read.lines] == [
        (one.insurance, one.year, one.months, one.bracket) for one in lines
    ]


@pytest.mark.parametrize(
    ("found", "written", "line", "field", "value"),
    [
        ("benefit-batch,1", "benefit-batch,2", 1, "kind", "benefit-batch,2"),
        (",SSB,pension,", ",ssb,pension,", 1, "fund", "ssb"),
        (",2,15000", ",3,15000", 1, "lines", "3"),
        (",2,15000", ",2,15001", 1, "total_fen", "15001"),
        ("amount_fen,memo", "amount,memo", 2, "columns", "claim,identity_no,pocket,amount,memo"),
        ("wallet,10000", "wallet,0", 3, "amount_fen", "0"),
        ("wallet,10000", "wallet,100.00", 3, "amount_fen", "100.00"),
        ("wallet,10000", "purse,10000", 3, "pocket", "purse"),
        (f"P-2,{identity(2)}", f"P-2,{identity(2)[:-2]}", 4, "identity_no", "*" * 16),
        (identity(2), identity(2)[:-1] + "0", 4, "identity_no", "530102********0020"),
        ("P-2,", "P-1,", 4, "claim", "P-1"),
        ("subsidy,5000,", "subsidy,5000", 4, "fields", "4"),
        ("subsidy,5000,", f"subsidy,5000,{'x' * 61}", 4, "memo", "x" * 40 + "…"),
    ],
)
def test_a_flaw_is_named_by_line_field_and_value(
    found: str, written: str, line: int, field: str, value: str
) -> None:
    assert identity(2)[-1] != "0"
    read = read_benefit_file(GOOD.replace(found, written, 1).encode())
    assert isinstance(read, Flawed)
    first = read.flaws[0]
    assert (first.line, first.field, first.value) == (line, field, value)
    assert first.remedy and value in first.message


def test_all_flaws_of_all_lines_are_named_at_once() -> None:
    data = GOOD.replace("wallet,10000", "purse,x").replace("P-2", "p 2").encode()
    read = read_benefit_file(data)
    assert isinstance(read, Flawed)
    assert [(one.line, one.field) for one in read.flaws] == [(3, "pocket"), (3, "amount_fen"), (4, "claim")]


def test_no_message_holds_an_identity_number() -> None:
    wrong = identity(2)[:-1] + "0"
    read = read_benefit_file(GOOD.replace(identity(2), wrong).encode())
    assert isinstance(read, Flawed)
    assert wrong not in repr(read) and identity(1) not in repr(read_benefit_file(GOOD.encode()))


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", "file"),
        ("养老金".encode("gb18030"), "file"),
        (b'benefit-batch,1,"', "record"),
        (b"benefit-batch,1", "fields"),
        (b"\x00", "kind"),
    ],
)
def test_a_file_that_is_none_is_refused_in_words(data: bytes, field: str) -> None:
    read = read_benefit_file(data)
    assert isinstance(read, Flawed)
    assert field in {one.field for one in read.flaws}


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_batch_or_flawed_and_nothing_else(data: bytes) -> None:
    for tried in (data, GOOD.encode()[:80] + data, GOOD.encode() + data):
        assert isinstance(read_benefit_file(tried), BenefitFile | Flawed)
        assert isinstance(read_bill_file(tried), Flawed)


def test_line_ends_and_a_byte_order_mark_do_not_matter() -> None:
    spreadsheet = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    ours, theirs = read_benefit_file(GOOD.encode()), read_benefit_file(spreadsheet)
    assert isinstance(ours, BenefitFile) and isinstance(theirs, BenefitFile)
    assert ours.lines == theirs.lines
    assert ours.digest != theirs.digest


def test_months_of_a_bill_stay_within_its_year() -> None:
    one = BillLine(0, "B-1", identity(1), Insurance.FLEXIBLE_EMPLOYMENT, 2026, 10, 4, "60")
    read = read_bill_file(write_bill_file(agency="SSB", lines=[one]))
    assert isinstance(read, Flawed)
    assert [(flaw.line, flaw.field, flaw.value) for flaw in read.flaws] == [(3, "months", "4")]


def test_the_documented_examples_are_good_files() -> None:
    document = (ROOT / "docs" / "formats" / "benefit-batch.md").read_text(encoding="utf-8")
    batch, bills = re.findall(r"```csv\n(.*?)```", document, re.DOTALL)
    assert isinstance(read_benefit_file(batch.encode()), BenefitFile)
    assert isinstance(read_bill_file(bills.encode()), BillFile)


def test_the_document_names_every_column_and_every_reason_for_a_return() -> None:
    document = (ROOT / "docs" / "formats" / "benefit-batch.md").read_text(encoding="utf-8")
    fields = [*BENEFITS.control, *BENEFITS.columns, *BILLS.control, *BILLS.columns]
    assert [one.name for one in fields if one.name not in document] == []
    rows = re.findall(r"^\| `(\w+)` \|", document, re.MULTILINE)
    assert rows == [reason.value for reason in Return]
