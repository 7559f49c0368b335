"""A simulated medical insurer as a program of its own: `python -m city.insurer --home DIR --port-file FILE`.

It answers over HTTP as docs/healthcare.md says, keeps its own journal, and misbehaves where it is told to.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, Field

from city.insurer_journal import InsurerJournal, OtherClaim, Told
from city.processes import running_program
from city.serving import serve_app

LATE_S = 30.0
"""How long a late answer is kept back: far longer than any client of ours waits."""


class Mode(StrEnum):
    """How the insurer behaves.

    ANSWERS: as it should. REFUSES: pays no claim. PAYS_LESS: one fen less than claimed. TIMES_OUT: does
    nothing, and says nothing. ANSWERS_LATE: does what is asked, and says so when nobody listens any more.
    DUPLICATES: the network has delivered the question twice. GARBLES: does it, and answers rubbish.
    """

    ANSWERS = "answers"
    REFUSES = "refuses"
    PAYS_LESS = "pays_less"
    TIMES_OUT = "times_out"
    ANSWERS_LATE = "answers_late"
    DUPLICATES = "duplicates"
    GARBLES = "garbles"


class ClaimItem(BaseModel):
    """An item of a claim."""

    code: str
    catalogue_class: str
    amount_fen: int = Field(gt=0)
    first_share_bp: int


class ClaimBody(BaseModel):
    """A claim as the city sends it."""

    reference: Annotated[str, Field(min_length=1, max_length=64)]
    business_date: date
    hospital: str
    level: int
    insured: str
    category: str
    treated_on: date
    pool: str
    policy_version: int
    total_fen: int = Field(gt=0)
    deductible_fen: int = Field(ge=0)
    fund_fen: int = Field(ge=0)
    items: list[ClaimItem]


class Behaviour(BaseModel):
    """How to behave from now on; `on` names the questions concerned: claim, query, cancel, day."""

    mode: Mode
    on: list[str] = ["claim", "query", "cancel", "day"]


@dataclass
class Desk:
    """The insurer's desk: its journal, and how it behaves today."""

    journal: InsurerJournal
    behaviour: Behaviour
    late_s: float

    async def answer(self, reference: str, kind: str, claim: ClaimBody | None = None) -> Response:
        """Do what is asked, or not, and say so, or not, as the mode has it."""
        self.journal.arrived(reference, kind, datetime.now(UTC))
        mode = self._mode(kind)
        if mode is Mode.TIMES_OUT:
            return await self._say(mode, {})
        try:
            told = self._do(reference, kind, claim, mode)
            if mode is Mode.DUPLICATES:
                told = self._do(reference, kind, claim, mode)
        except OtherClaim as refusal:
            return JSONResponse({"detail": str(refusal)}, 409)
        return await self._say(mode, told.body(), 404 if told.standing == "not_found" else 200)

    async def day(self, business_date: date) -> Response:
        """Tell what is paid of a day, or not, as the mode has it."""
        return await self._say(self._mode("day"), self.journal.day(business_date))

    def _mode(self, kind: str) -> Mode:
        return self.behaviour.mode if kind in self.behaviour.on else Mode.ANSWERS

    async def _say(self, mode: Mode, body: dict[str, Any], status: int = 200) -> Response:
        if mode in (Mode.TIMES_OUT, Mode.ANSWERS_LATE):
            await asyncio.sleep(self.late_s)
        if mode is Mode.TIMES_OUT:
            return PlainTextResponse("overloaded", 503)
        if mode is Mode.GARBLES:
            return PlainTextResponse("<html>200 OK</html>")
        return JSONResponse(body, status)

    def _do(self, reference: str, kind: str, claim: ClaimBody | None, mode: Mode) -> Told:
        if kind == "query":
            return self.journal.query(reference)
        if claim is None:
            return self.journal.cancel(reference)
        reason = self._objection(claim, mode)
        fund_fen = 0 if reason else max(0, claim.fund_fen - (mode is Mode.PAYS_LESS))
        standing = "refused" if reason else "approved"
        content = claim.model_dump(mode="json")
        return self.journal.claim(content, standing=standing, fund_fen=fund_fen, reason=reason)

    @staticmethod
    def _objection(claim: ClaimBody, mode: Mode) -> str:
        if mode is Mode.REFUSES:
            return "the insured's cover is suspended"
        items_fen = sum(item.amount_fen for item in claim.items)
        if items_fen != claim.total_fen:
            return f"the items come to {items_fen} fen, not {claim.total_fen}"
        if claim.fund_fen + claim.deductible_fen > claim.total_fen:
            return "the fund and the deductible are more than the total"
        return ""


