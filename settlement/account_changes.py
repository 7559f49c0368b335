"""A participant's bank account changed by two people: whoever gives the new one, and another who has asked there.

Payments that are instructed keep the account they were instructed to. What stood before stays in the change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, update

from clearing.proposals import State
from settlement.participants import Participant, correct_account, participants_of
from settlement.tables import account_change
from settlement.two_people import (
    MAX_WHY,
    DecisionRefusal,
    DecisionRefused,
    Word,
    end_proposal,
    refusal_of_word,
)
from settlement.waiting_proposals import Room, keep_waiting


class ChangeRefusal(StrEnum):
    """Why a change is not proposed, in order of precedence."""

    PARTICIPANT_UNKNOWN = "participant_unknown"
    REASON_UNFIT = "reason_unfit"
    ACCOUNT_UNFIT = "account_unfit"
    NOTHING_CHANGES = "nothing_changes"
    ALREADY_PROPOSED = "already_proposed"


@dataclass(frozen=True, slots=True)
class ChangeRefused:
    """A change that is not proposed, and what to do."""

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
    """A participant's account as it was and is to be, who proposed it why, and who decided, why not."""

    number: int
    participant: str
    was: BankAccount
    to: BankAccount
    state: State
    proposed_by: str
    reason: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decided_why: str | None


def propose_account(
    conn: Connection, participant: str, to: BankAccount, *, by: str, reason: str, at: datetime
) -> AccountChange | ChangeRefused:
    """Propose to pay a participant on another account from its approval on."""
    known = participants_of(conn, [participant]).get(participant)
    if known is None:
        message = f"{participant!r} is no participant"
        return ChangeRefused(
            ChangeRefusal.PARTICIPANT_UNKNOWN, message, "`onecard city show participants` lists them"
        )
    refused = _unfit(known, to, reason)
    if refused is not None:
        return refused
    for waiting in account_changes(conn, participant):
        if waiting.state is State.PROPOSED:
            message = f"change {waiting.number} of {participant} waits for a second person"
            return ChangeRefused(
                ChangeRefusal.ALREADY_PROPOSED, message, "have it decided or withdrawn first"
            )
    number = conn.execute(select(func.coalesce(func.max(account_change.c.number), 0) + 1)).scalar_one()
    row = {
        "number": number,
        "participant": participant,
        **{f"was_{name}": getattr(known, name) for name in _PARTS},
        **{f"to_{name}": getattr(to, name) for name in _PARTS},
        "state": State.PROPOSED.value,
        "proposed_by": by,
        "reason": reason.strip(),
        "proposed_at": at,
    }
    conn.execute(insert(account_change), row)
    keep_waiting(conn, Room.CITY, at=at)
    return _known(conn, number)


def approve_account(conn: Connection, word: Word) -> AccountChange | DecisionRefused:
    """Put a proposed account in force; said again by the same person, the change as it stands.

    It is void where the participant's account has become another since.
    """
    found = change_of(conn, word.number)
    refused = refusal_of_word(found, word, State.APPROVED, Room.CITY)
    if refused is not None or found is None or found.state is not State.PROPOSED:
        return refused or _known(conn, word.number)
    participant = participants_of(conn)[found.participant]
    if _account_of(participant) != found.was:
        void = f"the account of {found.participant} is another since"
        _keep_word(conn, word, State.VOID, void)
        message = f"change {word.number} is void: {void}"
        return DecisionRefused(DecisionRefusal.VOID, message, "propose the one that is right now")
    correct_account(conn, _with(participant, found.to))
    _keep_word(conn, word, State.APPROVED, "")
    return _known(conn, word.number)


def end_change(conn: Connection, word: Word, state: State) -> AccountChange | DecisionRefused:
    """Turn a change down, or take one's own back; the participant is paid where it was."""
    found = change_of(conn, word.number)
    refused = end_proposal(found, word, state, Room.CITY, partial(_keep_word, conn))
    return _known(conn, word.number) if refused is None else refused


def account_changes(conn: Connection, participant: str | None = None) -> Sequence[AccountChange]:
    """All changes there ever were, or those of one participant, in their order."""
    query = select(account_change).order_by(account_change.c.number)
    if participant is not None:
        query = query.where(account_change.c.participant == participant)
    return [_read(row) for row in conn.execute(query)]


def change_of(conn: Connection, number: int) -> AccountChange | None:
    """The change of a number."""
    row = conn.execute(select(account_change).where(account_change.c.number == number)).one_or_none()
    return None if row is None else _read(row)


_PARTS: Final = tuple(field.name for field in fields(BankAccount))


def _unfit(known: Participant, to: BankAccount, reason: str) -> ChangeRefused | None:
    if not 0 < len(reason.strip()) <= MAX_WHY:
        message = f"a reason of {len(reason.strip())} characters does not explain"
        return ChangeRefused(ChangeRefusal.REASON_UNFIT, message, f"give 1 to {MAX_WHY}")
    try:
        _with(known, to)
    except ValueError as error:
        what, _, remedy = str(error).partition("; ")
        return ChangeRefused(ChangeRefusal.ACCOUNT_UNFIT, what, remedy)
    if _account_of(known) == to:
        message = f"{known.id} is paid on that account already"
        return ChangeRefused(ChangeRefusal.NOTHING_CHANGES, message, "there is nothing to do")
    return None


def _known(conn: Connection, number: int) -> AccountChange:
    found = change_of(conn, number)
    assert found is not None
    return found


def _keep_word(conn: Connection, word: Word, state: State, why: str) -> None:
    decided = {"state": state.value, "decided_by": word.by, "decided_at": word.at, "decided_why": why}
    waiting = (account_change.c.number == word.number) & (account_change.c.state == State.PROPOSED.value)
    conn.execute(update(account_change).where(waiting).values(decided))
    keep_waiting(conn, Room.CITY, at=word.at)


def _read(row: Row[Any]) -> AccountChange:
    was, to = (BankAccount(*(getattr(row, f"{which}_{name}") for name in _PARTS)) for which in ("was", "to"))
    return AccountChange(
        row.number, row.participant, was, to, State(row.state), row.proposed_by, row.reason, row.proposed_at,
        row.decided_by, row.decided_at, row.decided_why,
    )  # fmt: skip


def _account_of(participant: Participant) -> BankAccount:
    return BankAccount(*(getattr(participant, name) for name in _PARTS))


def _with(participant: Participant, to: BankAccount) -> Participant:
    """The participant with another account. Raises ValueError for one that cannot be."""
    return replace(participant, account_no=to.account_no, bank_code=to.bank_code, bank_name=to.bank_name)
