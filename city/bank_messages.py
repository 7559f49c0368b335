"""What the simulated bank writes: status reports (pain.002.001.10) and statements (camt.053.001.08)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from lxml import etree

from city.bank_journal import Account, Payment
from settlement.bank.xml_writing import add_texts, qualify

_STATUS: Final = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"
_STATEMENT: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"


@dataclass(frozen=True, slots=True)
class Booking:
    """An entry of the account: a payment that was made, one that came back, or money that came in; in fen."""

    reference: str
    end_to_end_id: str
    signed_fen: int
    party: str = ""
    account_no: str = ""
    text: str = ""
    reversal: bool = False
    returned_for: str = ""  # the reason's code


def status_report(message_id: str, payments: Sequence[Payment], at: datetime) -> bytes:
    """The answer to one pain.001: each payment with its own status."""
    root, report = _message(_STATUS, "CstmrPmtStsRpt")
    add_texts(report, ("GrpHdr/MsgId", f"STS-{message_id}"), ("GrpHdr/CreDtTm", _instant(at)))
    some = {one.state == "rejected" for one in payments}
    group = "PART" if len(some) > 1 else "RJCT" if True in some else "ACTC"
    add_texts(
        report,
        ("OrgnlGrpInfAndSts/OrgnlMsgId", message_id),
        ("OrgnlGrpInfAndSts/OrgnlMsgNmId", "pain.001.001.09"),
        ("OrgnlGrpInfAndSts/GrpSts", group),
    )
    for payment_id in dict.fromkeys(one.payment_id for one in payments):
        block = etree.SubElement(report, "OrgnlPmtInfAndSts")
        add_texts(block, ("OrgnlPmtInfId", payment_id))
        for one in payments:
            if one.payment_id == payment_id:
                _transaction(block, one)
    return _bytes(root, _STATUS)


def statement(
    account: Account, day: date, opened_on: date, bookings: Sequence[Booking], at: datetime
) -> bytes:
    """The account from the end of the day before to the end of a day; `account` is as it stands then."""
    root, message = _message(_STATEMENT, "BkToCstmrStmt")
    name = f"{day:%Y%m%d}-{account.sequence:05d}"
    add_texts(message, ("GrpHdr/MsgId", f"CAMT-{name}"), ("GrpHdr/CreDtTm", _instant(at)))
    part = etree.SubElement(message, "Stmt")
    add_texts(
        part,
        ("Id", name),
        ("ElctrncSeqNb", str(account.sequence)),
        ("CreDtTm", _instant(at)),
        ("Acct/Id/Othr/Id", account.account_no),
        ("Acct/Ccy", "CNY"),
    )
    opening_fen = account.balance_fen - sum(one.signed_fen for one in bookings)
    _balance(part, "OPBD", opening_fen, opened_on)
    _balance(part, "CLBD", account.balance_fen, day)
    for number, one in enumerate(bookings, 1):
        _entry(part, one, number, day)
    return _bytes(root, _STATEMENT)


def _transaction(block: etree._Element, one: Payment) -> None:
    answer = etree.SubElement(block, "TxInfAndSts")
    rejected = one.state == "rejected"
    add_texts(answer, ("OrgnlEndToEndId", one.end_to_end_id), ("TxSts", "RJCT" if rejected else "ACSP"))
    if rejected:
        add_texts(answer, ("StsRsnInf/Rsn/Cd", one.reason), ("StsRsnInf/AddtlInf", "收款账户有误"))


def _balance(part: etree._Element, kind: str, amount_fen: int, day: date) -> None:
    balance = etree.SubElement(part, "Bal")
    add_texts(balance, ("Tp/CdOrPrtry/Cd", kind))
    _amount(balance, amount_fen)
    add_texts(balance, ("Dt/Dt", day.isoformat()))


def _entry(part: etree._Element, one: Booking, number: int, day: date) -> None:
    entry = etree.SubElement(part, "Ntry")
    add_texts(entry, ("NtryRef", str(number)))
    _amount(entry, one.signed_fen)
    if one.reversal:
        add_texts(entry, ("RvslInd", "true"))
    add_texts(
        entry,
        ("Sts/Cd", "BOOK"),
        ("BookgDt/Dt", day.isoformat()),
        ("ValDt/Dt", day.isoformat()),
        ("AcctSvcrRef", one.reference),
        ("BkTxCd/Prtry/Cd", "TRF"),
    )
    details = etree.SubElement(etree.SubElement(entry, "NtryDtls"), "TxDtls")
    add_texts(details, ("Refs/EndToEndId", one.end_to_end_id or "NOTPROVIDED"))
    who = "Dbtr" if one.signed_fen > 0 else "Cdtr"
    if one.party:
        add_texts(details, (f"RltdPties/{who}/Pty/Nm", one.party))
    if one.account_no:
        add_texts(details, (f"RltdPties/{who}Acct/Id/Othr/Id", one.account_no))
    if one.text:
        add_texts(details, ("RmtInf/Ustrd", one.text))
    if one.returned_for:
        add_texts(details, ("RtrInf/Rsn/Cd", one.returned_for))


def _amount(parent: etree._Element, signed_fen: int) -> None:
    amount = etree.SubElement(parent, "Amt", Ccy="CNY")
    amount.text = f"{abs(signed_fen) // 100}.{abs(signed_fen) % 100:02d}"
    add_texts(parent, ("CdtDbtInd", "DBIT" if signed_fen < 0 else "CRDT"))


def _message(namespace: str, name: str) -> tuple[etree._Element, etree._Element]:
    root = etree.fromstring(f'<Document xmlns="{namespace}"/>')
    return root, etree.SubElement(root, name)


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _bytes(root: etree._Element, namespace: str) -> bytes:
    qualify(root, namespace)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