def make_insurer(journal: InsurerJournal, *, mode: Mode = Mode.ANSWERS, late_s: float = LATE_S) -> FastAPI:
    """The insurer as an application on its journal."""
    app = FastAPI(title="A simulated insurer", docs_url=None, redoc_url=None)
    desk = Desk(journal, Behaviour(mode=mode), late_s)

    @app.post("/claims")
    async def claim(body: ClaimBody) -> Response:
        """Decide a claim once; again, the first decision."""
        return await desk.answer(body.reference, "claim", body)

    @app.get("/claims/{reference}")
    async def query(reference: str) -> Response:
        """Tell how a claim stands."""
        return await desk.answer(reference, "query")

    @app.post("/claims/{reference}/cancel")
    async def cancel(reference: str) -> Response:
        """Take a claim back, come or not."""
        return await desk.answer(reference, "cancel")

    @app.get("/days/{business_date}/claims")
    async def day(business_date: date) -> Response:
        """List the claims that are paid of one of the city's business dates, with their totals."""
        return await desk.day(business_date)

    @app.put("/simulation/behaviour")
    async def behave(behaviour: Behaviour) -> Behaviour:
        """Behave otherwise from now on."""
        desk.behaviour = behaviour
        return behaviour

    @app.get("/simulation/arrivals/{reference}")
    async def arrivals(reference: str) -> dict[str, int]:
        """Tell how often each kind of question about a claim came in."""
        return journal.arrivals(reference)

    @app.get("/simulation/totals")
    async def totals() -> dict[str, Any]:
        """Tell what the insurer owes."""
        return journal.totals()

    return app


@dataclass(frozen=True, slots=True)
class RunningInsurer:
    """Where the insurer listens."""

    url: str

    def behave(self, mode: Mode, *on: str) -> None:
        """Have it behave so from now on, to these kinds of questions or to all."""
        behaviour = Behaviour(mode=mode, on=list(on)) if on else Behaviour(mode=mode)
        body = behaviour.model_dump(mode="json")
        address = f"{self.url}/simulation/behaviour"
        httpx.put(address, json=body, trust_env=False, verify=False).raise_for_status()


@contextmanager
def running_insurer(
    home: Path, *, mode: Mode = Mode.ANSWERS, late_s: float = LATE_S
) -> Iterator[RunningInsurer]:
    """Start the insurer on a free loopback port, with its journal in `home`; it stops at the end."""
    words = ("--mode", mode.value, "--late-s", str(late_s))
    with running_program("city.insurer", home, *words) as (port, _):
        yield RunningInsurer(f"http://127.0.0.1:{port}")


def serve(
    home: Annotated[Path, typer.Option(help="folder of the journal")],
    port: Annotated[int, typer.Option(help="port on the loopback; 0: any free one")] = 0,
    port_file: Annotated[Path | None, typer.Option(help="file to write the port to")] = None,
    mode: Annotated[Mode, typer.Option(help="how to behave at first")] = Mode.ANSWERS,
    late_s: Annotated[float, typer.Option(help="seconds that a late answer is kept back")] = LATE_S,
) -> None:
    """Serve the simulated insurer until stopped."""
    home.mkdir(parents=True, exist_ok=True)
    app = make_insurer(InsurerJournal(home / "insurer.db"), mode=mode, late_s=late_s)
    serve_app(app, port, port_file)


if __name__ == "__main__":
    typer.run(serve)
