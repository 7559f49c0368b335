"""The simulated social-security agency: it asks for contributions, pays benefits in batches, sends again what
came back.

It knows its people by identity number only, and reaches us as any agency does: with files, over HTTP, by two
officers whose programs are clients of their own.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files
from typing import Any

import httpx

from clearing.sectors.socialsecurity.benefit_file import BenefitLine, Pocket, write_benefit_file
from clearing.sectors.socialsecurity.bill_file import BillLine, write_bill_file
from clearing.sectors.socialsecurity.schedule import Bracket, Insurance, parse_schedule
from clearing.sectors.socialsecurity.sheet import Flawed

FLEXIBLE_MONTHS = 3
TIMEOUT_S = 10.0


class AgencyRefused(Exception):
    """Our side did not do what the agency asked; the message holds the problem's code and detail."""


@dataclass(frozen=True, slots=True)
class Entitled:
    """A person of the agency: insured so, with a monthly pension and meal subsidy in fen, either may be none."""

    identity_no: str
    insurance: Insurance
    bracket: str
    pension_fen: int
    meals_fen: int

    def __repr__(self) -> str:
        return f"Entitled({self.insurance}, {self.bracket!r}, {self.pension_fen}, {self.meals_fen})"


class Agency:
    """The agency's books: who is entitled to what, and every claim it ever wrote into a batch."""

    def __init__(self, agency: str, fund: str, people: Sequence[Entitled]) -> None:
        self.agency = agency
        self.fund = fund
        self.people = tuple(people)
        self._claims: dict[str, BenefitLine] = {}

    def bills(self, year: int) -> bytes:
        """The year's contribution bills: residents by the year, the flexibly employed by the quarter."""
        lines = []
        for number, person in enumerate(self.people, 1):
            flexible = person.insurance is Insurance.FLEXIBLE_EMPLOYMENT
            step = FLEXIBLE_MONTHS if flexible else 12
            for first_month in range(1, 13, step):
                name = f"C{year}-{number:06d}-{first_month:02d}"
                bill = BillLine(
                    0, name, person.identity_no, person.insurance, year, first_month, step, person.bracket
                )
                lines.append(bill)
        return write_bill_file(agency=self.agency, lines=lines)

    def pensions(self, month: date) -> bytes:
        """The month's pensions, into wallets."""
        lines = [
            (person, person.pension_fen, Pocket.WALLET, f"{month:%Y-%m} 养老金") for person in self.people
        ]
        return self._batch(f"PENSION-{month:%Y%m}", "pension", "P", month, lines)

    def meals(self, month: date) -> bytes:
        """The month's meal subsidies, into subsidy pockets."""
        lines = [
            (person, person.meals_fen, Pocket.SUBSIDY, f"{month:%Y-%m} 助餐补贴") for person in self.people
        ]
        return self._batch(f"MEALS-{month:%Y%m}", "meals", "M", month, lines)

    def follow_up(self, number: str, programme: str, claims: Iterable[str]) -> bytes:
        """A batch that repeats claims which came back, in the order of the claims."""
        lines = [self._claims[claim] for claim in sorted(set(claims))]
        return self._file(number, programme, lines)

    def claimed_fen(self) -> int:
        """What the agency owes its people over all claims it ever wrote."""
        return sum(line.amount_fen for line in self._claims.values())

    def _batch(
        self,
        number: str,
        programme: str,
        letter: str,
        month: date,
        entitled: Iterable[tuple[Entitled, int, Pocket, str]],
    ) -> bytes:
        lines = [
            BenefitLine(0, f"{letter}{month:%Y%m}-{place:06d}", person.identity_no, pocket, amount_fen, memo)
            for place, (person, amount_fen, pocket, memo) in enumerate(entitled, 1)
            if amount_fen > 0
        ]
        self._claims.update({line.claim: line for line in lines})
        return self._file(number, programme, lines)

    def _file(self, number: str, programme: str, lines: Sequence[BenefitLine]) -> bytes:
        return write_benefit_file(
            agency=self.agency, number=number, fund=self.fund, programme=programme, lines=lines
        )


