"""What the simulated bank remembers of one account: its balance, the payments it was told to make, its own mistakes."""

import json
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from lxml import etree

_PAIN_001 = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"


@dataclass(slots=True)
class Payment:
    """A payment as it was ordered; `state` is waiting, rejected, executed or returned."""

    end_to_end_id: str
    message_id: str
    payment_id: str
    execute_on: str
    amount_fen: int
    creditor: str
    account_no: str
    state: str = "waiting"
    reason: str = ""


@dataclass(slots=True)
class Account:
    """The account at the end of the last day that a statement was made of; `opened` is that day."""

    account_no: str
    balance_fen: int = 0
    sequence: int = 0
    closed_on: str = ""
    messages: list[str] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)

    def waiting(self, day: date) -> list[Payment]:
        """What is to be paid by a day, in the order it came."""
        return [one for one in self.payments if one.state == "waiting" and one.execute_on <= day.isoformat()]

    def payment(self, end_to_end_id: str) -> Payment:
        """The payment of an id. Raises LookupError where none was ordered."""
        found = next((one for one in self.payments if one.end_to_end_id == end_to_end_id), None)
        if found is None:
            raise LookupError(f"no payment {end_to_end_id} was ordered; give one of a pain.001 that came")
        return found


def load_account(file: Path, account_no: str) -> Account:
    """The account as the journal has it, or a new one with nothing on it."""
    if not file.exists():
        return Account(account_no)
    kept = json.loads(file.read_text(encoding="utf-8"))
    return Account(**kept | {"payments": [Payment(**one) for one in kept["payments"]]})


def keep_account(file: Path, account: Account) -> None:
    """Keep the account; whoever is killed meanwhile leaves it as it was."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(account), ensure_ascii=False, indent=1), encoding="utf-8")
    draft.replace(file)


def ordered(data: bytes) -> tuple[str, list[Payment]]:
    """The id of a pain.001 and the payments that it orders."""
    root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    names = {"p": _PAIN_001}

    def text(node: etree._Element, path: str) -> str:
        return node.findtext("/".join(f"p:{name}" for name in path.split("/")), "", names)

    message = root.find("p:CstmrCdtTrfInitn", names)
    assert message is not None
    message_id = text(message, "GrpHdr/MsgId")
    payments = [
        Payment(
            text(one, "PmtId/EndToEndId"),
            message_id,
            text(block, "PmtInfId"),
            text(block, "ReqdExctnDt/Dt"),
            int(text(one, "Amt/InstdAmt").replace(".", "")),
            text(one, "Cdtr/Nm"),
            text(one, "CdtrAcct/Id/Othr/Id"),
        )
        for block in message.findall("p:PmtInf", names)
        for one in block.findall("p:CdtTrfTxInf", names)
    ]
    return message_id, payments
