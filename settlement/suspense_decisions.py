"""What is proposed for taps in suspense, and the words that end a proposal without doing it.

Until it is decided, whoever proposed it may withdraw it; `settlement.suspense_approval` carries it out.
"""

from dataclasses import replace
from datetime import date
from functools import partial

from sqlalchemy import Connection, update

from clearing import proposals
from clearing.proposals import (
    Asked,
    Proposal,
    ProposalRefused,
    State,
    proposal_of,
)
from clearing.suspense_tables import suspense_proposal
from settlement.two_people import (
    MAX_WHY,
    DecisionRefused,
    Word,
    end_proposal,
)
from settlement.waiting_proposals import Room, keep_waiting


def propose(conn: Connection, asked: Asked) -> Proposal | ProposalRefused:
    """Write a proposal down (`clearing.proposals.propose`), and have the work queue say that it waits."""
    made = proposals.propose(conn, asked)
    if isinstance(made, Proposal):
        keep_waiting(conn, Room.SUSPENSE, at=asked.at)
    return made


def turn_down(conn: Connection, word: Word) -> Proposal | DecisionRefused:
    """Say no to a proposal, and why; its taps stay in suspense. Said again alike, the proposal as it stands."""
    return _end(conn, word, State.TURNED_DOWN)


def withdraw(conn: Connection, word: Word) -> Proposal | DecisionRefused:
    """Take one's own proposal back while it waits; its taps may be proposed again. Said again, it stands."""
    return _end(conn, replace(word, why=""), State.WITHDRAWN)


def _end(conn: Connection, word: Word, state: State) -> Proposal | DecisionRefused:
    found = proposal_of(conn, word.number)
    refused = end_proposal(found, word, state, Room.SUSPENSE, partial(keep_word, conn))
    return known(conn, word.number) if refused is None else refused


def keep_word(
    conn: Connection, word: Word, state: State, why: str, business_date: date | None = None
) -> None:
    """Write down what was said to a proposal that waits."""
    columns = suspense_proposal.c
    conn.execute(
        update(suspense_proposal)
        .where(columns.number == word.number, columns.state == State.PROPOSED.value)
        .values(
            state=state.value, decided_by=word.by, decided_at=word.at, decided_why=why[:MAX_WHY],
            business_date=business_date,
        )
    )  # fmt: skip
    keep_waiting(conn, Room.SUSPENSE, at=word.at)


def known(conn: Connection, number: int) -> Proposal:
    """A proposal that is there, as it stands."""
    found = proposal_of(conn, number)
    assert found is not None
    return found