class AgencyOffice:
    """The agency's two officers at our HTTP door: one brings files, the other checks and has them paid."""

    def __init__(self, client: httpx.Client, maker: Mapping[str, str], checker: Mapping[str, str]) -> None:
        self._client = client
        self._maker = dict(maker)
        self._checker = dict(checker)

    def bring_bills(self, data: bytes) -> list[dict[str, Any]]:
        """Bring contribution bills; what became of each. Raises AgencyRefused."""
        answers: list[dict[str, Any]] = self._post(
            "/v1/agency/contribution-bills", self._maker, content=data
        ).json()
        return answers

    def bring(self, data: bytes) -> dict[str, Any]:
        """Bring a benefit batch; the batch as received. Raises AgencyRefused."""
        batch: dict[str, Any] = self._post("/v1/agency/benefit-batches", self._maker, content=data).json()
        return batch

    def approve_and_pay(self, number: str, *, key: str) -> dict[str, Any]:
        """Approve a batch and have it paid under an idempotency key; the batch as paid. Raises AgencyRefused."""
        address = f"/v1/agency/benefit-batches/{number}"
        self._post(f"{address}/approval", self._checker)
        headers = self._checker | {"Idempotency-Key": key}
        batch: dict[str, Any] = self._post(f"{address}/payment", headers).json()
        return batch

    def returned(self) -> list[dict[str, Any]]:
        """The lines that came back and were not paid since. Raises AgencyRefused."""
        answer = self._client.get("/v1/agency/returned-benefits", headers=self._maker, timeout=TIMEOUT_S)
        lines: list[dict[str, Any]] = _done(answer).json()
        return lines

    def _post(self, address: str, headers: Mapping[str, str], content: bytes | None = None) -> httpx.Response:
        kind = {} if content is None else {"Content-Type": "text/csv"}
        answer = self._client.post(address, headers={**headers, **kind}, content=content, timeout=TIMEOUT_S)
        return _done(answer)


def entitled(identity_nos: Sequence[str], *, seed: int) -> list[Entitled]:
    """Entitlements for people, drawn from a seed: every third has a pension, every fourth meals."""
    drawn = random.Random(seed)
    brackets = {
        Insurance.RESIDENT_MEDICAL: "standard",
        Insurance.RESIDENT_PENSION: "",
        Insurance.FLEXIBLE_EMPLOYMENT: "60",
    }
    found = []
    for place, identity_no in enumerate(identity_nos):
        insurance = drawn.choice(list(Insurance))
        pension_fen = drawn.randrange(100_00, 3_000_00) if place % 3 == 0 else 0
        meals_fen = drawn.randrange(1, 300_00) if place % 4 == 0 else 0
        found.append(Entitled(identity_no, insurance, brackets[insurance], pension_fen, meals_fen))
    return found


def schedule(agency: str, year: int) -> tuple[Bracket, ...]:
    """The demo's brackets as if they were of that agency and year."""
    text = files("clearing.sectors.socialsecurity").joinpath("schedules/demo-2026.json").read_text("utf-8")
    read = parse_schedule(text)
    if isinstance(read, Flawed):
        raise ValueError(f"the demo's schedule is flawed: {read.flaws[0].message}")
    return tuple(
        replace(
            one,
            agency=agency,
            year=year,
            payable_from=_moved(one.payable_from, year - one.year),
            payable_to=_moved(one.payable_to, year - one.year),
        )
        for one in read
    )


def _moved(day: date, years: int) -> date:
    return day.replace(year=day.year + years)


def _done(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    problem = answer.json()
    raise AgencyRefused(f"{problem.get('code', answer.status_code)}: {problem.get('detail', '')}")
