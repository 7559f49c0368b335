"""A cashier at a counter's terminal, a program of its own: `python -m city.till --home FOLDER --gateway PORT`.

`orders.json` in the folder says who comes to the counter; the terminal keeps its journal there, the cashier a
diary. Killed and started again, it goes on with the next customer, as a shop does after a power cut.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from city.diary import Diary, pause
from terminals.pos import Pos, PosOutcome, Result
from terminals.pos_journal import Kind, PosJournal, State
from terminals.pos_line import TcpLine
from terminals.pos_messages import PosIdentity
from terminals.pos_pinpad import PinPad

JOURNAL, DIARY, ORDERS = "journal.db", "diary.jsonl", "orders.json"
ATTEMPTS = 3
"""How often a customer who was not served tries again."""
MOST_ROUNDS = 400
NOT_SERVED = (Result.HOST_AWAY, Result.NOT_PAID)


class Undelivered(Exception):
    """The gateway could not be told everything; the message says what waits."""


@dataclass(frozen=True, slots=True)
class Cashier:
    """Who serves: the terminal, its journal, and the diary of customers."""

    pos: Pos
    journal: PosJournal
    diary: Diary

    def open(self) -> None:
        """Begin the shift: the terminal needs a key. Raises Undelivered where the gateway gives none for long."""
        for round_no in range(MOST_ROUNDS):
            if self.pos.echo() or self.pos.sign_on():
                return
            pause(round_no)
        raise Undelivered(f"the gateway did not answer in {MOST_ROUNDS} rounds; nothing was begun")

    def serve_all(self, orders: list[dict[str, Any]]) -> None:
        """Serve every customer whom no earlier run has begun to serve."""
        begun = sum("begun" in line for line in self.diary.lines)
        for number, order in enumerate(orders[begun:], begun):
            self.diary.note(begun=number)
            outcome = self._serve(order)
            if outcome is not None:
                ticket = None if outcome.ticket is None else outcome.ticket.number
                self.diary.note(order=number, result=outcome.result, ticket=ticket, code=outcome.code)

    def deliver_all(self) -> None:
        """Tell the gateway everything that waits. Raises Undelivered where that does not come to an end."""
        for round_no in range(MOST_ROUNDS):
            if not self.pos.deliver():
                return
            pause(round_no)
        waiting = ", ".join(f"ticket {one.number} {one.state}" for one in self.journal.waiting())
        raise Undelivered(f"after {MOST_ROUNDS} rounds these wait still: {waiting}")

    def _serve(self, order: dict[str, Any]) -> PosOutcome | None:
        """Do what a customer wants, trying again where he was not served; None where there is nothing to refund."""
        outcome: PosOutcome | None = None
        for _ in range(ATTEMPTS):
            outcome = self._once(order)
            if outcome is None or outcome.result not in NOT_SERVED:
                break
        return outcome

    def _once(self, order: dict[str, Any]) -> PosOutcome | None:
        at, card_no, amount_fen = datetime.now(UTC), order["card_no"], order["amount_fen"]
        match order["kind"]:
            case "purchase":
                return self.pos.purchase(card_no, amount_fen, at=at)
            case "stand_in":
                return self.pos.stand_in(card_no, amount_fen, at=at)
            case "balance":
                return self.pos.balance(card_no, at=at)
            case "refund":
                bought = [one for one in self.journal.tickets(State.APPROVED) if one.kind is not Kind.REFUND]
                return self.pos.refund(bought[-1], amount_fen, at=at) if bought else None
            case other:
                raise ValueError(
                    f"{other!r} is nothing that a till does; give purchase, stand_in, balance or refund"
                )


def work(
    home: Annotated[Path, typer.Option(help="folder of terminal.json, orders.json, journal and diary")],
    gateway: Annotated[int, typer.Option(help="port of the gateway on the loopback")],
    timeout_s: Annotated[float, typer.Option(help="how long the gateway may take")] = 30.0,
) -> None:
    """Serve the customers of `orders.json`, then tell the gateway everything that waits, and end."""
    kept = json.loads((home / "terminal.json").read_text(encoding="utf-8"))
    identity = PosIdentity(kept["terminal"], kept["merchant"], kept["specification"])
    pinpad = PinPad(bytes.fromhex(kept["master_key"]), bytes.fromhex(kept["transport_key"]))
    orders = json.loads((home / ORDERS).read_text(encoding="utf-8"))
    with PosJournal(home / JOURNAL) as journal, Diary(home / DIARY) as diary:
        line = TcpLine("127.0.0.1", gateway, timeout_s=timeout_s)
        cashier = Cashier(Pos(identity, journal, pinpad, line), journal, diary)
        cashier.open()
        cashier.serve_all(orders)
        cashier.deliver_all()
        line.close()


if __name__ == "__main__":
    typer.run(work)
