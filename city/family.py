"""A family's day: what the one card is for, through the doors that institutions and phones use."""

import secrets
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
from sqlalchemy import Engine

from city.sectors import AGENCY, BENEFITS, CHANNEL, GAS
from clearing.sectors.socialsecurity.benefit_file import BenefitLine, Pocket, write_benefit_file
from clearing.sectors.socialsecurity.bill_file import BillLine, write_bill_file
from clearing.sectors.socialsecurity.schedule import Insurance
from ledger.db import reading
from ledger.journal import read_entries
from ledger.tables import entry as entry_table

PHONE = "13800138000"
"""Made up, and on record for everybody in the family."""
TOPUP_FEN = 80_000
SHOPPING_FEN = 3_580
BILL_ITEMS = (
    {"code": "REG-01", "catalogue_class": "A", "amount_fen": 2_000},
    {"code": "LAB-17", "catalogue_class": "A", "amount_fen": 26_000},
    {"code": "DRUG-8", "catalogue_class": "B", "amount_fen": 9_000, "first_share_bp": 1_000},
    {"code": "CARE-3", "catalogue_class": "C", "amount_fen": 1_500},
)
MEDICINE = ({"code": "DRUG-9", "catalogue_class": "A", "amount_fen": 12_000},)


@dataclass(frozen=True, slots=True)
class Posting:
    """One line that an event put into the books, in fen."""

    debit: str
    credit: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the family: what, what was answered, and what it did to the books."""

    at: datetime
    title: str
    said: str
    postings: tuple[Posting, ...]


@dataclass(slots=True)
class Clock:
    """The time on the city's clocks; whoever lives the day moves it on."""

    at: datetime

    def __call__(self) -> datetime:
        """This instant."""
        return self.at


class DoorShut(Exception):
    """A door answered otherwise than it should in a demonstration; says which and what it said."""


