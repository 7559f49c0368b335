"""The bank's XML: read to the fen or refused with the field, its value and what to do, whatever the bytes are."""

import re
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from city.bank_journal import Account, Payment
from city.bank_messages import Booking, statement, status_report
from clearing.wire.bcd import CITY_ZONE
from settlement.bank.reading import read_bank_file
from settlement.bank.statement_file import Direction, Statement
from settlement.bank.status_report import Level, StatusReport, answers
from settlement.bank.xml_reading import DEEPEST, MOST_BYTES, MOST_PARTS, FileFlaw, Unreadable
from settlement.instructions import Instructed

DAY = date(2026, 3, 3)
AT = datetime(2026, 3, 3, 18, tzinfo=CITY_ZONE)
NO = "755900000000001"
BOOKINGS = (
    Booking("D1", "agent-pays:1", 100_000, "Counter"),
    Booking("B1", "20260302-METRO-1-01", -12_345, "深圳地铁一号线", "755912345678901", "一卡通清算"),
    Booking("R1", "20260302-BUS-1-01", 70_000, "Bus", reversal=True, returned_for="AC04"),
)
PAYMENTS = (
    Payment("20260302-BUS-1-01", "OC-20260302-01", "OC-20260302-01-20260303", "2026-03-03", 70_000, "Bus", "1"),
    Payment("20260302-METRO-1-01", "OC-20260302-01", "OC-20260302-01-20260304", "2026-03-04", 1, "Metro", "2",
            "rejected", "AC04"),
)  # fmt: skip


def booked(*bookings: Booking, balance_fen: int = 500_000) -> bytes:
    account = Account(NO, balance_fen, sequence=7)
    return statement(account, DAY, DAY, bookings, AT)


def read_one(data: bytes) -> Statement:
    found = read_bank_file(data)
    assert isinstance(found, tuple), found
    (one,) = found
    return one


def refused(data: bytes) -> Unreadable:
    found = read_bank_file(data)
    assert isinstance(found, Unreadable), found
    return found


bookings = st.builds(
    Booking,
    reference=st.from_regex(r"\A[A-Z0-9]{1,35}\Z"),
    end_to_end_id=st.from_regex(r"\A[A-Z0-9-]{0,35}\Z").filter(lambda text: text != "NOTPROVIDED"),
    signed_fen=st.integers(-(10**12), 10**12).filter(bool),
    party=st.sampled_from(["", "深圳地铁", "Bus & <Sons>"]),
    reversal=st.booleans(),
)


@given(st.lists(bookings, max_size=8), st.integers(-(10**12), 10**12))
def test_what_a_bank_writes_is_read_to_the_fen(some: list[Booking], balance_fen: int) -> None:
    found = read_one(booked(*some, balance_fen=balance_fen))
    assert (found.account_no, found.sequence, found.day, found.closing_fen) == (NO, 7, DAY, balance_fen)
    assert found.opening_fen + sum(line.signed_fen for line in found.lines) == balance_fen
    assert [(one.end_to_end_id, one.signed_fen, one.party, one.reversal) for one in found.lines] == [
        (one.end_to_end_id, one.signed_fen, one.party, one.reversal) for one in some
    ]
    assert [one.position for one in found.lines] == list(range(1, len(some) + 1))


def test_a_line_says_whose_it_is_and_why_it_came_back() -> None:
    _, paid, back = read_one(booked(*BOOKINGS)).lines
    assert (paid.direction, paid.party_account, paid.remittance) == (
        Direction.OUT,
        "755912345678901",
        "一卡通清算",
    )
    assert (back.direction, back.reversal, back.remittance, back.bank_reference) == (
        Direction.IN,
        True,
        "AC04",
        "R1",
    )


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_arbitrary_bytes_are_refused_and_never_raise(data: bytes) -> None:
    assert isinstance(read_bank_file(data), Unreadable)


@given(
    st.sampled_from([booked(*BOOKINGS), status_report("OC-20260302-01", PAYMENTS, AT)]),
    st.lists(
        st.tuples(st.integers(0, 5_000), st.integers(0, 40), st.binary(max_size=12)), min_size=1, max_size=4
    ),
)
def test_a_damaged_file_is_read_or_refused_and_never_raises(
    data: bytes, damages: list[tuple[int, int, bytes]]
) -> None:
    for at, length, by in damages:
        data = data[: at % len(data)] + by + data[at % len(data) + length :]
    found = read_bank_file(data)
    assert isinstance(found, Unreadable | StatusReport | tuple)
    if isinstance(found, Unreadable):
        assert found.field and found.value and found.remedy


