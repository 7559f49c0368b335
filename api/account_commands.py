"""`onecard city account …`: a participant's bank account, changed by two people."""

from typing import Annotated

import typer

from api.doors import Refused, books, console, now
from api.queue_commands import By, named
from city.home import CITY_ZONE
from ledger.db import reading, writing
from settlement.account_changes import (
    AccountChange,
    BankAccount,
    ChangeRefused,
    ChangeState,
    account_changes,
    decide_account,
    propose_account,
)

Number = Annotated[int, typer.Argument(help="the change's number, as `onecard city accounts` shows it")]


def change_account(
    participant: Annotated[str, typer.Argument(help="who is to be paid elsewhere, such as BUS-1")],
    *,
    account_no: Annotated[str, typer.Option(help="the bank account")],
    bank_code: Annotated[str, typer.Option(help="its bank's CNAPS code of 12 digits")],
    bank_name: Annotated[str, typer.Option(help="its bank")],
    why: Annotated[str, typer.Option(help="why, such as: letter of 3 March")],
    by: By,
) -> None:
    """Propose another bank account for a participant; a second person, who has asked there, approves it."""
    to = BankAccount(account_no, bank_code, bank_name)
    with books() as engine, writing(engine) as conn:
        _say(propose_account(conn, participant, to, by=named(by), why=why, at=now()))


def approve(number: Number, by: By) -> None:
    """Put a proposed bank account in force: payments instructed from now on go there."""
    with books() as engine, writing(engine) as conn:
        _say(decide_account(conn, number, approved=True, by=named(by), at=now()))


def turn_down(number: Number, by: By) -> None:
    """Turn a proposed bank account down; the participant is paid where it was."""
    with books() as engine, writing(engine) as conn:
        _say(decide_account(conn, number, approved=False, by=named(by), at=now()))


def accounts(
    all_of_them: Annotated[bool, typer.Option("--all", help="also those that were decided")] = False,
) -> None:
    """List the changes of bank accounts that wait for a second person."""
    with books() as engine, reading(engine) as conn:
        found = account_changes(conn)
    shown = [one for one in found if all_of_them or one.state is ChangeState.PROPOSED]
    if not shown:
        console.print("No bank account waits for a second person.")
        return
    for one in shown:
        on = f"{one.proposed_at.astimezone(CITY_ZONE):%Y-%m-%d}"
        _tell(f"{_sentence(one)}; proposed by {one.proposed_by} on {on}: {one.why}")


def _say(done: AccountChange | ChangeRefused) -> None:
    if isinstance(done, ChangeRefused):
        raise Refused(f"{done.message}; {done.remedy}")
    _tell(_sentence(done))


def _sentence(one: AccountChange) -> str:
    stands = {
        ChangeState.PROPOSED: "waits for a second person",
        ChangeState.APPROVED: f"approved by {one.decided_by}",
        ChangeState.TURNED_DOWN: f"turned down by {one.decided_by}",
    }[one.state]
    return f"Change {one.number}, {one.participant} paid on {_words(one.to)} and not on {_words(one.was)}: {stands}"


def _tell(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _words(one: BankAccount) -> str:
    return f"{one.account_no} at {one.bank_name} ({one.bank_code})"
