"""The bank's file: valid against the standard, exact in its totals, the same bytes every time."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from settlement.bank_files import NAMESPACE, credit_transfer, decimal_yuan
from settlement.instructions import Instruction, end_to_end_id
from settlement.participants import SCHEME, Participant
from tests.settlement.small_day import AT, DAY, PARTICIPANTS

NS = {"p": NAMESPACE}
DEBTOR = PARTICIPANTS[0]


def texts(data: bytes, path: str) -> list[str]:
    found = etree.fromstring(data).xpath(path, namespaces=NS)
    assert isinstance(found, list)
    return [str(value) for value in found]


def fen(decimal: str) -> int:
    """Read a decimal amount as a bank would, exactly."""
    whole, _, rest = decimal.partition(".")
    assert len(rest) == 2
    return int(whole + rest)


@st.composite
def orders(draw: st.DrawFn) -> Sequence[Instruction]:
    ids = draw(st.lists(st.from_regex(r"\A[A-Z0-9][A-Z0-9-]{0,15}\Z"), min_size=1, max_size=5, unique=True))
    names = st.sampled_from(["深圳地铁集团", "Bus & <Sons>", "Ünïted", "公交 “东” 部"])
    return [
        Instruction(
            end_to_end_id(DAY, one),
            DAY,
            Participant(one, draw(names), "755912345678901", "102584002910", draw(names), draw(names)),
            draw(st.integers(1, 10**15)),
            DAY + timedelta(days=draw(st.integers(0, 3))),
        )
        for one in ids
    ]


@settings(max_examples=40)
@given(orders())
def test_every_file_agrees_with_its_instructions_to_the_fen(instructions: Sequence[Instruction]) -> None:
    file = credit_transfer(instructions, debtor=DEBTOR, business_date=DAY, made_at=AT)
    amounts = texts(file.data, "//p:InstdAmt/text()")
    ids = texts(file.data, "//p:EndToEndId/text()")
    assert dict(zip(ids, map(fen, amounts), strict=True)) == {
        one.end_to_end_id: one.amount_fen for one in instructions
    }
    [total] = texts(file.data, "//p:GrpHdr/p:CtrlSum/text()")
    assert fen(total) == file.total_fen == sum(one.amount_fen for one in instructions)
    assert sum(map(fen, texts(file.data, "//p:PmtInf/p:CtrlSum/text()"))) == file.total_fen
    assert texts(file.data, "//p:GrpHdr/p:NbOfTxs/text()") == [str(len(instructions))] == [str(file.count)]
    blocks = texts(file.data, "//p:PmtInf/p:ReqdExctnDt/p:Dt/text()")
    assert blocks == sorted({one.value_date.isoformat() for one in instructions})
    names = texts(file.data, "//p:Cdtr/p:Nm/text()")
    assert sorted(names) == sorted(one.creditor.display_name for one in instructions)
    turned = credit_transfer(instructions[::-1], debtor=DEBTOR, business_date=DAY, made_at=AT)
    assert turned == file


def test_the_file_holds_against_the_published_schema(shared_data: Path) -> None:
    schema = etree.XMLSchema(etree.parse(shared_data / "iso20022" / "xsd" / "pain.001.001.09.xsd"))
    instructions = [
        Instruction(end_to_end_id(DAY, one.id), DAY, one, 12_345, date(2018, 9, 3))
        for one in PARTICIPANTS[1:]
    ]
    file = credit_transfer(instructions, debtor=DEBTOR, business_date=DAY, made_at=AT)
    schema.assertValid(etree.fromstring(file.data))
    assert file.name == "pain001-OC-20180901-01.xml"
    assert texts(file.data, "//p:Dbtr/p:Nm/text()") == ["备付金专户"]
    assert texts(file.data, "//p:InstdAmt/@Ccy") == ["CNY", "CNY"]


def test_a_day_without_payments_makes_no_file() -> None:
    with pytest.raises(ValueError, match="no instructions"):
        credit_transfer([], debtor=DEBTOR, business_date=DAY, made_at=AT)


@given(st.integers(-(10**17), 10**17))
def test_an_amount_is_written_without_losing_a_fen(amount_fen: int) -> None:
    written = decimal_yuan(amount_fen)
    assert int(written.replace(".", "")) == amount_fen
    assert written[-3] == "."


def test_an_end_to_end_id_fits_the_standards_35_characters() -> None:
    assert len(end_to_end_id(DAY, "A" * 16, 99)) <= 35
    assert end_to_end_id(DAY, SCHEME, 2) == "20180901-SCHEME-02"
    with pytest.raises(ValueError, match="longer than 35"):
        end_to_end_id(DAY, "A" * 30)