@given(
    st.sampled_from(["Amt", "CdtDbtInd", "Sts", "BookgDt", "Id", "ElctrncSeqNb", "Acct", "Bal", "Dt", "Cd"])
)
def test_a_field_that_is_missing_is_named(name: str) -> None:
    root = etree.fromstring(booked(*BOOKINGS))
    for node in root.findall(f".//{{*}}{name}"):
        parent = node.getparent()
        assert parent is not None
        parent.remove(node)
    found = refused(etree.tostring(root))
    assert found.flaw is FileFlaw.FIELD_MISSING and re.search(r"\(line \d+\)", found.field), found


@pytest.mark.parametrize(
    ("change", "flaw", "words"),
    [
        ((b'Ccy="CNY">123.45', b'Ccy="USD">123.45'), FileFlaw.CURRENCY_OTHER, "Ntry/Amt/@Ccy"),
        ((b">123.45<", b">123.450<"), FileFlaw.FIELD_UNFIT, "'123.450'"),
        ((b">123.45<", b">-123.45<"), FileFlaw.FIELD_UNFIT, "'-123.45'"),
        ((b">123.45<", b">1e3<"), FileFlaw.FIELD_UNFIT, "'1e3'"),
        ((b">123.45<", "１２３.45".encode().join((b">", b"<"))), FileFlaw.FIELD_UNFIT, "Ntry/Amt"),
        ((b">123.45<", b">9999999999999999.00<"), FileFlaw.FIELD_UNFIT, "Ntry/Amt"),
        ((b">DBIT<", b">DEBIT<"), FileFlaw.FIELD_UNFIT, "'DEBIT'"),
        ((b">BOOK<", b">LATER<"), FileFlaw.FIELD_UNFIT, "Sts/Cd"),
        ((b"<Dt>2026-03-03<", b"<Dt>2026-02-30<"), FileFlaw.FIELD_UNFIT, "'2026-02-30'"),
        ((b"<Dt>2026-03-03<", b"<Dt>0001-01-01<"), FileFlaw.FIELD_UNFIT, "'0001-01-01'"),
        ((b">7</Elctrnc", b">-7</Elctrnc"), FileFlaw.FIELD_UNFIT, "ElctrncSeqNb"),
        ((b">OPBD<", b">OPAV<"), FileFlaw.FIELD_MISSING, "OPBD or PRCD"),
        ((b">CLBD<", b">CLAV<"), FileFlaw.FIELD_MISSING, "CLBD"),
        ((b">CLBD<", b">OPBD<"), FileFlaw.FIELD_REPEATED, "OPBD is there twice"),
        ((b"<Id>20260303", b"<Id>2026\xe2\x80\x8b0303"), FileFlaw.FIELD_UNFIT, "Stmt/Id"),
        ((b"camt.053.001.08", b"camt.052.001.08"), FileFlaw.MESSAGE_UNKNOWN, "camt.052"),
        ((b"<Document xmlns", b"<Document Xmlns"), FileFlaw.MESSAGE_UNKNOWN, "the root element"),
    ],
)
def test_a_field_that_cannot_be_is_named_with_its_value(
    change: tuple[bytes, bytes], flaw: FileFlaw, words: str
) -> None:
    data = booked(*BOOKINGS).replace(*change)
    found = refused(data)
    assert found.flaw is flaw and words in found.message and found.remedy, found


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=6), st.integers(-2, 2))
def test_payments_of_one_entry_are_taken_one_by_one_and_must_be_its_sum(
    parts_fen: list[int], off_fen: int
) -> None:
    whole_fen = sum(parts_fen) + off_fen
    root = etree.fromstring(booked(Booking("B1", "first", -whole_fen)))
    (details,) = root.findall(".//{*}NtryDtls")
    details.clear()
    for number, part_fen in enumerate(parts_fen):
        amount = f'<Amt Ccy="CNY">{part_fen // 100}.{part_fen % 100:02d}</Amt>'
        refs = f"<Refs><EndToEndId>E{number}</EndToEndId></Refs>"
        space = etree.QName(root).namespace
        details.append(etree.fromstring(f'<TxDtls xmlns="{space}">{refs}{amount}</TxDtls>'))
    data = etree.tostring(root)
    if off_fen:
        found = refused(data)
        assert found.flaw is FileFlaw.SUM_DIFFERS and f"{len(parts_fen)} payments sum to" in found.value
    else:
        lines = read_one(data).lines
        assert [(one.end_to_end_id, one.signed_fen) for one in lines] == [
            (f"E{number}", -part_fen) for number, part_fen in enumerate(parts_fen)
        ]


def test_the_older_version_of_a_statement_says_the_same() -> None:
    newer = booked(*BOOKINGS)
    older = newer.replace(b"camt.053.001.08", b"camt.053.001.02")
    older = re.sub(rb"<Sts>\s*<Cd>BOOK</Cd>\s*</Sts>", b"<Sts>BOOK</Sts>", older)
    older = re.sub(rb"</?Pty>", b"", older)
    older = older.replace(
        b"<BookgDt>\n          <Dt>2026-03-03</Dt>", b"<BookgDt><DtTm>2026-03-02T20:00:00Z</DtTm>"
    )
    assert older != newer and read_one(older).content == read_one(newer).content


