"""A simulated biller, a program of its own: `python -m city.biller --kind water --home FOLDER`.

It answers over HTTP with JSON (docs/formats/biller-file.md) and keeps a journal. Under `/control` a test or a
demo sends bills, orders faults and blunders, and repairs them; a real biller has nothing of the kind.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import httpx
import typer
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from city.biller_journal import Journal, Reply, Told
from city.faults import FaultOrder, misbehave_as_ordered
from city.processes import Program, running_program, write_port
from city.serving import listener
from clearing.sectors.utilities.catalogue import Supply

TOKEN_VARIABLE = "BILLER_TOKEN"


class BillOrder(BaseModel):
    """A bill to be sent to a customer."""

    account_no: str
    customer: str
    bill_no: str
    period: str
    amount_fen: int
    due_on: date


class NoticeBody(BaseModel):
    """What the city tells of a payment."""

    reference: str
    account_no: str
    bill_no: str
    amount_fen: int
    business_date: date
    paid_at: datetime | None = None

    def told(self) -> Told:
        """As the journal takes it."""
        return Told(self.reference, self.account_no, self.bill_no, self.amount_fen, self.business_date)


class Blunder(NoticeBody):
    """What the daily file wrongly says of a payment; `filed_fen` None leaves it out."""

    filed_fen: int | None = None


def make_biller(journal: Journal, *, token: str = "") -> FastAPI:
    """The biller's application on its journal; with a token it answers only who brings it."""
    app = FastAPI(title="Simulated biller")
    faults: list[FaultOrder] = []
    misbehave_as_ordered(app, faults, token=token)
    _answer_the_city(app, journal)
    _take_orders(app, journal, faults)
    return app


def _answer_the_city(app: FastAPI, journal: Journal) -> None:
    @app.get("/accounts/{account_no}")
    def account(account_no: str) -> JSONResponse:
        found = journal.account(account_no)
        return JSONResponse({"code": "account_unknown"}, 404) if found is None else JSONResponse(found)

    @app.post("/write-offs")
    def write_off(body: NoticeBody) -> JSONResponse:
        return _reply(body, journal.write_off(body.told(), datetime.now(UTC)))

    @app.post("/reversals")
    def reverse(body: NoticeBody) -> JSONResponse:
        return _reply(body, journal.reverse(body.told(), datetime.now(UTC)))

    @app.get("/days/{business_date}/file")
    def daily_file(business_date: date) -> Response:
        content = journal.daily_file(business_date, datetime.now(UTC))
        return Response(content, media_type="text/plain; charset=us-ascii")


def _take_orders(app: FastAPI, journal: Journal, faults: list[FaultOrder]) -> None:
    @app.post("/control/days/{business_date}/close")
    def close(business_date: date) -> JSONResponse:
        journal.close_day(business_date)
        return JSONResponse({})

    @app.delete("/control/journal")
    def forget() -> JSONResponse:
        journal.forget()
        faults.clear()
        return JSONResponse({})

    @app.post("/control/bills")
    def send_bills(bills: list[BillOrder]) -> JSONResponse:
        for one in bills:
            journal.add_bill(**one.model_dump())
        return JSONResponse({"bills": len(bills)})

    @app.post("/control/blunders")
    def blunder(body: Blunder) -> JSONResponse:
        journal.blunder(body.told(), body.filed_fen)
        return JSONResponse({})

    @app.delete("/control/blunders")
    def repair() -> JSONResponse:
        journal.repair()
        return JSONResponse({})


def _reply(body: NoticeBody, reply: Reply) -> JSONResponse:
    refused = reply.status == "refused"
    said = {"reference": body.reference, "status": reply.status}
    if refused:
        said |= {"reason": reply.reason, "message": reply.reason.replace("_", " ")}
    return JSONResponse(said, 409 if refused else 200)


@dataclass(frozen=True, slots=True)
class RunningBiller:
    """Where a biller listens; `process` may be killed, and another started on the same home."""

    url: str
    process: Program

    def control(self, method: str, path: str, body: object = None) -> None:
        """Order something under `/control`."""
        address = f"{self.url}/control{path}"
        httpx.request(method, address, json=body, trust_env=False, verify=False).raise_for_status()


@contextmanager
def running_biller(home: Path, biller: str, kind: Supply, *, part: bool = False) -> Iterator[RunningBiller]:
    """Start a biller on a free loopback port, with its journal in `home`; it ends with the block."""
    words = ("--id", biller, "--kind", kind, *(("--part",) if part else ()))
    with running_program("city.biller", home, *words) as (port, process):
        yield RunningBiller(f"http://127.0.0.1:{port}", process)


def main(
    kind: Annotated[Supply, typer.Option(help="What it supplies.")],
    home: Annotated[Path, typer.Option(help="Folder of its journal.")],
    biller: Annotated[
        str, typer.Option("--id", help="Its id with the city; WATER-1 where it supplies water.")
    ] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    port_file: Annotated[Path | None, typer.Option(help="Where to write the port once it listens.")] = None,
    part: Annotated[bool, typer.Option("--part", help="Take parts of a bill.")] = False,
) -> None:
    """Answer on a loopback socket until told to stop (SIGTERM)."""
    home.mkdir(parents=True, exist_ok=True)
    with (
        Journal(home / "biller.db", biller or f"{kind.upper()}-1", part=part) as journal,
        listener("127.0.0.1", port) as listening,
    ):
        app = make_biller(journal, token=os.environ.get(TOKEN_VARIABLE, ""))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        bound_port = listening.getsockname()[1]
        typer.echo(f"biller of {kind} listens on 127.0.0.1:{bound_port}")
        write_port(port_file, bound_port)
        server.run(sockets=[listening])


if __name__ == "__main__":
    typer.run(main)