class Program:
    """An institution's program or a phone, calling the API with its own credentials."""

    def __init__(self, base_url: str, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(
            base_url=base_url, headers=headers, timeout=30, trust_env=False, verify=False
        )

    @classmethod
    def signed_in(cls, base_url: str, client_id: str, secret: str) -> "Program":
        """A program with a token of its own."""
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        with httpx.Client(base_url=base_url, trust_env=False, verify=False) as client:
            return cls(base_url, str(_answer(client.post("/v1/oauth/token", data=form))["access_token"]))

    def get(self, path: str) -> Any:
        """What is there."""
        return _answer(self._client.get(path))

    def put(self, path: str) -> Any:
        """Put without a body."""
        return _answer(self._client.put(path))

    def post(self, path: str, body: object = None, *, csv: bytes | None = None) -> Any:
        """Ask for something to be done, under a key of its own."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        if csv is not None:
            headers["Content-Type"] = "text/csv"
            return _answer(self._client.post(path, content=csv, headers=headers))
        return _answer(self._client.post(path, json=body, headers=headers))


def _answer(response: httpx.Response) -> Any:
    if response.status_code >= 400:
        raise DoorShut(
            f"{response.request.method} {response.request.url.path}: {response.status_code} {response.text}"
        )
    return response.json() if response.content else None


@dataclass(slots=True)
class Family:
    """Father, mother and their day; `identity_nos` and `phone` are made up, and no one's."""

    engine: Engine
    base_url: str
    passwords: Mapping[str, str]
    clock: Clock
    codes: Callable[[], str]
    identity_nos: Sequence[str]
    phone: str = PHONE
    events: list[Event] = field(default_factory=list)
    _seen: int = 0

    def program(self, client_id: str) -> Program:
        """The program of that client, signed in now: a token does not outlive the hours of the day."""
        return Program.signed_in(self.base_url, client_id, self.passwords[client_id])

    def happen(self, at: datetime, title: str, said: str) -> None:
        """Note an event with whatever has come into the books since the last one."""
        with reading(self.engine) as conn:
            new = list(read_entries(conn, entry_table.c.id > self._seen))
        lines = [line for recorded in new for line in recorded.entry.lines]
        self._seen = max((recorded.entry_id for recorded in new), default=self._seen)
        postings = tuple(Posting(line.debit, line.credit, line.amount_fen) for line in lines)
        self.events.append(Event(at, title, said, postings))

    def skip(self) -> None:
        """Let what is in the books already be no part of the next event."""
        with reading(self.engine) as conn:
            self._seen = max((recorded.entry_id for recorded in read_entries(conn)), default=0)

    def enrol(self, at: datetime, names: Sequence[str], cards: Sequence[str]) -> list[str]:
        """Everyone becomes a holder and gets a card tied; their ids."""
        self.clock.at = at
        holders = []
        for identity_no, name, card_no in zip(self.identity_nos, names, cards, strict=True):
            person = {"identity_no": identity_no, "name": name, "phone": self.phone}
            holder = str(self.program("counter").post("/v1/holders", person)["holder"])
            self.program("counter").put(f"/v1/holders/{holder}/cards/{card_no}")
            shown = self.program("counter").get(f"/v1/holders/{holder}")
            holders.append(holder)
            self.happen(
                at, "a holder is enrolled", f"{shown['name']} {shown['identity']} is {holder}, card {card_no}"
            )
        return holders

    def top_up(self, at: datetime, holder: str) -> None:
        """A channel takes money for the wallet, and confirms it later."""
        self.clock.at = at
        channel = self.program("channel")
        channel.post("/v1/topups", {"reference": f"T-{holder}", "holder": holder, "amount_fen": TOPUP_FEN})
        paid = {
            "amount_fen": TOPUP_FEN,
            "channel_reference": f"{CHANNEL}-{holder}",
            "paid_at": at.isoformat(),
        }
        said = channel.post(f"/v1/topups/T-{holder}/confirmation", paid)
        self.happen(at, "the wallet is topped up", f"{CHANNEL} confirms: {said['state']}")

    def visit_hospital(self, at: datetime, holder: str) -> None:
        """A bill is previewed, agreed to and settled: insurer first, then the pockets."""
        said = self._settle(at, holder, "B-1", BILL_ITEMS)
        self.happen(at, "a hospital bill is split and settled", said)

    def fetch_medicine(self, at: datetime, holder: str) -> None:
        """A second bill, whose answer is lost on its way back from the insurer: no pocket moves yet."""
        said = self._settle(at, holder, "B-2", MEDICINE)
        self.happen(at, "an insurer's answer is lost", f"{said}; the night asks again")

    def _settle(self, at: datetime, holder: str, bill_no: str, items: Sequence[Mapping[str, object]]) -> str:
        self.clock.at = at
        bill = {
            "bill_no": bill_no,
            "holder": holder,
            "treated_on": at.date().isoformat(),
            "items": list(items),
        }
        split = self.program("hospital").post("/v1/hospital/bills/preview", bill)
        agreed = {name: split[name] for name in ("fund_fen", "account_fen", "patient_fen")}
        settled = self.program("hospital").post("/v1/hospital/bills", {**bill, "agreed": agreed})
        return f"{settled['state']}: {_in_yuan(agreed)}"

    def pay_contribution(self, at: datetime, holder: str, identity_no: str, phone: Program) -> None:
        """The agency asks for a year's medical insurance, and the holder pays it from the phone."""
        self.clock.at = at
        line = BillLine(1, "C-2026-1", identity_no, Insurance.RESIDENT_MEDICAL, 2026, 1, 12, "standard")
        self.program("agency-maker").post(
            "/v1/agency/contribution-bills", csv=write_bill_file(agency=AGENCY, lines=[line])
        )
        paid = phone.post(f"/v1/me/contributions/{AGENCY}/C-2026-1/payment", {"bracket": "standard"})
        self.happen(at, "a contribution is paid", f"{paid['state']}")

    def receive_benefit(self, at: datetime, identity_no: str) -> None:
        """The agency brings a batch; another of its people approves; it is paid to the subsidy pocket."""
        self.clock.at = at
        lines = [BenefitLine(1, "CLAIM-1", identity_no, Pocket.SUBSIDY, 12_000, "farm subsidy")]
        file = write_benefit_file(
            agency=AGENCY, number="BATCH-1", fund=BENEFITS, programme="subsidy", lines=lines
        )
        self.program("agency-maker").post("/v1/agency/benefit-batches", csv=file)
        checker = self.program("agency-checker")
        checker.post("/v1/agency/benefit-batches/BATCH-1/approval")
        paid = checker.post("/v1/agency/benefit-batches/BATCH-1/payment")
        self.happen(at, "a benefit arrives", f"batch {paid['state']}, approved by a second person")

    def sign_in(self, at: datetime, identity_no: str) -> Program:
        """A holder's phone with a session, opened by the code that was sent to it."""
        self.clock.at = at
        nobody = Program(self.base_url)
        challenge = nobody.post("/v1/sessions/codes", {"identity_no": identity_no})["challenge"]
        code = self.codes()
        opened = nobody.post("/v1/sessions", {"challenge": challenge, "code": code})
        self.happen(at, "a phone signs in", f"with the one-time code {code}")
        return Program(self.base_url, str(opened["token"]))

    def pay_gas(self, at: datetime, account_no: str, phone: Program) -> None:
        """The gas company is asked for the open bills, and the first is paid from the wallet."""
        self.clock.at = at
        (bill,) = phone.get(f"/v1/me/billers/{GAS}/accounts/{account_no}")["bills"]
        order = {"biller": GAS, "account_no": account_no, "bill_no": bill["bill_no"]}
        paid = phone.post("/v1/me/bill-payments", {**order, "amount_fen": bill["amount_fen"]})
        self.happen(at, "the gas bill is paid", f"{paid['state']}; the biller will be told")

    def certificate(self, at: datetime, device_key: bytes, phone: Program) -> bytes:
        """The phone fetches a certificate for its codes while it is online."""
        self.clock.at = at
        issued = phone.post("/v1/me/qr/certificates", {"device_key": device_key.hex()})
        return b64decode(issued["certificate"])

    def shop(self, at: datetime, phone: Program) -> None:
        """A shop hangs up its code, and the phone pays it."""
        self.clock.at = at
        code = {"name": "CORNER NOODLES", "city": "KUNMING", "category": "5812"}
        payload = self.program("shop").post("/v1/qr/merchant-codes", code)["payload"]
        order = {"reference": "P-1", "payload": payload, "amount_fen": SHOPPING_FEN}
        paid = phone.post("/v1/me/qr/payments", order)
        self.happen(at, "a shop's code is paid from the phone", f"to {paid['merchant']}")

    def lose_card(self, at: datetime, phone: Program) -> None:
        """The holder reports everything lost from the phone; every face is locked at once."""
        self.clock.at = at
        report = phone.post("/v1/me/loss")
        self.happen(
            at, "a lost card is reported", f"locked: {', '.join(report['cards'])} and every other face"
        )


def _in_yuan(parts: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name.removesuffix('_fen')} {fen // 100}.{fen % 100:02d}" for name, fen in parts.items()
    )
