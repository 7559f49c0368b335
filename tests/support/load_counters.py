"""Counters of one city for tests: cards with their own keys, offices on real books, steps at which all stops."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from card.chip.applet import VirtualCard
from card.hsm.client import Hsm
from card.registry import CardRecord, register
from city.factory import Factory
from city.office import Office
from clearing.online.load_attempts import WaitingLoad, waiting_loads
from clearing.tables import chip_load
from ledger.accounts import open_accounts
from ledger.balances import balance, totals
from ledger.chart import account
from ledger.checks import check_books
from ledger.day import open_day
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from settlement.books import pending_loads_are_all_known
from terminals.counter import LoadCounter
from terminals.hotlist import Hotlist
from terminals.loads import LoadJournal, LoadOffice, OfficeGone
from terminals.reader import CardGone
from tests.support.clearing_day import at as moment
from tests.support.remote_offices import Offices

DAY, ISSUER = date(2026, 3, 2), "01011000"
MORNING = moment(9, day=DAY)
A, B, C = "518000000001", "518000000002", "518000000003"
"""Three counters, each with an agent of its own."""
AGENTS = tuple(f"AGENT-{terminal[-1]}" for terminal in (A, B, C))


class PowerLoss(BaseException):
    """The terminal goes dark: nothing that runs may catch it."""


@dataclass
class Interruption:
    """Stops everything at step `at` (from 0), before it is done or after. `peer` breaks with its own error."""

    at: int | None = None
    after: bool = False
    power: bool = False
    steps: list[str] = field(default_factory=list)

    def around(self, step: str, do: Callable[[], Any], gone: type[Exception] | None) -> Any:
        """Do a step, or be stopped there."""
        stopped = len(self.steps) == self.at
        self.steps.append(step)
        error = PowerLoss if self.power or gone is None else gone
        if stopped and not self.after:
            raise error("stopped")
        answer = do()
        if stopped:
            raise error("stopped")
        return answer


class Stopping:
    """A card, an office or a journal whose every call is a step."""

    def __init__(
        self, name: str, inner: Any, interruption: Interruption, gone: type[Exception] | None
    ) -> None:
        self._name, self._inner, self._interruption, self._gone = name, inner, interruption, gone

    def __getattr__(self, call: str) -> Callable[..., Any]:
        method = getattr(self._inner, call)
        step = f"{self._name}.{call}"
        return lambda *args: self._interruption.around(step, lambda: method(*args), self._gone)


@dataclass
class Town:
    """The books and the HSM, one card after another, and where its counters keep their journals."""

    engine: Engine
    hsm: Hsm
    transport_key_file: Path
    folder: Path
    cards: int = 0
    now: datetime = MORNING
    elsewhere: Offices | None = None
    """Where it is given, counters ask their offices over HTTP."""

    def new_card(self) -> VirtualCard:
        """An empty card that is registered and in use."""
        self.cards += 1
        card_no = f"0310487{self.cards:013d}"
        with writing(self.engine) as conn:
            register(conn, [CardRecord(card_no, ISSUER, 1, 1, 0, MORNING)], at=MORNING)
        return self.factory_card(card_no)

    def factory_card(self, card_no: str) -> VirtualCard:
        """An empty chip of a number."""
        factory = Factory(self.hsm, self.transport_key_file)
        return factory.awaken(factory.personalise(card_no, issuer=ISSUER, holder_class=1))

    @contextmanager
    def counter(
        self, terminal: str, stop: Interruption | None = None, *, holder: str = ""
    ) -> Iterator[LoadCounter]:
        """A counter at work, with the journal that it has kept so far; it stops where `stop` says."""
        agent = f"AGENT-{terminal[-1]}"
        office: LoadOffice = (
            Office(self.engine, self.hsm, agent, holder=holder)
            if self.elsewhere is None
            else self.elsewhere.of(agent)
        )
        with LoadJournal(self.folder / f"{terminal}.db", "off") as journal:
            if stop is None:
                yield LoadCounter(terminal, journal, office, Hotlist(0))
                return
            stopping: Any = Stopping("journal", journal, stop, None)
            asked: Any = Stopping("office", office, stop, OfficeGone)
            yield LoadCounter(terminal, stopping, asked, Hotlist(0))

    def spend(self, card_no: str, amount_fen: int) -> None:
        """A tap of the card is cleared."""
        with writing(self.engine) as conn:
            open_accounts(conn, [account("clearing:BUS-1")], at=MORNING)
            line = Line(f"purse:{card_no}", "clearing:BUS-1", amount_fen, card_no)
            (answer,) = post(conn, [Entry(f"tap:{card_no}", "clearing", DAY, MORNING, (line,))], at=MORNING)
            assert isinstance(answer, Posted)

    def later(self) -> datetime:
        """The next second."""
        self.now += timedelta(seconds=1)
        return self.now

    def do(
        self,
        terminal: str,
        card: VirtualCard,
        act: str,
        amount_fen: int = 0,
        stop: Interruption | None = None,
    ) -> str:
        """Put the card on a counter's reader and do something; what came of it."""
        card.reset()
        seen: Any = card if stop is None else Stopping("card", card, stop, CardGone)
        try:
            with self.counter(terminal, stop) as counter:
                if act == "load":
                    return str(counter.load(seen, amount_fen, at=self.later()).refusal or "done")
                if act == "look":
                    return str(counter.look(seen, at=self.later()).refusal or "done")
                first = next(iter(self.waiting(number_of(card))), None)
                if first is None:
                    return "nothing"
                do = counter.complete if act == "complete" else counter.give_back
                return str(do(seen, first.reference, at=self.later()).refusal or "done")
        except PowerLoss:
            return "dark"

    def waiting(self, card_no: str) -> list[WaitingLoad]:
        """What the list of waiting loads says of a card."""
        with reading(self.engine) as conn:
            return waiting_loads(conn, card_no)

    def fen(self, code: str) -> int:
        """What is in an account; nothing where it was never opened."""
        with reading(self.engine) as conn:
            try:
                return balance(conn, code).balance_fen
            except LookupError:
                return 0

    def check(self, card: VirtualCard) -> None:
        """Every load of the card is in one place: waiting and listed, in the purse, or back."""
        card_no, held_fen = number_of(card), card.state.purse.balance_fen
        with reading(self.engine) as conn:
            loads = conn.execute(select(chip_load).where(chip_load.c.card_no == card_no)).all()
            assert check_books(conn) == []
            assert pending_loads_are_all_known(conn, totals(conn)) == []
        assert [row for row in loads if row.confirmed_at and row.returned_at] == []
        waiting_fen = sum(row.amount_fen for row in loads if not (row.confirmed_at or row.returned_at))
        proved_fen = sum(row.amount_fen for row in loads if row.confirmed_at)
        assert self.fen(f"load:{card_no}") == waiting_fen
        assert waiting_fen == sum(one.amount_fen for one in self.waiting(card_no))
        assert self.fen(f"purse:{card_no}") == proved_fen
        assert proved_fen <= held_fen <= proved_fen + waiting_fen


def number_of(card: VirtualCard) -> str:
    """The number on the card."""
    return card.state.public[10:20].hex()


def found_town(engine: Engine, hsm: Hsm, transport_key_file: Path, folder: Path) -> Town:
    """Open the first business day."""
    with writing(engine) as conn:
        open_day(conn, DAY, at=MORNING)
    return Town(engine, hsm, transport_key_file, folder)
