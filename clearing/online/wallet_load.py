"""Loads from a wallet onto a chip, and the return of loads that a card never took.

`wallet:{holder}` to `load:{card}` when it is asked for, on to `purse:{card}` when the card has proved it
(`clearing.online.load.confirm_loads`), or back to whoever paid when it is known that the card did not take it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from clearing.online.load import (
    MIGRATION,
    REFERENCE_LENGTH,
    LoadAnswer,
    LoadBooked,
    LoadOrder,
    LoadRefusal,
    LoadRefused,
    authorise_loads,
    paying,
)
from clearing.online.parties import text_flaw
from clearing.online.runs import runs
from clearing.tables import chip_load
from ledger.accounts import open_accounts
from ledger.bulk import one_of
from ledger.chart import account
from ledger.entry import Entry, Line, Refused
from ledger.post import post


@dataclass(frozen=True, slots=True)
class WalletLoad:
    """`amount_fen` from a holder's wallet for a card, which may be someone else's; `reference` is its natural key.

    `event_at` and `business_date` say when it was asked: they are not part of what makes one the same.
    """

    reference: str
    holder: str
    card_no: str
    amount_fen: int
    business_date: date
    event_at: datetime


@dataclass(frozen=True, slots=True)
class LoadReturn:
    """The load `reference` goes back to who paid it, as the card is known not to have taken it.

    How that is known is for the caller to say in `why`: the card's load counter, read later, has not moved.
    Where an agent took the money, another one may give it back: `paid_by`. So may one give a replaced card's
    money into its holder's hand. MIGRATION takes any over, for the card that has replaced this one.
    """

    reference: str
    business_date: date
    event_at: datetime
    why: str = ""
    paid_by: str = ""


def order_wallet_loads(conn: Connection, loads: Sequence[WalletLoad], *, at: datetime) -> list[LoadAnswer]:
    """Take money for loads out of wallets; answers in the order given. `conn` comes from `ledger.db.writing`."""
    orders = [
        LoadOrder(
            one.card_no, one.amount_fen, "", one.reference, one.business_date, one.event_at, holder=one.holder
        )
        for one in loads
    ]
    return authorise_loads(conn, orders, at=at)


def return_loads(conn: Connection, returns: Sequence[LoadReturn], *, at: datetime) -> list[LoadAnswer]:
    """Give unproved loads back, to the wallet or the agent that paid, once; answers in the order given.

    A load returned before is answered as then, also where the card proved it since. One that the card has
    proved is refused. `conn` comes from `ledger.db.writing`.
    """
    return [
        answer
        for run in runs(returns, lambda one: (one.reference,))
        for answer in _return_run(conn, run, at=at)
    ]


def decide(asked: LoadReturn, load: Any) -> Entry | LoadAnswer:
    """Return a load with an entry that is to be posted, or answer at once; `load` is its row, or None."""
    if load is None:
        message = f"no load {asked.reference!r} was authorised; look at the reference again"
        return LoadRefused(asked.reference, LoadRefusal.LOAD_UNKNOWN, message)
    if load.returned_at is not None:
        return LoadBooked(asked.reference, first_time=False)
    if load.confirmed_at is not None:
        message = (
            f"card {load.card_no} proved load {asked.reference}; the money is on the chip, leave it there"
        )
        return LoadRefused(asked.reference, LoadRefusal.PROVED_BEFORE, message)
    taken_from = paying(load.agent, load.holder)
    takes_over = asked.paid_by == MIGRATION or (load.holder is None and asked.paid_by)
    payer = paying(asked.paid_by, None) if takes_over else taken_from
    return Entry(
        reference=f"load-returned:{asked.reference}",
        kind="load_returned",
        business_date=asked.business_date,
        event_at=asked.event_at,
        lines=(Line(f"load:{load.card_no}", payer, load.amount_fen, asked.reference),),
        narrative=asked.why,
        # Another agent's hands are another account: then it is no mirror of the order.
        reverses=f"load:{asked.reference}" if payer == taken_from else None,
    )


def _return_run(conn: Connection, returns: Sequence[LoadReturn], *, at: datetime) -> list[LoadAnswer]:
    sound = [one.reference for one in returns if not text_flaw("reference", one.reference, REFERENCE_LENGTH)]
    query = select(chip_load).where(one_of(conn, chip_load.c.reference, sound))
    held = {row.reference: row for row in conn.execute(query)}
    decisions = [decide(one, held.get(one.reference)) for one in returns]
    entries = [decision for decision in decisions if isinstance(decision, Entry)]
    agents = sorted(
        {code for entry in entries for line in entry.lines if (code := line.credit)[:6] == "agent:"}
    )
    open_accounts(conn, [account(code) for code in agents], at=at)
    posted = iter(post(conn, entries, at=at) if entries else [])
    answers: list[LoadAnswer] = []
    kept: list[dict[str, Any]] = []
    for asked, decision in zip(returns, decisions, strict=True):
        if not isinstance(decision, Entry):
            answers.append(decision)
            continue
        answer = next(posted)
        if isinstance(answer, Refused):
            answers.append(LoadRefused(asked.reference, LoadRefusal.LEDGER_REFUSES, answer.message))
            continue
        answers.append(LoadBooked(asked.reference, first_time=True))
        kept.append({"of": asked.reference, "returned_at": asked.event_at})
    if kept:
        conn.execute(update(chip_load).where(chip_load.c.reference == bindparam("of")), kept)
    return answers
