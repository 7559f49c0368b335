"""What everybody's own journals say has happened, with no look at our books."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from api.gateway.requests import reference as at_terminal
from city.depot import LOADS
from city.diary import read_diary
from city.sectors import AGENCY, CHANNEL, HOSPITAL, POOL, SHOP
from city.till import JOURNAL
from clearing.wire.bcd import CITY_ZONE
from terminals.pos_journal import Kind, PosJournal, State, Ticket
from tests.city.chaos_town import Town

Legs = Counter[tuple[str, str]]
"""What moved, in fen, by the account that paid and the account that was paid."""


@dataclass
class Testimony:
    """Money that stands, by the reference of what it was for; and what somebody holds to be unfinished or wrong."""

    stands: dict[str, Legs] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def say(self, reference: str, debit: str, credit: str, amount_fen: int) -> None:
        """Add that an amount went from one account to another."""
        self.stands.setdefault(reference, Counter())[debit, credit] += amount_fen

    def take_back(self, reference: str, amount_fen: int | None = None) -> None:
        """Take an amount of a payment of one leg back, or all of any payment; one that never was stays none."""
        if amount_fen is None:
            self.stands.pop(reference, None)
        elif (legs := self.stands.get(reference)) is not None:
            (leg,) = legs
            legs[leg] -= amount_fen
        else:
            self.complaints.append(f"{reference}: {amount_fen} fen refunded of what was never paid")

    def standing(self) -> dict[str, dict[tuple[str, str], int]]:
        """What stands, without what has come to nothing."""
        return {
            reference: {leg: fen for leg, fen in legs.items() if fen}
            for reference, legs in self.stands.items()
            if any(legs.values())
        }


def testimony(folder: Path, town: Town) -> Testimony:
    """Of all tills, programs and phones, and the load counter."""
    told = Testimony()
    for journal in sorted(folder.glob(f"POS*/{JOURNAL}")):
        _hear_till(told, journal, town)
    for name in ("channel", "shop", "hospital", *(f"phone-{n}" for n in range(len(town.holders)))):
        _hear_caller(told, name, read_diary(folder / name / "diary.jsonl"), town)
    _hear_counter(told, folder / "depot" / LOADS, town)
    return told


def _hear_till(told: Testimony, path: Path, town: Town) -> None:
    """A terminal: what it approved stands; a purchase that it holds for a person should not be."""
    terminal = path.parent.name
    holders = dict(zip(town.cards, town.holders, strict=True))

    def key(ticket: Ticket) -> str:
        return at_terminal(terminal, ticket.at.astimezone(CITY_ZONE).date(), ticket.stan)

    with PosJournal(path) as journal:
        tickets = {ticket.number: ticket for ticket in journal.tickets()}
    for ticket in tickets.values():
        if ticket.state in (State.ASKED, State.REVERSING, State.ADVISING):
            told.complaints.append(f"{terminal}: ticket {ticket.number} still waits, it is {ticket.state}")
        if ticket.state is State.HELD and ticket.kind is Kind.PURCHASE:
            told.complaints.append(
                f"{terminal}: the reversal of ticket {ticket.number} was refused with {ticket.code}"
            )
        if ticket.state is not State.APPROVED:
            continue
        if ticket.kind is Kind.REFUND:
            told.take_back(key(tickets[ticket.original or 0]), ticket.amount_fen)
        else:
            told.say(key(ticket), f"wallet:{holders[ticket.card_no]}", f"clearing:{SHOP}", ticket.amount_fen)
    for line in read_diary(path.with_name("diary.jsonl")):
        if (
            line.get("result") == "approved"
            and line["ticket"]
            and tickets[line["ticket"]].state is not State.APPROVED
        ):
            told.complaints.append(
                f"{terminal}: a customer was told that ticket {line['ticket']} is approved"
            )


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question that a program asked, and the answer that it heard."""

    path: str
    asked: Mapping[str, Any]
    status: int
    answer: Mapping[str, Any]
    holder: str

    def part(self, place: int) -> str:
        """A part of the path, counted as in `/v1/payments/P-1/reversal`: 0 is empty, 1 is v1."""
        return self.path.split("/")[place]


def _hear_caller(told: Testimony, name: str, diary: list[dict[str, Any]], town: Town) -> None:
    """A program or a phone, question by question in the order of the answers."""
    holder = town.holders[int(name.rpartition("-")[2])] if name.startswith("phone") else ""
    asked = {line["asked"]: line for line in diary if "asked" in line}
    answered = [line for line in diary if "answered" in line]
    if unanswered := sorted(asked.keys() - {line["answered"] for line in answered}):
        told.complaints.append(f"{name}: never answered: {', '.join(unanswered)}")
    states: dict[str, Exchange] = {}
    for line in answered:
        question = asked[line["answered"]]
        one = Exchange(question["path"], question["body"] or {}, line["status"], line["body"], holder)
        if one.status >= 400:
            continue
        step = line["answered"].split("-")[1]
        if step in HEARD:
            HEARD[step](told, one)
        if "bill_no" in one.answer and "state" in one.answer:
            states[one.answer["reference"] if holder else one.answer["bill_no"]] = one
    for one in states.values():
        _hear_bill(told, one)


