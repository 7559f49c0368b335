"""A small city with counters: citizens with cards and wallets, a shop, terminals enrolled at the gateway."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import Engine
from stdnum.cn import ric

from api.gateway.gateway import Gateway
from api.gateway.server import Bounds, running_gateway
from api.gateway.terminals import GatewayTerminal, enrol_terminal
from card.holders import Enrolled, Person, enrol_all, tie_card
from card.hsm.client import Hsm
from card.registry import CardRecord, register
from card.vault import open_vault
from ledger.accounts import open_accounts
from ledger.balances import balance
from ledger.chart import account
from ledger.day import open_day
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from terminals.pos import Pos
from terminals.pos_journal import PosJournal
from terminals.pos_line import Line as PosLine
from terminals.pos_line import TcpLine
from terminals.pos_messages import PosIdentity
from terminals.pos_pinpad import PinPad

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 2, 0, 0, tzinfo=UTC)
"""Ten o'clock in the city."""
SHOP = "SHOP-1"


def card_no(number: int) -> str:
    """The number of citizen `number`'s card."""
    return f"0310487{number:013d}"


def identity_no(number: int) -> str:
    """A number of GB 11643 that is right in every digit."""
    first = f"530102198001{10 + number % 18:02d}{number:03d}"
    return first + str(ric.calc_check_digit(first + "0"))


@dataclass
class CounterCity:
    """The books, the HSM, and how to go up to a counter; `now` may be set on."""

    engine: Engine
    hsm: Hsm
    transport_key: bytes
    holders: list[str]
    now: datetime = NOW

    def gateway(self) -> Gateway:
        """A gateway on this city's books."""
        return Gateway(self.engine, self.hsm, lambda: self.now)

    @contextmanager
    def serving(self, bounds: Bounds | None = None) -> Iterator[int]:
        """The gateway on a socket; yields its port."""
        with running_gateway(self.gateway, bounds=bounds) as port:
            yield port

    def enrol(self, terminal: str, *, specification: str = "china-pos", merchant: str = SHOP) -> PosIdentity:
        """Let a terminal in."""
        version = self.hsm.terminal_master_key(terminal).version
        with writing(self.engine) as conn:
            enrol_terminal(
                conn, GatewayTerminal(terminal, merchant, version, specification=specification), at=self.now
            )
        return PosIdentity(terminal, merchant, specification)

    def pinpad(self, identity: PosIdentity) -> PinPad:
        """The secure part of a terminal, with its master key put in."""
        return PinPad(self.hsm.terminal_master_key(identity.terminal).wrapped, self.transport_key)

    def pos(self, identity: PosIdentity, journal: PosJournal, line: PosLine) -> Pos:
        """The terminal as it is switched on."""
        return Pos(identity, journal, self.pinpad(identity), line)

    @contextmanager
    def counter(
        self, port: int, folder: Path, *, terminal: str = "POS00001", specification: str = "china-pos"
    ) -> Iterator[Pos]:
        """A terminal at work, with a journal in `folder`."""
        identity = self.enrol(terminal, specification=specification)
        line = TcpLine("127.0.0.1", port, timeout_s=10)
        with PosJournal(folder / f"{terminal}.db", sync="off") as journal:
            yield self.pos(identity, journal, line)
        line.close()

    def held_fen(self, code: str) -> int:
        """The balance of an account."""
        with reading(self.engine) as conn:
            return balance(conn, code).balance_fen

    def wallet_fen(self, number: int) -> int:
        """What is in a citizen's wallet."""
        return self.held_fen(f"wallet:{self.holders[number]}")

    @property
    def shop_fen(self) -> int:
        """What the shop is owed."""
        return self.held_fen(f"clearing:{SHOP}")


def found_city(
    engine: Engine, hsm: Hsm, transport_key_file: Path, *, citizens: int = 3, wallet_fen: int = 10_000
) -> CounterCity:
    """Make the city: each citizen has a card and `wallet_fen` in the wallet."""
    vault = open_vault(engine, hsm, random=os.urandom, at=NOW)
    with writing(engine) as conn:
        open_day(conn, DAY, at=NOW)
        codes = (f"clearing:{SHOP}", "agent:BANK-1")
        open_accounts(conn, [account(code) for code in codes], at=NOW)
        cards = [CardRecord(card_no(number), "01011000", 1, 1, 0, NOW) for number in range(citizens)]
        register(conn, [*cards, replace(cards[0], card_no=card_no(99))], at=NOW)
        persons = [Person(identity_no(number), "张三", "13800001234") for number in range(citizens)]
        holders = [
            each.holder for each in enrol_all(conn, vault, persons, at=NOW) if isinstance(each, Enrolled)
        ]
        for number, holder in enumerate(holders):
            tie_card(conn, holder, card_no(number), at=NOW)
        lines = tuple(Line("agent:BANK-1", f"wallet:{holder}", wallet_fen) for holder in holders)
        (posted,) = post(conn, [Entry("fill", "topup", DAY, NOW, lines)], at=NOW)
        assert isinstance(posted, Posted)
    return CounterCity(engine, hsm, bytes.fromhex(transport_key_file.read_text()), holders)


Found = Callable[[Engine], CounterCity]
"""Makes a city of counters on an engine."""