def test_what_is_only_pending_is_counted_and_not_taken() -> None:
    data = booked(*BOOKINGS).replace(b"<Cd>BOOK</Cd>", b"<Cd>PDNG</Cd>", 1)
    found = read_one(data)
    assert found.pending == 1 and len(found.lines) == len(BOOKINGS) - 1


def test_two_statements_of_one_file_are_both_read() -> None:
    root = etree.fromstring(booked(*BOOKINGS))
    (one,) = root.findall(".//{*}Stmt")
    parent = one.getparent()
    assert parent is not None
    parent.append(etree.fromstring(etree.tostring(one).replace(b"20260303-00007", b"20260304-00008")))
    found = read_bank_file(etree.tostring(root))
    assert isinstance(found, tuple) and [one.statement_id for one in found] == [
        "20260303-00007",
        "20260304-00008",
    ]


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(10))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "declared", [f"<!DOCTYPE Document [{LAUGHS}]>", '<!DOCTYPE Document SYSTEM "file:///etc/passwd">']
)
def test_a_file_that_declares_a_document_type_is_refused_unexpanded(declared: str, encoding: str) -> None:
    body = booked(*BOOKINGS).decode().partition("?>")[2].replace("一卡通清算", "&l9;")
    found = refused(f'<?xml version="1.0" encoding="{encoding}"?>{declared}{body}'.encode(encoding))
    assert found.flaw in (FileFlaw.HAS_DTD, FileFlaw.NOT_XML) and "passwd" not in found.message


def test_an_entity_that_reads_a_file_is_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("do-not-tell")
    text = booked(*BOOKINGS).decode().replace("一卡通清算", "&s;").partition("?>")[2]
    found = refused(
        f'<?xml version="1.0"?><!DOCTYPE D [<!ENTITY s SYSTEM "{secret.as_uri()}">]>{text}'.encode()
    )
    assert found.flaw is FileFlaw.HAS_DTD and "do-not-tell" not in str(found)


@pytest.mark.parametrize(
    ("make", "flaw"),
    [
        (lambda: b" " * (MOST_BYTES + 1), FileFlaw.TOO_LONG),
        (lambda: b"<a/>" * (MOST_PARTS + 1), FileFlaw.TOO_MANY_PARTS),
        (lambda: b"<a>" * (DEEPEST + 1) + b"</a>" * (DEEPEST + 1), FileFlaw.TOO_DEEP),
        (lambda: b"<a>" * 100_000, FileFlaw.NOT_XML),
    ],
)
def test_a_file_beyond_the_bounds_is_refused(make: Callable[[], bytes], flaw: FileFlaw) -> None:
    found = refused(make())
    assert found.flaw is flaw and found.remedy


def sent(end_to_end_id: str, value_date: date = DAY, message_id: str = "OC-20260302-01") -> Instructed:
    return Instructed(
        end_to_end_id, DAY, "METRO-1", 1, value_date, "2", "1" * 12, message_id, "awaiting_bank"
    )


def report(text: str) -> StatusReport:
    space = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.03"
    found = read_bank_file(
        f'<Document xmlns="{space}"><CstmrPmtStsRpt><GrpHdr><MsgId>S</MsgId></GrpHdr>'
        f"<OrgnlGrpInfAndSts><OrgnlMsgId>OC-20260302-01</OrgnlMsgId>{text}</CstmrPmtStsRpt></Document>".encode()
    )
    assert isinstance(found, StatusReport), found
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<GrpSts>RJCT</GrpSts><StsRsnInf><Rsn><Cd>FF01</Cd></Rsn></StsRsnInf></OrgnlGrpInfAndSts>",
         {"A": ("RJCT", Level.GROUP, "FF01"), "B": ("RJCT", Level.GROUP, "FF01")}),
        (("<GrpSts>PART</GrpSts></OrgnlGrpInfAndSts><OrgnlPmtInfAndSts>"
         "<OrgnlPmtInfId>OC-20260302-01-20260303</OrgnlPmtInfId><PmtInfSts>ACSP</PmtInfSts></OrgnlPmtInfAndSts>"),
         {"A": ("ACSP", Level.PAYMENT, ""), "B": ("PART", Level.GROUP, "")}),
        (("</OrgnlGrpInfAndSts><OrgnlPmtInfAndSts><OrgnlPmtInfId>OC-20260302-01-20260303</OrgnlPmtInfId>"
         "<PmtInfSts>ACSC</PmtInfSts><TxInfAndSts><OrgnlEndToEndId>A</OrgnlEndToEndId><TxSts>RJCT</TxSts>"
         "<StsRsnInf><Rsn><Prtry>X1</Prtry></Rsn><AddtlInf>no such</AddtlInf><AddtlInf>account</AddtlInf></StsRsnInf>"
         "</TxInfAndSts></OrgnlPmtInfAndSts>"),
         {"A": ("RJCT", Level.TRANSACTION, "X1 no such account")}),
        (("</OrgnlGrpInfAndSts><OrgnlPmtInfAndSts><OrgnlPmtInfId>other</OrgnlPmtInfId><PmtInfSts>RJCT</PmtInfSts>"
         "<TxInfAndSts><OrgnlEndToEndId>Z</OrgnlEndToEndId></TxInfAndSts></OrgnlPmtInfAndSts>"),
         {"Z": ("RJCT", Level.PAYMENT, "")}),
    ],
)  # fmt: skip
def test_a_status_holds_for_all_below_it_that_have_none_of_their_own(
    text: str, expected: dict[str, tuple[str, Level, str]]
) -> None:
    ours = [sent("A"), sent("B", date(2026, 3, 4)), sent("C", message_id="OC-20260301-01")]
    found = answers(report(text), ours)
    assert {
        one.end_to_end_id: (one.said.status, one.level, f"{one.said.reason_code} {one.said.reason}".strip())
        for one in found
    } == expected


