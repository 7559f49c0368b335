"""Instructions as the bank takes them: ISO 20022 customer credit transfers, pain.001.001.09."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib import resources
from itertools import groupby
from typing import Final

from lxml import etree

from clearing.wire.bcd import CITY_ZONE
from settlement.bank.xml_reading import safe_parser
from settlement.bank.xml_writing import add_texts, qualify
from settlement.instructions import Instruction, payment_id
from settlement.participants import Participant

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"

_CLEARING_SYSTEM: Final = "CNAPS"  # ISO 20022's external code for China's national payment system


class BankFileInvalid(Exception):
    """The file we made does not hold against the standard's schema; it must not leave."""


@dataclass(frozen=True, slots=True)
class BankFile:
    """One message to the bank and what is in it."""

    message_id: str
    data: bytes
    count: int
    total_fen: int

    @property
    def name(self) -> str:
        """Its file name; the message id is in it, so names are never used twice."""
        return f"pain001-{self.message_id}.xml"


def message_id(business_date: date, number: int = 1) -> str:
    """The message's id (Max35Text): the business date and the number of the file on that day."""
    return f"OC-{business_date:%Y%m%d}-{number:02d}"


def credit_transfer(
    instructions: Sequence[Instruction],
    *,
    debtor: Participant,
    business_date: date,
    made_at: datetime,
    number: int = 1,
) -> BankFile:
    """The pain.001.001.09 message for at least one instruction, a payment block for each value date.

    It is the `number`-th of the business date. The bytes depend on the arguments alone and are checked against the
    schema. Raises BankFileInvalid.
    """
    if not instructions:
        raise ValueError("no instructions: pain.001 cannot be empty; write no file on such a day")
    identity = message_id(business_date, number)
    ordered = sorted(instructions, key=lambda one: (one.value_date, one.end_to_end_id))
    total_fen = sum(one.amount_fen for one in ordered)
    root = etree.fromstring(f'<Document xmlns="{NAMESPACE}"/>', safe_parser())
    message = etree.SubElement(root, "CstmrCdtTrfInitn")
    header = etree.SubElement(message, "GrpHdr")
    add_texts(
        header,
        ("MsgId", identity),
        ("CreDtTm", made_at.astimezone(CITY_ZONE).isoformat(timespec="seconds")),
        ("NbOfTxs", str(len(ordered))),
        ("CtrlSum", decimal_yuan(total_fen)),
        ("InitgPty/Nm", debtor.display_name),
    )
    for value_date, block in groupby(ordered, key=lambda one: one.value_date):
        _payment_block(message, identity, value_date, list(block), debtor)
    qualify(root, NAMESPACE)
    data = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    _check(data)
    return BankFile(identity, data, len(ordered), total_fen)


def decimal_yuan(amount_fen: int) -> str:
    """Fen as the decimal that XML schema and CSV readers expect: 123456 → `1234.56`, -5 → `-0.05`."""
    sign = "-" if amount_fen < 0 else ""
    whole, rest = divmod(abs(amount_fen), 100)
    return f"{sign}{whole}.{rest:02d}"


def _payment_block(
    message: etree._Element,
    identity: str,
    value_date: date,
    instructions: Sequence[Instruction],
    debtor: Participant,
) -> None:
    block = etree.SubElement(message, "PmtInf")
    add_texts(
        block,
        ("PmtInfId", payment_id(identity, value_date)),
        ("PmtMtd", "TRF"),
        ("BtchBookg", "false"),
        ("NbOfTxs", str(len(instructions))),
        ("CtrlSum", decimal_yuan(sum(one.amount_fen for one in instructions))),
        ("ReqdExctnDt/Dt", value_date.isoformat()),
        ("Dbtr/Nm", debtor.display_name),
        ("DbtrAcct/Id/Othr/Id", debtor.account_no),
        ("DbtrAcct/Ccy", "CNY"),
    )
    _agent(block, "DbtrAgt", debtor)
    add_texts(block, ("ChrgBr", "DEBT"))
    for one in instructions:
        transfer = etree.SubElement(block, "CdtTrfTxInf")
        add_texts(transfer, ("PmtId/EndToEndId", one.end_to_end_id))
        amount = etree.SubElement(etree.SubElement(transfer, "Amt"), "InstdAmt", Ccy="CNY")
        amount.text = decimal_yuan(one.amount_fen)
        _agent(transfer, "CdtrAgt", one.creditor)
        add_texts(
            transfer,
            ("Cdtr/Nm", one.creditor.display_name),
            ("CdtrAcct/Id/Othr/Id", one.creditor.account_no),
            ("RmtInf/Ustrd", f"一卡通清算 {one.business_date} {one.creditor.id}"),
        )


def _agent(parent: etree._Element, tag: str, party: Participant) -> None:
    add_texts(
        parent,
        (f"{tag}/FinInstnId/ClrSysMmbId/ClrSysId/Cd", _CLEARING_SYSTEM),
        (f"{tag}/FinInstnId/ClrSysMmbId/MmbId", party.bank_code),
        (f"{tag}/FinInstnId/Nm", party.bank_name),
    )


@cache
def _schema() -> etree.XMLSchema:
    source = resources.files("sepaxml").joinpath("schemas/pain.001.001.09.xsd").read_bytes()
    return etree.XMLSchema(etree.fromstring(source, safe_parser()))


def _check(data: bytes) -> None:
    try:
        _schema().assertValid(etree.fromstring(data, safe_parser()))
    except etree.DocumentInvalid as fault:
        raise BankFileInvalid(f"{fault}; correct the participant's particulars that stand there") from fault
