"""A bus depot and its load counter, a program of its own: `python -m city.depot --home FOLDER …`.

`orders.json` in the folder says who comes by: to load a card from the wallet, to ride on it, or on a phone's code.
Killed and started again, it goes on with the next rider; before it ends, riders whose load or ride was cut off come
back, and the day's records go into the city's inbox.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from card.algorithms import Algorithm
from card.hsm.addresses import parse_addresses
from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from city.agent import AGENT
from city.diary import Diary, pause
from city.drawer import Drawer, KeptChip
from city.factory import Factory
from city.home import Home
from city.office import Office
from city.world import carried_tariff
from clearing.qr_intake import qr_inbox
from clearing.wire.batch import Ride
from clearing.wire.signed import Keys
from ledger.day import current_day
from ledger.db import make_engine, reading
from terminals.counter import LoadCounter
from terminals.holdings import Holdings
from terminals.loads import LoadJournal
from terminals.outbox import Outbox
from terminals.qr_outbox import QrOutbox
from terminals.qr_upload import QrUploader
from terminals.qr_validator import QrValidator
from terminals.sam import HsmSam
from terminals.trip import Identity
from terminals.upload import Uploader
from terminals.validator import RideFacts, Validator

LOADS, RIDES, CODE_RIDES, DIARY = "loads.db", "rides.db", "code-rides.db", "diary.jsonl"
HELD = "held"
COUNTER_TERMINAL = "518000000001"
MOST_ROUNDS = 200


class Unfinished(Exception):
    """A load or a ride that was cut off could not be brought to an end; the message says which."""


@dataclass(frozen=True, slots=True)
class Depot:
    """One operator's depot with a load counter at its gate."""

    operator: str
    engine: Engine
    hsm: Hsm
    home: Home
    drawer: Drawer
    factory: Factory
    loads: LoadJournal
    outbox: Outbox
    code_outbox: QrOutbox
    holdings: Holdings
    validator: Validator
    code_validator: QrValidator

    def serve(self, order: Mapping[str, Any]) -> str:
        """Serve one rider; what came of it, in a word."""
        at = datetime.fromisoformat(order["at"])
        if order["kind"] == "load":
            return self._load(order, order["amount_fen"], at)
        facts = RideFacts(Ride.BUS, order["list_fare_fen"], line=order["line"])
        if order["kind"] == "code_ride":
            return str(self.code_validator.scan(order["code"], facts, at=at).refusal or "opened")
        return str(self.validator.tap(self._card(order), facts, at=at).refusal or "opened")

    def finish(self, orders: list[dict[str, Any]]) -> None:
        """Let everybody come back whose load or ride was cut off. Raises Unfinished where that does not help."""
        for order in {order["card_no"]: order for order in orders if "card_no" in order}.values():
            self._until(partial(self._load_ended, order), f"the load of {order['card_no']}")
            self._until(partial(self._ride_ended, order), f"the ride of {order['card_no']}")

    def hand_in(self, at: datetime) -> None:
        """Put every ride into batches and drop them into the inbox."""
        with reading(self.engine) as conn:
            business_date = current_day(conn)
        uploader = Uploader(self.operator, self.outbox, self.hsm, self.home.inbox)
        code_uploader = QrUploader(self.operator, self.code_outbox, self.hsm, qr_inbox(self.home.inbox))

        def made() -> bool:
            try:
                uploader.make(business_date, at=at)
                code_uploader.make(business_date, at=at)
            except HsmError:
                return False
            return True

        self._until(made, "the batches of the day")
        uploader.send()
        code_uploader.send()

    def _load(self, order: Mapping[str, Any], amount_fen: int, at: datetime) -> str:
        return str(self._counter(order).load(self._card(order), amount_fen, at=at).refusal or "loaded")

    def _load_ended(self, order: Mapping[str, Any]) -> bool:
        """Try again to make a load that was begun; one that the office refuses stays in the journal."""
        begun = self.loads.begun(order["card_no"])
        said = "loaded" if begun is None else self._load(order, begun.amount_fen, _last(order))
        self._counter(order).confirm_outstanding()
        return said in ("loaded", "not_authorised") and not self.loads.unconfirmed()

    def _ride_ended(self, order: Mapping[str, Any]) -> bool:
        """A card with a ride cut off rides once more, which tells what became of the first."""
        if self.outbox.pending_of(order["card_no"]) is None:
            return True
        self.validator.tap(self._card(order), RideFacts(Ride.BUS, 100, line=1), at=_last(order))
        return self.outbox.pending_of(order["card_no"]) is None

    def _counter(self, order: Mapping[str, Any]) -> LoadCounter:
        with reading(self.engine) as conn:
            office = Office(self.engine, self.hsm, AGENT, current_day(conn), holder=order["holder"])
        return LoadCounter(COUNTER_TERMINAL, self.loads, office, self.holdings.hotlist)

    def _card(self, order: Mapping[str, Any]) -> KeptChip:
        chip = next(one for one in self.drawer.chips() if one.card_no == order["card_no"])
        return KeptChip(self.drawer, chip, self.factory.awaken(chip))

    @staticmethod
    def _until(ended: Callable[[], bool], what: str) -> None:
        for tries in range(MOST_ROUNDS):
            if ended():
                return
            pause(tries)
        raise Unfinished(f"{what} came to no end in {MOST_ROUNDS} tries")


