"""A small city whose night has sent its payments, the simulated bank, and who reads what it answers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from card.hsm.client import Hsm
from city.bank import bank_day
from ledger.accounts import open_accounts
from ledger.balances import balances
from ledger.chart import account
from ledger.checks import check_books
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post
from settlement.bank.decisions import approve
from settlement.bank.points import Point, points_of
from settlement.bank.proposals import Asked, Decision, Proposal, ProposalRefused, propose
from settlement.bank.reserve import Reserve, reserve_report
from settlement.bank.taking import Taken, take_file
from settlement.books import check_conservation
from settlement.instructions import instructions_where
from settlement.night import run_night
from settlement.tables import instruction
from settlement.two_people import DecisionRefused, Word
from tests.settlement.small_day import DAY, MORNING, PARTICIPANTS, night_of, prepare
from tests.support.quick_databases import Copies

RESERVE_NO = PARTICIPANTS[0].account_no
DEPOSIT = "agent-pays:KIOSK-1:2018-09-01"
DEPOSIT_FEN = 26_000
METRO, BUS = "20180901-METRO-1-01", "20180901-BUS-1-01"
FIRST = date(2018, 9, 3)
"""The Monday on which both are to be paid."""
AT = datetime(2018, 9, 3, 12, tzinfo=UTC)


@dataclass
class BankedCity:
    """Books after a night, and the bank that its payments have gone to."""

    engine: Engine
    hsm: Hsm
    home: Path
    today: date = FIRST + timedelta(days=1)
    read: list[Taken] = field(default_factory=list)

    @property
    def nights(self) -> Path:
        return self.home / "nights"

    def live(self) -> None:
        """Up to the end of the small day's night: the counter's money is at the bank, two payments have left."""
        prepare(self.engine, self.hsm, self.home)
        with writing(self.engine) as conn:
            open_accounts(conn, [account("bank:reserve"), account("agent:KIOSK-1")], at=MORNING)
            line = Line("bank:reserve", "agent:KIOSK-1", DEPOSIT_FEN)
            (answer,) = post(conn, [Entry(DEPOSIT, "agent_payment", DAY, MORNING, (line,))], at=MORNING)
            assert isinstance(answer, Posted)
        self.night(DAY)

    def night(self, day: date) -> None:
        """A night, after which the bank has its messages."""
        run_night(
            self.engine, night_of(self.home, self.hsm, day, datetime(2018, 9, day.day, 16, 30, tzinfo=UTC))
        )

    def bank(self, day: date, *orders: str, sent: bool = True) -> list[Path]:
        """A day of the bank's, which has all messages that have left unless they are not `sent`."""
        (self.home / "bank" / "in").mkdir(parents=True, exist_ok=True)
        for message in self.nights.glob("*/out/bank/*.xml") if sent else ():
            (self.home / "bank" / "in" / message.name).write_bytes(message.read_bytes())
        return bank_day(self.home / "bank", RESERVE_NO, day, *orders)

    def first_day(self, *orders: str) -> list[Path]:
        """The bank's first day, on which the counter's money has come in."""
        return self.bank(FIRST, "--deposit", f"{DEPOSIT}={DEPOSIT_FEN}", *orders)

    def take(self, files: Iterable[Path]) -> list[Taken]:
        """Read files of the bank's."""
        taken = [
            take_file(
                self.engine, self.home / "archive", file.name, file.read_bytes(), at=AT, today=self.today
            )
            for file in files
        ]
        self.read += taken
        return taken

    def points(self) -> list[Point]:
        with reading(self.engine) as conn:
            return points_of(conn, self.today)

    def open(self) -> dict[str, str]:
        """What is open, by id."""
        return {one.id: one.kind.value for one in self.points()}

    def states(self) -> dict[str, tuple[str, int]]:
        """Where instructions stand and what is paid of each."""
        with reading(self.engine) as conn:
            found = instructions_where(conn)
        return {one.end_to_end_id: (str(one.state), one.paid_fen) for one in found}

    def amount_fen(self, end_to_end_id: str) -> int:
        with reading(self.engine) as conn:
            query = select(instruction.c.amount_fen).where(instruction.c.end_to_end_id == end_to_end_id)
            return int(conn.execute(query).scalar_one())

    def held_fen(self, code: str) -> int:
        """The balance of an account: debits less credits."""
        with reading(self.engine) as conn:
            return sum(one.net_fen for one in balances(conn, code) if one.code == code)

    def reserve(self, day: date) -> Reserve:
        with reading(self.engine) as conn:
            return reserve_report(conn, day)

    def try_to_decide(
        self, point: str, decision: Decision, **named: str
    ) -> Proposal | ProposalRefused | DecisionRefused:
        """One person proposes, and if that can be, another approves."""
        with writing(self.engine) as conn:
            made = propose(conn, Asked(point, decision, "as the bank wrote", "lin", AT, **named), self.today)
        if isinstance(made, ProposalRefused):
            return made
        return approve(self.engine, Word(made.number, "chen", AT), nights=self.nights, today=self.today)

    def due(self) -> dict[str, int]:
        """What every last attempt has not brought, in fen."""
        with reading(self.engine) as conn:
            found = instructions_where(conn)
        again = {one.replaces for one in found}
        return {one.end_to_end_id: one.due_fen for one in found if one.end_to_end_id not in again}

    def paid_fen(self) -> int:
        """What stands as paid to participants."""
        return sum(paid_fen for _, paid_fen in self.states().values())

    def decide(self, point: str, decision: Decision, **named: str) -> Proposal | DecisionRefused:
        """One person proposes, another approves."""
        done = self.try_to_decide(point, decision, **named)
        assert not isinstance(done, ProposalRefused), done
        return done

    def sound(self, days: Sequence[date] = (DAY, DAY + timedelta(days=1))) -> bool:
        """Whether the books agree with themselves and with what the bank said."""
        with reading(self.engine) as conn:
            return check_books(conn) == [] and all(check_conservation(conn, day) == [] for day in days)


@pytest.fixture
def banked_url(copies: Copies, city_hsm: Hsm, tmp_path: Path) -> Iterator[str]:
    """URL of the books of a city after its small day's night, whose payments have left: a file's `database_url`."""
    home = tmp_path / "home"
    with copies.lived(
        "banked", lambda engine, place: BankedCity(engine, city_hsm, place).live(), home
    ) as url:
        yield url


@pytest.fixture
def banked_city(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> BankedCity:
    """That city, in a file whose `database_url` this is."""
    return BankedCity(engine, city_hsm, tmp_path / "home")
