"""A participant's bank account changed by two people: whoever gives the new one, and another who has asked there.

Payments that are instructed keep the account they were instructed to. What stood before stays in the change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Row, func, insert, select, update

from settlement.participants import Participant, participants_of
from settlement.tables import account_change
from settlement.tables import participant as participant_table

WHY_CHARACTERS = 500


class ChangeState(StrEnum):
    """Where a change stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    TURNED_DOWN = "turned_down"


class ChangeRefusal(StrEnum):
    """Why a change is not made, in order of precedence."""

    PARTICIPANT_UNKNOWN = "participant_unknown"
    NOT_POSSIBLE = "not_possible"
    NOTHING_CHANGES = "nothing_changes"
    WAITS_ALREADY = "waits_already"
    CHANGE_UNKNOWN = "change_unknown"
    SAME_PERSON = "same_person"
    ALREADY_DECIDED = "already_decided"


@dataclass(frozen=True, slots=True)
class ChangeRefused:
    """A change that is not made as asked, and what to do."""

    refusal: ChangeRefusal
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class BankAccount:
    """Where a participant is paid; `bank_code` is the bank's CNAPS number of 12 digits."""

    account_no: str
    bank_code: str
    bank_name: str


@dataclass(frozen=True, slots=True)
class AccountChange:
    """A participant's account as it was and is to be, who proposed it why, and who decided."""

    number: int
    participant: str
    was: BankAccount
    to: BankAccount
    state: ChangeState
    proposed_by: str
    why: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None


def propose_account(
    conn: Connection, participant: str, to: BankAccount, *, by: str, why: str, at: datetime
) -> AccountChange | ChangeRefused:
    """Propose to pay a participant on another account from its approval on."""
    known = participants_of(conn, [participant]).get(participant)
    if known is None:
        return ChangeRefused(
            ChangeRefusal.PARTICIPANT_UNKNOWN,
            f"{participant!r} is no participant",
            "`onecard city show participants` lists them",
        )
    if not 0 < len(why.strip()) <= WHY_CHARACTERS:
        message = f"the reason {why!r} says nothing, or too much"
        return ChangeRefused(ChangeRefusal.NOT_POSSIBLE, message, f"give 1 to {WHY_CHARACTERS} characters")
    try:
        _with(known, to)
    except ValueError as error:
        what, _, remedy = str(error).partition("; ")
        return ChangeRefused(ChangeRefusal.NOT_POSSIBLE, what, remedy)
    was = _account_of(known)
    if was == to:
        message = f"{participant} is paid on that account already"
        return ChangeRefused(ChangeRefusal.NOTHING_CHANGES, message, "there is nothing to do")
    for waiting in account_changes(conn, participant):
        if waiting.state is ChangeState.PROPOSED:
            return ChangeRefused(
                ChangeRefusal.WAITS_ALREADY,
                f"change {waiting.number} of {participant} waits for a second person",
                "have it approved or turned down first",
            )
    number = conn.execute(select(func.coalesce(func.max(account_change.c.number), 0) + 1)).scalar_one()
    row = {
        "number": number,
        "participant": participant,
        **{f"was_{name}": getattr(was, name) for name in BankAccount.__slots__},
        **{f"to_{name}": getattr(to, name) for name in BankAccount.__slots__},
        "state": ChangeState.PROPOSED.value,
        "proposed_by": by,
        "why": why.strip(),
        "proposed_at": at,
    }
    conn.execute(insert(account_change), row)
    return _change(conn, number)


def decide_account(
    conn: Connection, number: int, *, approved: bool, by: str, at: datetime
) -> AccountChange | ChangeRefused:
    """Put a proposed account in force, or turn it down; the same word of the same person again changes nothing."""
    row = conn.execute(select(account_change).where(account_change.c.number == number)).one_or_none()
    if row is None:
        return ChangeRefused(
            ChangeRefusal.CHANGE_UNKNOWN,
            f"there is no change {number} of an account",
            "`onecard city accounts` lists them",
        )
    change, word = _read(row), ChangeState.APPROVED if approved else ChangeState.TURNED_DOWN
    if change.state is word and change.decided_by == by:
        return change
    if approved and change.proposed_by == by:
        message = f"{by} proposed change {number} and cannot approve it too"
        return ChangeRefused(ChangeRefusal.SAME_PERSON, message, "have a second person ask there and approve")
    if change.state is not ChangeState.PROPOSED:
        said = change.state.value.replace("_", " ")
        message = f"change {number} was {said} by {change.decided_by}"
        return ChangeRefused(ChangeRefusal.ALREADY_DECIDED, message, "propose the account that is right now")
    decided = {"state": word.value, "decided_by": by, "decided_at": at}
    conn.execute(update(account_change).where(account_change.c.number == number).values(decided))
    if approved:
        new = {name: getattr(change.to, name) for name in BankAccount.__slots__}
        mine = participant_table.c.id == change.participant
        conn.execute(update(participant_table).where(mine).values(new))
    return _change(conn, number)


def account_changes(conn: Connection, participant: str | None = None) -> Sequence[AccountChange]:
    """All changes there ever were, or those of one participant, in their order."""
    query = select(account_change).order_by(account_change.c.number)
    if participant is not None:
        query = query.where(account_change.c.participant == participant)
    return [_read(row) for row in conn.execute(query)]


def _change(conn: Connection, number: int) -> AccountChange:
    return _read(conn.execute(select(account_change).where(account_change.c.number == number)).one())


def _read(row: Row[tuple[object, ...]]) -> AccountChange:
    return AccountChange(
        row.number,
        row.participant,
        BankAccount(row.was_account_no, row.was_bank_code, row.was_bank_name),
        BankAccount(row.to_account_no, row.to_bank_code, row.to_bank_name),
        ChangeState(row.state),
        row.proposed_by,
        row.why,
        row.proposed_at,
        row.decided_by,
        row.decided_at,
    )


def _account_of(participant: Participant) -> BankAccount:
    return BankAccount(participant.account_no, participant.bank_code, participant.bank_name)


def _with(participant: Participant, to: BankAccount) -> Participant:
    """The participant with another account. Raises ValueError for one that cannot be."""
    return replace(participant, account_no=to.account_no, bank_code=to.bank_code, bank_name=to.bank_name)