def _hear_top_up(told: Testimony, one: Exchange) -> None:
    reference = f"http:{CHANNEL}:{one.part(3)}"
    told.say(reference, f"agent:{CHANNEL}", f"wallet:{one.answer['holder']}", one.asked["amount_fen"])


def _hear_purchase(told: Testimony, one: Exchange) -> None:
    reference = f"http:{SHOP}:{one.asked['reference']}"
    told.say(reference, f"wallet:{one.asked['holder']}", f"clearing:{SHOP}", one.asked["amount_fen"])


def _hear_reversal(told: Testimony, one: Exchange) -> None:
    told.take_back(f"http:{SHOP}:{one.part(3)}")


def _hear_refund(told: Testimony, one: Exchange) -> None:
    told.take_back(f"http:{SHOP}:{one.part(3)}", one.asked["amount_fen"])


def _hear_contribution(told: Testimony, one: Exchange) -> None:
    reference = f"agency:{AGENCY}:{one.part(5)}:1"
    told.say(reference, f"wallet:{one.holder}", f"clearing:{AGENCY}", one.answer["paid_fen"])


def _hear_scan(told: Testimony, one: Exchange) -> None:
    reference = f"qr-scan:{one.holder}:{one.asked['reference']}"
    told.say(reference, f"wallet:{one.holder}", f"clearing:{SHOP}", one.asked["amount_fen"])


HEARD: Final[Mapping[str, Callable[[Testimony, Exchange], None]]] = {
    "confirm": _hear_top_up,
    "purchase": _hear_purchase,
    "reversal": _hear_reversal,
    "refund": _hear_refund,
    "contribution": _hear_contribution,
    "scan": _hear_scan,
}
"""What an answer to each question means, by the last word of its name; bills are heard by their last state."""


def _hear_bill(told: Testimony, one: Exchange) -> None:
    """A bill as it was shown last."""
    bill = one.answer
    if one.holder:
        reference = f"bill:me:{one.holder}:{bill['reference']}"
        if bill["state"] == "written_off":
            told.say(reference, f"wallet:{one.holder}", f"clearing:{bill['biller']}", bill["amount_fen"])
        elif bill["state"] not in ("reversed", "returned"):
            told.complaints.append(f"{reference} is {bill['state']} to the last")
        return
    reference, split, credit = f"hospital:{HOSPITAL}:{bill['bill_no']}", bill["split"], f"clearing:{HOSPITAL}"
    if bill["state"] == "paid":
        told.say(reference, f"fund:{POOL}", credit, split["fund_fen"])
        told.say(reference, f"medical:{bill['holder']}", credit, split["account_fen"])
        told.say(reference, f"wallet:{bill['holder']}", credit, split["patient_fen"])
    elif bill["state"] not in ("cancelled", "refused"):
        told.complaints.append(f"{reference} is {bill['state']} to the last")


def _hear_counter(told: Testimony, path: Path, town: Town) -> None:
    """The load counter: from the wallet through `load:` to the purse. One begun and refused has moved nothing."""
    holders = dict(zip(town.cards, town.holders, strict=True))
    for reference, card_no, state, request in rows(
        path, "SELECT reference, card_no, state, request FROM load"
    ):
        if state == "confirmed":
            amount_fen = int(json.loads(request)["amount_fen"])
            told.say(f"load:{reference}", f"wallet:{holders[card_no]}", f"purse:{card_no}", amount_fen)
        elif state != "begun":
            told.complaints.append(f"load {reference} is {state}")


def insurer_says(folder: Path) -> dict[str, int]:
    """What the insurer pays, by claim."""
    query = "SELECT reference, fund_fen FROM claim WHERE standing = 'approved'"
    return dict(rows(folder / "insurer" / "insurer.db", query))


def biller_says(folder: Path, biller: str) -> dict[str, int]:
    """What a biller has written off, by payment."""
    query = "SELECT reference, amount_fen FROM write_off WHERE state = 'written_off'"
    return dict(rows(folder / biller / "biller.db", query))


def rows(path: Path, query: str) -> Iterator[Any]:
    """What another program's file holds; nothing where it never got round to making one."""
    if not path.exists():
        return iter(())
    with closing(sqlite3.connect(path)) as db:
        return iter(db.execute(query).fetchall())