def _last(order: Mapping[str, Any]) -> datetime:
    """The evening of an order's day."""
    return datetime.fromisoformat(order["at"]).replace(hour=21, minute=0)


def work(
    home: Annotated[Path, typer.Option(help="folder of orders.json, journals and outboxes")],
    city: Annotated[Path, typer.Option(help="home of the city: inbox, tariffs, chips")],
    hsm: Annotated[str, typer.Option(help="host:port of the HSM, or of several, with commas in between")],
    transport_key: Annotated[Path, typer.Option(help="file that the card factory shares with the HSM")],
    operator: Annotated[str, typer.Option(help="whose depot it is")],
    validator: Annotated[str, typer.Option(help="terminal that takes cards")],
    code_validator: Annotated[str, typer.Option(help="terminal that takes codes")],
    issuer_key: Annotated[str, typer.Option(help="version and public key of the codes' issuer, as 1:HEX")],
    office_key: Annotated[
        str, typer.Option(help="the same of who signs hotlists, tariffs and settings (Ed25519)")
    ],
    timeout_s: Annotated[float, typer.Option(help="how long the HSM may take")] = 10.0,
) -> None:
    """Serve the riders of `orders.json`, hand in the day's records, and end; the books are at ONECARD_DATABASE."""
    orders = json.loads((home / "orders.json").read_text(encoding="utf-8"))
    place = Home(city)
    tariff = carried_tariff(place)
    with ExitStack() as stack:
        engine = make_engine(os.environ["ONECARD_DATABASE"])
        stack.callback(engine.dispose)
        asked = stack.enter_context(Hsm.at(parse_addresses(hsm), timeout_s=timeout_s))
        outbox = stack.enter_context(Outbox(home / RIDES))
        code_outbox = stack.enter_context(QrOutbox(home / CODE_RIDES))
        drawer = Drawer(place.world / "cards.db")
        stack.callback(drawer.close)
        holdings = Holdings(home / HELD, _office_keys(office_key), validator)
        # By name, a change comes before the whole list it leads to, and after the one it follows.
        for file in sorted(place.published.iterdir()):
            holdings.take(file.read_bytes())
        depot = Depot(
            operator, engine, asked, place, drawer, Factory(asked, transport_key),
            stack.enter_context(LoadJournal(home / LOADS)), outbox, code_outbox, holdings,
            Validator(
                Identity(validator), HsmSam(validator, asked, outbox), outbox, tariff, holdings.hotlist,
                holdings=holdings,
            ),
            QrValidator(Identity(code_validator), code_outbox, _trusted(issuer_key), tariff),
        )  # fmt: skip
        diary = stack.enter_context(Diary(home / DIARY))
        for number in range(sum("begun" in line for line in diary.lines), len(orders)):
            diary.note(begun=number)
            diary.note(order=number, result=depot.serve(orders[number]))
        depot.finish(orders)
        depot.hand_in(_last(orders[0]).replace(hour=22))


def _trusted(key: str) -> dict[int, bytes]:
    """A public key by its version, from 1:HEX."""
    version, _, public = key.partition(":")
    return {int(version): bytes.fromhex(public)}


def _office_keys(key: str) -> Keys:
    return {(Algorithm.ED25519, version): public for version, public in _trusted(key).items()}


if __name__ == "__main__":
    typer.run(work)
