"""How a counter is opened: with its journal, its office in this process or across the network, a card on its reader."""

import ssl
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from api.city_doors import city
from api.doors import Refused, now, settings
from api.settings import is_address
from card.hotlist import hotlisted
from city.card_desk import CardDesk
from city.drawer import Drawer, KeptChip
from city.factory import Factory
from city.office import Office
from city.world import City
from ledger.db import reading
from terminals.batch_numbers import BatchNumbers
from terminals.card_line import CardLine
from terminals.card_service import CardOffice, StoppedCards
from terminals.counter import LoadCounter
from terminals.hotlist import Hotlist
from terminals.loads import LoadJournal, LoadOffice
from terminals.office_line import Credentials, connected_line
from terminals.outbox import Outbox
from terminals.questions import Questions
from terminals.reader import CardGone, Transmits
from terminals.remote_office import RemoteOffice
from terminals.sam import HsmSam
from terminals.till import till
from terminals.validator import Validator


@dataclass(frozen=True, slots=True)
class Place:
    """Which counter it is, who sits there, whose money it takes, where the card is and where the office.

    An empty `office` is the books' own; else its address, and `agent` is whom the office takes the counter for.
    """

    terminal: str
    agent: str
    card: str
    reader: str
    clerk: str
    pos: str
    gateway: str
    office: str


@dataclass(frozen=True, slots=True)
class OpenCounter:
    """A counter at work; `city` is open where the office is in this process."""

    counter: LoadCounter
    office: CardOffice
    city: City | None


@contextmanager
def opened_counter(at: Place) -> Iterator[OpenCounter]:
    """The counter at work, with its own durable journal. Raises Refused."""
    folder = counters_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        opened: City | None = None
        loads: LoadOffice
        cards: CardOffice
        if at.office:
            loads = cards = stack.enter_context(_remote(at, folder))
        else:
            opened = stack.enter_context(city())
            loads = Office(opened.engine, opened.hsm, at.agent)
            cards = CardDesk(opened.engine, at.agent, now)
        journal = stack.enter_context(LoadJournal(folder / f"{at.terminal}.db"))
        counter = LoadCounter(at.terminal, journal, loads, Hotlist(0, StoppedCards(cards)))
        yield OpenCounter(counter, cards, opened)


@contextmanager
def opened_till(at: Place) -> Iterator[tuple[City, Validator, Outbox]]:
    """The counter's till by itself, and the city whose HSM plays its SAM. Raises Refused."""
    if at.office:
        raise _no_till()
    with city() as opened, till_of(opened, at.terminal) as (made, outbox):
        yield opened, made, outbox


@contextmanager
def till_of(opened: City | None, terminal: str) -> Iterator[tuple[Validator, Outbox]]:
    """A counter's till for the chip's purse, with its own durable outbox. Raises Refused where no city is open."""
    if opened is None:
        raise _no_till()
    folder = counters_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with Outbox(folder / f"{terminal}-sales.db") as outbox:
        with reading(opened.engine) as conn:
            stopped = Hotlist(0, frozenset(entry.card_no for entry in hotlisted(conn)))
        yield till(terminal, HsmSam(terminal, opened.hsm, outbox), outbox, stopped), outbox


def batch_numbers() -> BatchNumbers:
    """The numbers of sales' batches, which all tills of this home take in turn."""
    return BatchNumbers(counters_folder() / "sales-numbers.db")


def _no_till() -> Refused:
    return Refused(
        "a till needs the city's HSM as its SAM: sell without --office, where ONECARD_HSM is reached"
    )


def counters_folder() -> Path:
    """Where the counters of this home keep their journals and receipts."""
    return settings().city_home().world / "counters"


@contextmanager
def _remote(at: Place, folder: Path) -> Iterator[RemoteOffice]:
    """The office at the other end of the network."""
    chosen = settings()
    if not is_address(at.office):
        raise Refused(f"--office is {at.office!r}; give http://host:port or https://host")
    if chosen.production and urlsplit(at.office).scheme != "https":
        raise Refused(
            f"production refuses --office {at.office}: its client's secret would go in clear; give https://"
        )
    if chosen.office_client is None or chosen.office_secret is None:
        raise Refused(
            "--office needs a client: set ONECARD_OFFICE_CLIENT and ONECARD_OFFICE_SECRET; the office makes one by"
            " `onecard clients add NAME --participant AGENT --scope counter:write`"
        )
    credentials = Credentials(chosen.office_client, chosen.office_secret.get_secret_value())
    try:
        trusted = ssl.create_default_context(cafile=chosen.office_ca) if chosen.office_ca else True
    except OSError as error:
        raise Refused(f"ONECARD_OFFICE_CA {chosen.office_ca}: {error}; give a PEM file") from error
    with (
        Questions(folder / f"{at.terminal}-questions.db", lambda: uuid.uuid4().hex, now) as questions,
        connected_line(
            at.office, credentials, time.sleep, timeout=2 * chosen.peer_timeout_s, verify=trusted
        ) as line,
    ):
        yield RemoteOffice(line, questions)


@contextmanager
def card_on_reader(opened: City | None, at: Place) -> Iterator[Transmits]:
    """The card that is on the counter's reader now. Raises Refused where there is none."""
    if bool(at.card) == bool(at.reader):
        raise Refused(
            "say which card is on the reader: --card with its 20 digits, or --reader with host:port"
        )
    if at.card:
        with _kept_card(opened, at.card) as kept:
            yield kept
        return
    host, _, port = at.reader.rpartition(":")
    if not host or not port.isdecimal():
        raise Refused(f"--reader is {at.reader!r}; give host:port, such as 127.0.0.1:35963")
    try:
        line = CardLine(host, int(port))
    except CardGone as error:
        raise Refused(str(error)) from error
    with line:
        yield line


@contextmanager
def _kept_card(opened: City | None, card_no: str) -> Iterator[Transmits]:
    """A card of the simulated city, out of its drawer; where the office is elsewhere, the city beside us has it."""
    with ExitStack() as stack:
        home = stack.enter_context(city()) if opened is None else opened
        drawer = Drawer(home.home.world / "cards.db")
        stack.callback(drawer.close)
        if (chip := drawer.chip(card_no)) is None:
            raise Refused(
                f"the simulated city has no card {card_no!r}; `onecard cards personalise` makes cards of the stock"
            )
        yield KeptChip(drawer, chip, Factory(home.hsm, home.transport_key_file).awaken(chip))