def test_an_unknown_status_is_refused_with_those_that_are_known() -> None:
    data = status_report("OC-20260302-01", PAYMENTS, AT).replace(b">ACSP<", b">FINE<")
    found = refused(data)
    assert (found.flaw, found.value) == (FileFlaw.FIELD_UNFIT, "'FINE'") and "ACSC" in found.remedy


@pytest.mark.parametrize(
    ("name", "flaw", "words"),
    [
        ("camt__camt053.v2.wrong.xml", FileFlaw.FIELD_MISSING, "BkToCstmrStmt/Stmt (line 3) is missing"),
        ("camt__camt053.v8.xml", FileFlaw.CURRENCY_OTHER, "Bal/Amt/@Ccy (line 68) 'EUR'"),
        ("camt__camt054.v8.xml", FileFlaw.MESSAGE_UNKNOWN, "camt.054"),
        ("iso20022.js__pain_002_transaction_rejected.xml", FileFlaw.MESSAGE_UNKNOWN, "'{}Document'"),
        ("pain001__pain.001.001.09.xml", FileFlaw.MESSAGE_UNKNOWN, "pain.001"),
    ],
)
def test_published_samples_are_refused_for_a_clear_reason(
    shared_data: Path, name: str, flaw: FileFlaw, words: str
) -> None:
    found = refused((shared_data / "iso20022" / "samples" / name).read_bytes())
    assert found.flaw is flaw and words in found.message


def test_the_published_status_report_is_read_once_its_namespace_is_spelt_right(shared_data: Path) -> None:
    path = shared_data / "iso20022" / "samples" / "iso20022.js__pain_002_transaction_rejected.xml"
    found = read_bank_file(path.read_bytes().replace(b"<Document Xmlns", b"<Document xmlns"))
    assert isinstance(found, StatusReport) and found.original_message_id == "missing2"
    told = answers(found, [])
    assert [one.said.status for one in told] == ["RJCT"] * 3
    assert told[0].said.reason_code == "NARR" and "already exist" in told[0].said.reason


def test_the_published_statement_is_read_once_it_is_in_yuan(shared_data: Path) -> None:
    data = (shared_data / "iso20022" / "samples" / "camt__camt053.v8.xml").read_bytes()
    in_yuan = re.sub(rb'Ccy="[A-Z]{3}"', b'Ccy="CNY"', data).replace(b">0</Amt>", b">8.85</Amt>")
    found = read_one(in_yuan)
    assert (found.opening_fen, found.closing_fen, found.sequence) == (1_815, -2_700, 12_312)
    (line,) = found.lines
    assert (line.end_to_end_id, line.signed_fen, line.party) == ("MUELL/FINP/RA12345", 885, "NAME NAME")
    assert refused(re.sub(rb'Ccy="[A-Z]{3}"', b'Ccy="CNY"', data)).flaw is FileFlaw.SUM_DIFFERS


def test_the_simulated_bank_writes_what_the_published_schemas_allow(shared_data: Path) -> None:
    for name, data in (
        ("camt.053.001.08", booked(*BOOKINGS)),
        ("pain.002.001.10", status_report("OC-20260302-01", PAYMENTS, AT)),
    ):
        schema = etree.XMLSchema(etree.parse(shared_data / "iso20022" / "xsd" / f"{name}.xsd"))
        schema.assertValid(etree.fromstring(data))
