"""A second person's word on what was proposed about the bank, carried out on the open day or not at all.

All of it is one transaction: postings, what becomes of instructions and lines, and who said so. A proposal is void
where its point is no longer as it was when it was made. A payment that goes out again leaves in a message of its own,
which is written when the books have it: said again, it is written again with the same bytes.
"""

from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, select, update

from clearing.atomic_files import write_bytes
from clearing.context import StepRefused
from clearing.proposals import State
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.day import current_day
from ledger.db import writing
from ledger.entry import Entry, Line
from settlement.agreements import agreements_on
from settlement.bank.booking import SUSPENSE, post_or_refuse, set_state
from settlement.bank.proposals import (
    Decision,
    Facts,
    Proposal,
    corrected,
    facts_of,
    proposal_of,
    refusal_to_propose,
)
from settlement.bank.statement_file import Direction
from settlement.bank.store import KeptLine
from settlement.bank.tables import bank_file, bank_line, bank_proposal, bank_statement
from settlement.bank.taking import keep_work
from settlement.bank_files import BankFile, BankFileInvalid, credit_transfer, message_id
from settlement.calendar import YearUnknown, load_calendar
from settlement.instructions import Instruction, end_to_end_id, instructions_where, store_instructions
from settlement.instructions import State as Paid
from settlement.participants import SCHEME, correct_account, participants_of
from settlement.tables import instruction as instruction_table
from settlement.two_people import (
    MAX_WHY,
    DecisionRefusal,
    DecisionRefused,
    Word,
    end_proposal,
    refusal_of_word,
)
from settlement.waiting_proposals import Room, keep_waiting

RESOLUTION = "bank_resolution"
"""The kind of entries that decisions make."""


def approve(engine: Engine, word: Word, *, nights: Path, today: date) -> Proposal | DecisionRefused:
    """Carry a proposal out on the open day; said again by the same person, the proposal as it stands.

    `nights` is the folder of all nights' folders: a payment's message goes to where the open day's messages go.
    Raises DayOrderError where no day is open, and StepRefused; then nothing is written.
    """
    with writing(engine) as conn:
        found = proposal_of(conn, word.number)
        refused = refusal_of_word(found, word, State.APPROVED, Room.BANK)
        if refused is not None:
            return refused
        assert found is not None
        if found.state is State.PROPOSED:
            business_date = current_day(conn)
            facts = facts_of(conn, found.asked, today)
            void = _why_void(found, facts)
            if void is not None:
                _keep_word(conn, word, State.VOID, void)
                keep_work(conn, business_date, at=word.at, today=today)
                remedy = "nothing was done; see what is open: `onecard bank list`"
                return DecisionRefused(
                    DecisionRefusal.VOID, f"proposal {word.number} is void: {void}", remedy
                )
            made = _carry_out(conn, found, facts, business_date, word.at)
            _keep_word(conn, word, State.APPROVED, "", business_date, made)
            keep_work(conn, business_date, at=word.at, today=today)
        done = _known(conn, word.number)
        message = _message(conn, done) if done.made else None
    if message is not None and done.business_date is not None:
        write_bytes(nights / done.business_date.isoformat() / "out" / "bank" / message.name, message.data)
    return done


def turn_down(conn: Connection, word: Word) -> Proposal | DecisionRefused:
    """Say no to a proposal, and why; its point stays open. Said again alike, the proposal as it stands."""
    return _end(conn, word, State.TURNED_DOWN)


def withdraw(conn: Connection, word: Word) -> Proposal | DecisionRefused:
    """Take one's own proposal back while it waits. Said again, it stands."""
    return _end(conn, replace(word, why=""), State.WITHDRAWN)


def _end(conn: Connection, word: Word, state: State) -> Proposal | DecisionRefused:
    found = proposal_of(conn, word.number)
    refused = end_proposal(found, word, state, Room.BANK, partial(_keep_word, conn))
    return _known(conn, word.number) if refused is None else refused


def _known(conn: Connection, number: int) -> Proposal:
    found = proposal_of(conn, number)
    assert found is not None
    return found


def _why_void(found: Proposal, facts: Facts) -> str | None:
    """What has become of a proposal's point since, or None where all is as it was."""
    if facts.point is None or facts.point.kind is not found.kind:
        return f"{found.point} is no longer {found.kind.replace('_', ' ')}"
    if facts.point.amount_fen != found.amount_fen:
        return f"{found.point} is about another amount now"
    if found.decision is Decision.PAY_AGAIN and facts.participant is not None:
        now = facts.participant
        before = (found.account_no_before, found.bank_code_before, found.bank_name_before)
        if (now.account_no, now.bank_code, now.bank_name) != before:
            return f"the particulars of {now.id} are others now"
    point = replace(facts.point, proposal=None)  # it waits in this very proposal
    refused = refusal_to_propose(found.asked, replace(facts, point=point))
    return refused.message if refused is not None else None


def _carry_out(conn: Connection, found: Proposal, facts: Facts, business_date: date, at: datetime) -> str:
    """Do what was proposed; the instruction that it made, or nothing."""
    match found.decision:
        case Decision.PAY_AGAIN:
            return _pay_again(conn, found, facts, business_date, at)
        case Decision.REJECT:
            assert facts.instruction is not None
            reason = f"decided in proposal {found.number}: {found.reason}"
            set_state(conn, found.point, Paid.REJECTED, business_date, reason, facts.instruction.paid_fen)
        case Decision.SETTLE:
            _settle(conn, found, facts, business_date, at)
        case Decision.BOOK:
            assert facts.line is not None
            _move(conn, found, facts.line, found.account, facts.line.open_fen, business_date, at)
        case Decision.OFFSET:
            assert facts.line is not None and facts.other is not None
            for line in (facts.line, facts.other):
                _close(conn, line, line.open_fen)
        case Decision.EXPLAIN:
            number = int(found.point[1:])
            if found.point.startswith("F"):
                conn.execute(update(bank_file).where(bank_file.c.number == number).values(state="explained"))
            else:
                gap = update(bank_statement).where(bank_statement.c.number == number)
                conn.execute(gap.values(gap_explained=True))
    return ""


