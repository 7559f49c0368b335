"""A small city for social security: enrolled persons, an agency with a fund, its files and its two officers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Connection, Engine
from stdnum.cn import ric

from card.holders import Enrolled, Person, enrol_all
from card.vault import Vault
from clearing.sectors.socialsecurity.batches import (
    BatchAnswer,
    BatchRecord,
    BatchTaken,
    LineRecord,
    approve,
    lines_of,
    receive,
)
from clearing.sectors.socialsecurity.benefit_file import (
    BenefitFile,
    BenefitLine,
    Pocket,
    read_benefit_file,
    write_benefit_file,
)
from clearing.sectors.socialsecurity.directory import HolderDirectory
from clearing.sectors.socialsecurity.funds import FundAgreement, Prefunding, prefund, register_funds
from clearing.sectors.socialsecurity.payout import pay_batch
from ledger.accounts import open_accounts
from ledger.balances import balance
from ledger.chart import account
from ledger.day import open_day
from ledger.db import reading, writing
from ledger.entry import Entry, Line, Posted
from ledger.post import post

DAY = date(2026, 9, 1)
AGENCY = FUND = "SSB"
MAKER, CHECKER = "ssb-maker", "ssb-checker"
PERSONS = 5
STRANGER = PERSONS + 1
VAULT = Vault({1: bytes(32)}, b"\1" * 32, lambda count: b"\2" * count)
DIRECTORY = HolderDirectory(VAULT)


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 9, 1, hour, minute, tzinfo=UTC)


def identity(number: int) -> str:
    """A person's number; the first `PERSONS` are enrolled."""
    digits = f"53010219900101{number:03d}"
    return digits + str(ric.calc_check_digit(digits + "0"))


@dataclass(frozen=True, slots=True)
class Books:
    """The engine, and the holder's id of each enrolled person by number."""

    engine: Engine
    holders: dict[int, str]

    def held_fen(self, code: str) -> int:
        with reading(self.engine) as conn:
            return balance(conn, code).balance_fen

    def pocket_fen(self, number: int, pocket: str = "wallet") -> int:
        return self.held_fen(f"{pocket}:{self.holders[number]}")


def open_books(engine: Engine, *, prefunded_fen: int = 0, limit_fen: int = 0) -> Books:
    """An open day, enrolled persons, the agency with its fund, a canteen and a cinema."""
    persons = [Person(identity(number), f"人{number}", "") for number in range(1, PERSONS + 1)]
    with writing(engine) as conn:
        open_day(conn, DAY, at=at(0))
        enrolled = enrol_all(conn, VAULT, persons, at=at(0))
        clearing = [f"clearing:{name}" for name in (AGENCY, "CANTEEN-1", "CINEMA-1")]
        open_accounts(conn, [account(code) for code in (*clearing, "equity:capital")], at=at(0))
        register_funds(conn, [FundAgreement(FUND, AGENCY, limit_fen, DAY)], at=at(0))
        if prefunded_fen:
            arrive(conn, "BANK-1", prefunded_fen)
    holders = {n: one.holder for n, one in enumerate(enrolled, 1) if isinstance(one, Enrolled)}
    return Books(engine, holders)


def arrive(conn: Connection, reference: str, amount_fen: int) -> None:
    """The agency's money arrives at the reserve."""
    (answer,) = prefund(conn, [Prefunding(reference, FUND, amount_fen, DAY, at(1))], at=at(1))
    assert isinstance(answer, Posted)


def give(books: Books, code: str, amount_fen: int) -> None:
    """Put money into a pocket."""
    lines = (Line("equity:capital", code, amount_fen),)
    with writing(books.engine) as conn:
        (answer,) = post(conn, [Entry(f"opening:{code}", "opening", DAY, at(0), lines)], at=at(0))
    assert isinstance(answer, Posted)


def line(
    claim: str, person: int, amount_fen: int, pocket: Pocket = Pocket.WALLET, memo: str = "养老金"
) -> BenefitLine:
    """A line for a person; its number is the file's to give."""
    return BenefitLine(0, claim, identity(person), pocket, amount_fen, memo)


def file_of(number: str, lines: Sequence[BenefitLine]) -> BenefitFile:
    data = write_benefit_file(agency=AGENCY, number=number, fund=FUND, programme="pension", lines=lines)
    read = read_benefit_file(data)
    assert isinstance(read, BenefitFile), read
    return read


def send(conn: Connection, file: BenefitFile, made_by: str = MAKER) -> BatchAnswer:
    return receive(conn, DIRECTORY, file, agency=AGENCY, made_by=made_by, business_date=DAY, at=at(9))


def pay(conn: Connection, number: str) -> BatchAnswer:
    return pay_batch(
        conn, DIRECTORY, agency=AGENCY, number=number, business_date=DAY, event_at=at(11), at=at(11)
    )


def approved(conn: Connection, number: str, lines: Sequence[BenefitLine]) -> BatchRecord:
    """A batch of these lines, sent by one and approved by the other."""
    assert isinstance(send(conn, file_of(number, lines)), BatchTaken)
    answer = approve(conn, agency=AGENCY, number=number, checked_by=CHECKER, at=at(10))
    assert isinstance(answer, BatchTaken)
    return answer.batch


def results(conn: Connection, number: str) -> dict[str, str]:
    """What became of each claim of a batch: paid, waiting, or why it came back."""
    return {one.claim: _result(one) for one in lines_of(conn, AGENCY, number)}


def _result(one: LineRecord) -> str:
    if one.returned is not None:
        return one.returned.value
    return "paid" if one.paid else "waiting"
