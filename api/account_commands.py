"""`onecard city account …`: a participant's bank account, changed by two people."""

from functools import partial
from typing import Annotated

import typer
from sqlalchemy import Engine

from api.doors import Refused, books, console, now
from api.queue_commands import By, named
from api.two_people_commands import Deciding, deciding_commands
from city.home import CITY_ZONE
from clearing.proposals import State
from ledger.db import reading, writing
from settlement.account_changes import (
    AccountChange,
    BankAccount,
    ChangeRefused,
    account_changes,
    approve_account,
    end_change,
    propose_account,
)
from settlement.two_people import DecisionRefused, Word


def change_account(
    participant: Annotated[str, typer.Argument(help="who is to be paid elsewhere, such as BUS-1")],
    *,
    account_no: Annotated[str, typer.Option(help="the bank account")],
    bank_code: Annotated[str, typer.Option(help="its bank's CNAPS code of 12 digits")],
    bank_name: Annotated[str, typer.Option(help="its bank")],
    reason: Annotated[str, typer.Option(help="why, such as: letter of 3 March; kept for good")],
    by: By,
) -> None:
    """Propose another bank account for a participant; a second person, who has asked there, approves it."""
    to = BankAccount(account_no, bank_code, bank_name)
    with books() as engine, writing(engine) as conn:
        made = propose_account(conn, participant, to, by=named(by), reason=reason, at=now())
    if isinstance(made, ChangeRefused):
        raise Refused(f"{made.message}; {made.remedy}")
    _tell(_sentence(made))


def list_proposals(
    done_too: Annotated[bool, typer.Option("--done-too", help="also what was decided")] = False,
) -> None:
    """List the changes of bank accounts that wait for a second person."""
    with books() as engine, reading(engine) as conn:
        found = account_changes(conn)
    shown = [one for one in found if done_too or one.state is State.PROPOSED]
    if not shown:
        console.print("No bank account waits for a second person.")
        return
    for one in shown:
        on = f"{one.proposed_at.astimezone(CITY_ZONE):%Y-%m-%d}"
        _tell(f"{_sentence(one)}; proposed by {one.proposed_by} on {on}: {one.reason}")


def _approve(engine: Engine, word: Word) -> AccountChange | DecisionRefused:
    with writing(engine) as conn:
        return approve_account(conn, word)


def _sentence(one: AccountChange) -> str:
    stands = "waits for a second person"
    if one.state is not State.PROPOSED:
        why = f": {one.decided_why}" if one.decided_why else ""
        stands = f"{one.state.replace('_', ' ')} by {one.decided_by}{why}"
    return f"Change {one.number}, {one.participant} paid on {_words(one.to)} and not on {_words(one.was)}: {stands}"


def _tell(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def _words(one: BankAccount) -> str:
    return f"{one.account_no} at {one.bank_name} ({one.bank_code})"


approve, refuse, withdraw = deciding_commands(
    Deciding(
        approve=_approve,
        turn_down=partial(end_change, state=State.TURNED_DOWN),
        withdraw=partial(end_change, state=State.WITHDRAWN),
        say=lambda _engine, done: _tell(_sentence(done)),
        approved="payments instructed from now on go to the account",
        stays="the participant is paid where it was",
    )
)
