"""What a pain.002 says: the state of each payment of a message of ours, as ISO 20022's status reports have it.

A status of the whole group or of a payment block holds for every payment below it that has none of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from settlement.bank.xml_reading import FileFlaw, Part, one_of_words, plain


class Level(StrEnum):
    """Where in the report a status stands."""

    GROUP = "group"
    PAYMENT = "payment"
    TRANSACTION = "transaction"


class Meaning(StrEnum):
    """What a status says of a payment."""

    WAITS = "waits"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


MEANINGS: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        "RCVD": Meaning.WAITS,
        "PDNG": Meaning.WAITS,
        "PART": Meaning.WAITS,  # some below are accepted, some are not: each says so itself
        "PATC": Meaning.WAITS,
        "ACTC": Meaning.ACCEPTED,
        "ACCP": Meaning.ACCEPTED,
        "ACSP": Meaning.ACCEPTED,
        "ACWC": Meaning.ACCEPTED,
        "ACSC": Meaning.ACCEPTED,
        "ACCC": Meaning.ACCEPTED,
        "ACFC": Meaning.ACCEPTED,
        "RJCT": Meaning.REJECTED,
        "CANC": Meaning.REJECTED,
    }
)
"""The external codes of payment statuses that banks send. Settled (ACSC) is the bank's word; only a statement pays."""


@dataclass(frozen=True, slots=True)
class Said:
    """A status with its reason: the code, and what stands beside it for people."""

    status: str
    reason_code: str = ""
    reason: str = ""

    @property
    def meaning(self) -> Meaning:
        """What it says of a payment."""
        return MEANINGS[self.status]


@dataclass(frozen=True, slots=True)
class Block:
    """A payment block of the original message: its own status, and those of its payments by end-to-end id."""

    payment_id: str
    said: Said | None
    payments: Mapping[str, Said | None]


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A status report on one message of ours."""

    message_id: str
    original_message_id: str
    said: Said | None
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the report says of one payment, and at which level it says so."""

    end_to_end_id: str
    level: Level
    said: Said


class Sent(Protocol):
    """An instruction as it left: in which message, in which block of it."""

    @property
    def end_to_end_id(self) -> str: ...
    @property
    def message_id(self) -> str: ...
    @property
    def payment_id(self) -> str: ...


def read_status_report(root: Part) -> StatusReport:
    """The report of a `pain.002` message. Raises Unfit."""
    report = root.one("CstmrPmtStsRpt")
    group = report.one("OrgnlGrpInfAndSts")
    return StatusReport(
        report.text("GrpHdr/MsgId", 35),
        group.text("OrgnlMsgId", 35),
        _said(group, "GrpSts"),
        tuple(_block(block) for block in report.each("OrgnlPmtInfAndSts")),
    )


def answers(report: StatusReport, sent: Iterable[Sent]) -> list[Answer]:
    """What the report says of payments: those it names, and those `sent` in its message, through what holds above them.

    A payment of which it says nothing is left out; one that it names and nobody knows is in.
    """
    own: dict[str, Answer] = {}
    for block in report.blocks:
        for end_to_end_id, said in block.payments.items():
            found = _first(end_to_end_id, said, block.said, report.said)
            if found is not None:
                own[end_to_end_id] = found
    blocks = {block.payment_id: block.said for block in report.blocks}
    for one in sent:
        if one.message_id == report.original_message_id and one.end_to_end_id not in own:
            found = _first(one.end_to_end_id, None, blocks.get(one.payment_id), report.said)
            if found is not None:
                own[one.end_to_end_id] = found
    return [own[end_to_end_id] for end_to_end_id in sorted(own)]


def _first(end_to_end_id: str, *levels: Said | None) -> Answer | None:
    """The status that stands lowest, of a transaction, its block and the group."""
    order = (Level.TRANSACTION, Level.PAYMENT, Level.GROUP)
    for level, said in zip(order, levels, strict=True):
        if said is not None:
            return Answer(end_to_end_id, level, said)
    return None


def _block(part: Part) -> Block:
    payments: dict[str, Said | None] = {}
    for payment in part.each("TxInfAndSts"):
        end_to_end_id = payment.text("OrgnlEndToEndId", 35)
        if end_to_end_id in payments:
            raise payment.unfit(
                FileFlaw.FIELD_REPEATED, f"speaks of {end_to_end_id} again", "have the bank say it once"
            )
        payments[end_to_end_id] = _said(payment, "TxSts")
    return Block(part.text("OrgnlPmtInfId", 35), _said(part, "PmtInfSts"), payments)


def _said(part: Part, name: str) -> Said | None:
    if part.maybe(name) is None:
        return None
    status = one_of_words(part, name, MEANINGS)
    codes: list[str] = []
    told: list[str] = []
    for reason in part.each("StsRsnInf"):
        code = reason.maybe_text("Rsn/Cd", 35) or reason.maybe_text("Rsn/Prtry", 35)
        codes += [code] if code else []
        told += [plain(one.value, 500) for one in reason.each("AddtlInf")]
    return Said(status, codes[0] if codes else "", " ".join(told)[:500])
