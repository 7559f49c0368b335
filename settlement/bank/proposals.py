"""What somebody proposes to do about an open point with the bank; another person approves it, or nothing happens.

Money in suspense is settled with the instruction that it pays or returns, booked to the account that it belongs to, or
offset by another line that undoes it. What was rejected, came back or arrived short is paid again, if need be on
another account. Where money moves, the amounts are those of the point: none is ever given by hand.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select

from clearing.proposals import State
from ledger.chart import STANDING
from ledger.chart import account as chart_account
from ledger.tables import account as account_table
from settlement.bank.booking import RESERVE, SUSPENSE
from settlement.bank.points import Point, PointKind, point_of
from settlement.bank.statement_file import Direction
from settlement.bank.store import KeptLine, lines_where
from settlement.bank.tables import bank_line, bank_proposal
from settlement.instructions import UNDECIDED, Instructed, instructions_where
from settlement.instructions import State as Paid
from settlement.participants import Participant, participants_of
from settlement.tables import instruction as instruction_table
from settlement.waiting_proposals import Room, keep_waiting

MAX_REASON: Final = 500
BOOKABLE: Final = ("agent", "bank", "city", "equity", "expense", "fund", "income")
"""First segments of the accounts that money in suspense may be booked to."""
_LINE: Final = re.compile(r"S([0-9]{1,9}):([0-9]{1,9})")


class Decision(StrEnum):
    """What is to be done about a point."""

    PAY_AGAIN = "pay_again"
    REJECT = "reject"
    SETTLE = "settle"
    BOOK = "book"
    OFFSET = "offset"
    EXPLAIN = "explain"


_PAY = (Decision.PAY_AGAIN,)
_MONEY = (Decision.SETTLE, Decision.BOOK, Decision.OFFSET)
ALLOWED: Final[Mapping[PointKind, tuple[Decision, ...]]] = MappingProxyType(
    {
        PointKind.REJECTED: _PAY,
        PointKind.RETURNED: _PAY,
        PointKind.SHORT: _PAY,
        PointKind.DIFFERS: _MONEY,
        PointKind.TWICE: (Decision.BOOK, Decision.OFFSET),
        PointKind.CONTRADICTS: _MONEY,
        PointKind.THEIRS_ONLY: _MONEY,
        PointKind.OURS_ONLY: (Decision.REJECT,),
        PointKind.GAP: (Decision.EXPLAIN,),
        PointKind.FILE: (Decision.EXPLAIN,),
    }
)


class ProposalRefusal(StrEnum):
    """Why a proposal is not made, in order of precedence: the first that applies is told."""

    POINT_UNKNOWN = "point_unknown"
    REASON_UNFIT = "reason_unfit"
    ALREADY_PROPOSED = "already_proposed"
    DECISION_UNFIT = "decision_unfit"
    INSTRUCTION_UNFIT = "instruction_unfit"
    ACCOUNT_UNFIT = "account_unfit"
    OTHER_UNFIT = "other_unfit"
    PARTICULARS_UNFIT = "particulars_unfit"


@dataclass(frozen=True, slots=True)
class ProposalRefused:
    """A proposal that is not made, and what to do."""

    refusal: ProposalRefusal
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Who proposes what about which point, and why.

    `account` is that of BOOK; `other` is the line of OFFSET, or for SETTLE the instruction where the line names none.
    Of PAY_AGAIN, `account_no`, `bank_code` and `bank_name` are the participant's new ones, empty where they stay.
    """

    point: str
    decision: Decision
    reason: str
    by: str
    at: datetime
    account: str = ""
    other: str = ""
    account_no: str = ""
    bank_code: str = ""
    bank_name: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal as it stands; `made` is the instruction that came of it. What is withdrawn its proposer decided."""

    number: int
    decision: Decision
    point: str
    kind: PointKind
    amount_fen: int
    account: str
    other: str
    account_no: str
    bank_code: str
    bank_name: str
    account_no_before: str
    bank_code_before: str
    bank_name_before: str
    reason: str
    proposed_by: str
    proposed_at: datetime
    state: State
    decided_by: str | None
    decided_at: datetime | None
    decided_why: str | None
    business_date: date | None
    made: str

    @property
    def asked(self) -> Asked:
        """What was asked, to be held against how things stand when it is approved."""
        return Asked(
            self.point, self.decision, self.reason, self.proposed_by, self.proposed_at, self.account, self.other,
            self.account_no, self.bank_code, self.bank_name,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """What a proposal is held against, as it stands: its point, line and instruction, and what it names besides."""

    point: Point | None
    line: KeptLine | None
    instruction: Instructed | None
    replaced_by: str
    suspended: str  # a line in suspense that names the instruction, else empty
    participant: Participant | None
    other: KeptLine | None
    account_known: bool


def propose(conn: Connection, asked: Asked, day: date) -> Proposal | ProposalRefused:
    """Write a proposal down; `day` is the day by which points are old, `conn` writes."""
    facts = facts_of(conn, asked, day)
    refused = refusal_to_propose(asked, facts)
    if refused is not None:
        return refused
    assert facts.point is not None
    number = int(conn.execute(select(func.coalesce(func.max(bank_proposal.c.number), 0))).scalar_one()) + 1
    before = facts.participant if asked.decision is Decision.PAY_AGAIN else None
    values = {
        "number": number, "decision": asked.decision, "point": asked.point, "kind": facts.point.kind,
        "amount_fen": facts.point.amount_fen, "account": asked.account, "other": asked.other,
        "reason": asked.reason.strip(), "proposed_by": asked.by, "proposed_at": asked.at, "state": State.PROPOSED,
        "made": "",
    }  # fmt: skip
    for name in ("account_no", "bank_code", "bank_name"):
        old = getattr(before, name) if before else ""
        values |= {name: getattr(asked, name) or old, f"{name}_before": old}
    conn.execute(insert(bank_proposal), values)
    keep_waiting(conn, Room.BANK, at=asked.at)
    found = proposal_of(conn, number)
    assert found is not None
    return found


def proposal_of(conn: Connection, number: int) -> Proposal | None:
    """The proposal of a number."""
    row = conn.execute(select(bank_proposal).where(bank_proposal.c.number == number)).one_or_none()
    return None if row is None else _proposal(row)


def proposals(conn: Connection, *, done_too: bool = False) -> list[Proposal]:
    """The proposals that wait for a second person, or all, in their order."""
    query = select(bank_proposal).order_by(bank_proposal.c.number)
    if not done_too:
        query = query.where(bank_proposal.c.state == State.PROPOSED)
    return [_proposal(row) for row in conn.execute(query)]


def facts_of(conn: Connection, asked: Asked, day: date) -> Facts:
    """Load what a proposal is held against."""
    point, line = point_of(conn, asked.point, day), line_of(conn, asked.point)
    name = asked.point
    if line is not None:
        name = line.instruction or (asked.other if asked.decision is Decision.SETTLE else "")
    columns = instruction_table.c
    instruction = next(iter(instructions_where(conn, columns.end_to_end_id == name)), None)
    later = conn.scalar(select(columns.end_to_end_id).where(columns.replaces == name))
    whose = instruction.participant if instruction else ""
    suspended = lines_where(conn, bank_line.c.instruction == name, bank_line.c.open_fen > 0)
    known = conn.scalar(select(account_table.c.id).where(account_table.c.code == asked.account))
    return Facts(
        point, line, instruction, later or "", suspended[0].id if suspended else "",
        participants_of(conn, [whose]).get(whose), line_of(conn, asked.other), known is not None,
    )  # fmt: skip


def line_of(conn: Connection, name: str) -> KeptLine | None:
    """The line that people name so, or None."""
    matched = _LINE.fullmatch(name)
    if matched is None:
        return None
    place = (bank_line.c.statement == int(matched[1]), bank_line.c.position == int(matched[2]))
    return next(iter(lines_where(conn, *place)), None)


def refusal_to_propose(asked: Asked, facts: Facts) -> ProposalRefused | None:
    """The first reason not to make a proposal, or None."""
    point = facts.point
    if point is None:
        message = f"nothing is open under {asked.point!r}"
        return ProposalRefused(ProposalRefusal.POINT_UNKNOWN, message, "`onecard bank list` names what is")
    if not 1 <= len(asked.reason.strip()) <= MAX_REASON:
        message = f"a reason of {len(asked.reason.strip())} characters does not explain"
        return ProposalRefused(ProposalRefusal.REASON_UNFIT, message, f"give 1 to {MAX_REASON}")
    if point.proposal is not None:
        message, remedy = (
            f"{point.id} waits in proposal {point.proposal}",
            "have that one decided or withdrawn first",
        )
        return ProposalRefused(ProposalRefusal.ALREADY_PROPOSED, message, remedy)
    allowed = ALLOWED[point.kind]
    if asked.decision not in allowed:
        message = (
            f"{point.id} is {point.kind.replace('_', ' ')}: it cannot be decided by {asked.decision.value!r}"
        )
        remedy = f"give {' or '.join(one.value for one in allowed)}"
        return ProposalRefused(ProposalRefusal.DECISION_UNFIT, message, remedy)
    check = _CHECKS.get(asked.decision)
    return check(asked, facts) if check else None


def _unfit_to_settle(asked: Asked, facts: Facts) -> ProposalRefused | None:
    line, one = facts.line, facts.instruction
    assert line is not None
    if one is None:
        message = f"{line.id} names no instruction of ours"
        remedy = "name the one that it settles: --with END-TO-END-ID; or book it"
        return ProposalRefused(ProposalRefusal.INSTRUCTION_UNFIT, message, remedy)
    out = line.direction is Direction.OUT
    payable = one.state in (*UNDECIDED, Paid.REJECTED) and not facts.replaced_by
    if (out and payable) or (not out and one.state == Paid.PAID):
        return None
    stands = (
        f"was paid again as {facts.replaced_by}" if facts.replaced_by else f"is {one.state.replace('_', ' ')}"
    )
    message = f"{one.end_to_end_id} {stands}: {line.id} does not settle it"
    return ProposalRefused(ProposalRefusal.INSTRUCTION_UNFIT, message, "book the line, or offset it")


def _unfit_to_book(asked: Asked, facts: Facts) -> ProposalRefused | None:
    segment = asked.account.partition(":")[0]
    ours = asked.account in (RESERVE, SUSPENSE)
    try:
        chart_account(asked.account)
    except ValueError:
        ours = True
    if ours or segment not in BOOKABLE or (segment not in STANDING and not facts.account_known):
        message = f"money of the bank's cannot be booked to {asked.account!r}"
        remedy = f"name an account that there is, of {', '.join(BOOKABLE)}, such as agent:COUNTER-1 or expense:bank"
        return ProposalRefused(ProposalRefusal.ACCOUNT_UNFIT, message, remedy)
    return None


def _unfit_to_offset(asked: Asked, facts: Facts) -> ProposalRefused | None:
    line, other = facts.line, facts.other
    assert line is not None
    if other is not None and other.open_fen == line.open_fen and other.direction is not line.direction:
        return None
    message = f"{asked.other or 'nothing'} does not undo {line.id}"
    remedy = "name a line in suspense of the same amount that goes the other way: --with S3:5"
    return ProposalRefused(ProposalRefusal.OTHER_UNFIT, message, remedy)


def _unfit_to_pay(asked: Asked, facts: Facts) -> ProposalRefused | None:
    assert facts.participant is not None
    if facts.suspended:
        message = f"{facts.suspended} names {asked.point} and is in suspense: the bank may have paid it"
        return ProposalRefused(ProposalRefusal.INSTRUCTION_UNFIT, message, "have that line decided first")
    try:
        corrected(facts.participant, asked)
    except ValueError as wrong:
        return ProposalRefused(
            ProposalRefusal.PARTICULARS_UNFIT, str(wrong), "compare with what the participant wrote"
        )
    return None


_CHECKS: Final = {
    Decision.SETTLE: _unfit_to_settle,
    Decision.BOOK: _unfit_to_book,
    Decision.OFFSET: _unfit_to_offset,
    Decision.PAY_AGAIN: _unfit_to_pay,
}


def corrected(participant: Participant, asked: Asked | Proposal) -> Participant:
    """The participant with the account that it is to be paid on. Raises ValueError for one that cannot be."""
    return Participant(
        participant.id,
        participant.name,
        asked.account_no or participant.account_no,
        asked.bank_code or participant.bank_code,
        asked.bank_name or participant.bank_name,
        participant.name_zh,
    )


def _proposal(row: Row[Any]) -> Proposal:
    values = row._asdict()
    typed = {"decision": Decision(row.decision), "kind": PointKind(row.kind), "state": State(row.state)}
    return Proposal(**values | typed)