def _settle(conn: Connection, found: Proposal, facts: Facts, business_date: date, at: datetime) -> None:
    """Let a line pay or return an instruction as far as both go; what is over stays in suspense."""
    line, one = facts.line, facts.instruction
    assert line is not None and one is not None
    out = line.direction is Direction.OUT
    settled_fen = min(line.open_fen, one.due_fen if out else one.paid_fen)
    _move(conn, found, line, f"payable:{one.participant}", settled_fen, business_date, at)
    named = update(bank_line).where(
        bank_line.c.statement == line.statement, bank_line.c.position == line.position
    )
    conn.execute(named.values(instruction=one.end_to_end_id))
    paid_fen = one.paid_fen + (settled_fen if out else -settled_fen)
    reason = f"{line.id} as decided in proposal {found.number}: {found.reason}"
    set_state(conn, one.end_to_end_id, Paid.PAID if out else Paid.RETURNED, business_date, reason, paid_fen)


def _move(
    conn: Connection,
    found: Proposal,
    line: KeptLine,
    to: str,
    amount_fen: int,
    business_date: date,
    at: datetime,
) -> None:
    """Take money of a line out of suspense: what went out is to be `to`'s debit, what came in its credit."""
    debit, credit = (to, SUSPENSE) if line.direction is Direction.OUT else (SUSPENSE, to)
    open_accounts(conn, [account(to)], at=at)
    entry = Entry(
        reference=f"bank-decision:{found.number}",
        kind=RESOLUTION,
        business_date=business_date,
        event_at=at,
        lines=(Line(debit, credit, amount_fen, line.id),),
        narrative=f"{found.decision} {line.id}, as decided in proposal {found.number}",
    )
    post_or_refuse(conn, [entry], at=at)
    _close(conn, line, amount_fen)


def _close(conn: Connection, line: KeptLine, amount_fen: int) -> None:
    columns = bank_line.c
    place = (columns.statement == line.statement, columns.position == line.position)
    conn.execute(update(bank_line).where(*place).values(open_fen=columns.open_fen - amount_fen))


def _pay_again(conn: Connection, found: Proposal, facts: Facts, business_date: date, at: datetime) -> str:
    one, participant = facts.instruction, facts.participant
    assert one is not None and participant is not None
    creditor = corrected(participant, found)
    if creditor != participant:
        correct_account(conn, creditor)
    agreement = agreements_on(conn, one.business_date).get(one.participant)
    try:
        value_date = load_calendar(conn).value_date(
            business_date, agreement.cycle.working_days if agreement else 0
        )
    except YearUnknown as unknown:
        raise StepRefused("bank", unknown.reason, unknown.remedy) from unknown
    attempts = instructions_where(
        conn,
        instruction_table.c.business_date == one.business_date,
        instruction_table.c.participant == one.participant,
    )
    made = Instruction(
        end_to_end_id=end_to_end_id(one.business_date, one.participant, len(attempts) + 1),
        business_date=one.business_date,
        creditor=creditor,
        amount_fen=one.due_fen,
        value_date=value_date,
    )
    message = message_id(business_date, _next_message(conn, business_date))
    store_instructions(conn, [made], message, at=at, replaces=one.end_to_end_id)
    return made.end_to_end_id


def _next_message(conn: Connection, business_date: date) -> int:
    """The number of the open day's next message; the first is its night's."""
    stem = message_id(business_date, 1)[:-2]
    columns = instruction_table.c
    sent = conn.scalars(select(columns.message_id).where(columns.message_id.like(f"{stem}%")).distinct())
    return max([1, *(int(name.removeprefix(stem)) for name in sent)]) + 1


def _message(conn: Connection, done: Proposal) -> BankFile:
    """The message that a payment leaves in again. Raises StepRefused where it cannot be made."""
    (one,) = instructions_where(conn, instruction_table.c.end_to_end_id == done.made)
    participants = participants_of(conn, [SCHEME, one.participant])
    assert done.business_date is not None and done.decided_at is not None
    creditor = corrected(participants[one.participant], done)
    stem = message_id(done.business_date, 1)[:-2]
    try:
        return credit_transfer(
            [Instruction(one.end_to_end_id, one.business_date, creditor, one.amount_fen, one.value_date)],
            debtor=participants[SCHEME],
            business_date=done.business_date,
            made_at=done.decided_at,
            number=int(one.message_id.removeprefix(stem)),
        )
    except BankFileInvalid as invalid:
        raise StepRefused(
            "bank", f"the bank file is not valid: {invalid}", "correct and approve again"
        ) from invalid


def _keep_word(
    conn: Connection, word: Word, state: State, why: str, business_date: date | None = None, made: str = ""
) -> None:
    columns = bank_proposal.c
    waiting = update(bank_proposal).where(columns.number == word.number, columns.state == State.PROPOSED)
    conn.execute(
        waiting.values(
            state=state, decided_by=word.by, decided_at=word.at, decided_why=why[:MAX_WHY],
            business_date=business_date, made=made,
        )
    )  # fmt: skip
    keep_waiting(conn, Room.BANK, at=word.at)
