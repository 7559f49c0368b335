"""A simulated clearing centre of another city: `python -m city.centre --code KUNMING --hsm HOST:PORT --home FOLDER`.

It answers over HTTP as docs/formats/interop.md says, keeps a journal, and has an HSM that shares the keys of its files
with the city. Under `/control` a test or a demo lets our cards ride there, has it present them, answer or refuse, and
orders faults; a real centre has nothing of the kind.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from card.hsm.addresses import parse_addresses
from card.hsm.client import Hsm
from city.centre_journal import CentreJournal, Line
from city.faults import FaultOrder, misbehave_as_ordered
from city.processes import Program, running_program
from city.serving import serve_app
from clearing.verification import tac_columns
from clearing.wire.batch import FRAME, RECORD_DTYPE, BatchError
from clearing.wire.bcd import CITY_ZONE, pack_moment
from clearing.wire.frame import BatchFrame, Framed
from clearing.wire.interop import ANSWER, PRESENTED, RESULT, ResultLine, read_results, result_lines
from clearing.wire.result_code import ResultCode

KEY_VERSION = 1
EVENING = time(20)
"""When it makes its files of a day: the same file has the same bytes whenever it was asked to be made."""
YOURS, OURS = "your_presentments", "our_presentments"


class Behaviour(BaseModel):
    """How the centre behaves: `silent` takes files and answers none; `refuse` says of which cards it pays none, and
    by which code."""

    silent: bool = False
    refuse: dict[str, int] = {}


class Spoken(BaseModel):
    """A result file of exactly these lines, whatever they are about; `known` ones go into its own books."""

    business_date: date
    lines: list[tuple[int, int, int, int]]
    known: bool = True


class Blunder(BaseModel):
    """What the day file wrongly says of a tap; `amount_fen` None leaves it out."""

    side: str
    number: int
    place: int
    amount_fen: int | None = None
    business_date: date


@dataclass
class Desk:
    """The centre at work: its books, its HSM, and how it behaves today."""

    code: str
    journal: CentreJournal
    hsm: Hsm
    behaviour: Behaviour = field(default_factory=Behaviour)

    def take(self, name: str, content: bytes) -> tuple[int, str]:
        """Take a file of the city's: HTTP status, and why it is not taken where it is not."""
        digest = sha256(content).hexdigest()
        before = self.journal.received(name)
        if before is not None:
            return (200, "") if before == digest else (409, f"{name} came before with other content")
        for frame, work in ((PRESENTED, self._judge), (ANSWER, self._hear)):
            if frame.parse_name(name) is not None:
                return self._taken(name, content, digest, frame, work)
        return 422, f"{name!r} is no name of a file for us"

    def present(self, business_date: date) -> int:
        """Present all rides of the city's cards here; the number of the file."""
        number = self.journal.next_number("presentments")
        content = self.sealed(FRAME, number, business_date, self.journal.rides())
        self.journal.presented(number, content)
        return number

    def say(self, spoken: Spoken) -> int:
        """Make a result file of these lines; its number."""
        number = self.journal.next_number("results")
        lines = [ResultLine(*one) for one in spoken.lines]
        content = self.sealed(RESULT, number, spoken.business_date, [line.pack() for line in lines])
        known = _lines(YOURS, lines, spoken.business_date) if spoken.known else []
        self.journal.answer(known, number, content)
        return number

    def sealed(self, frame: BatchFrame, number: int, business_date: date, records: Sequence[bytes]) -> bytes:
        """A file for the city, sealed under the key that both have."""
        return frame.write(
            operator=self.code,
            sequence=number,
            business_date=business_date,
            made_at=pack_moment(datetime.combine(business_date, EVENING, CITY_ZONE)),
            mac_key_version=KEY_VERSION,
            records=records,
            mac=lambda digest: self.hsm.batch_mac(self.code, digest, KEY_VERSION),
        )

    def _taken(self, name: str, content: bytes, digest: str, frame: BatchFrame, work: Any) -> tuple[int, str]:
        try:
            framed = frame.read(content)
        except BatchError as error:
            return 422, str(error)
        header = framed.header
        if frame.name(header.operator, header.sequence) != name or header.operator != self.code:
            return 422, f"{name} is not what its header says"
        if not self.hsm.verify_batch_mac(self.code, framed.digest, framed.mac, header.mac_key_version):
            return 422, f"the MAC of {name} does not hold"
        lines, results = work(framed, content)
        self.journal.take(name, digest, lines, results)
        return 200, ""

    def _judge(self, framed: Framed, _content: bytes) -> tuple[list[Line], tuple[int, bytes] | None]:
        """Judge taps of its own cards, and answer them with a file of the same date."""
        header, rows = framed.header, np.frombuffer(framed.records, RECORD_DTYPE)
        if self.behaviour.silent or not len(rows):
            return [], None
        right = self.hsm.verify_tacs(tac_columns(rows))
        lines = [
            ResultLine(
                header.sequence, place, int(row["amount_fen"]), self._code(row, signed=bool(right[place]))
            )
            for place, row in enumerate(rows)
        ]
        number = self.journal.next_number("results")
        content = self.sealed(RESULT, number, header.business_date, [line.pack() for line in lines])
        return _lines(YOURS, lines, header.business_date), (number, content)

    def _code(self, row: np.void, *, signed: bool) -> int:
        refused = self.behaviour.refuse.get(bytes(row["card_no"]).hex())
        if refused is not None:
            return refused
        return int(ResultCode.ACCEPTED if signed else ResultCode.TAC_WRONG)

    def _hear(self, framed: Framed, content: bytes) -> tuple[list[Line], None]:
        """Take down what the city says of our presentments."""
        lines = result_lines(read_results(content, ANSWER).rows)
        return _lines(OURS, lines, framed.header.business_date), None


def make_centre(desk: Desk) -> FastAPI:
    """The centre as an application."""
    app = FastAPI(title="A simulated clearing centre", docs_url=None, redoc_url=None)
    misbehave_as_ordered(app, list[FaultOrder]())
    _answer_the_city(app, desk)
    _take_orders(app, desk)
    return app


def _answer_the_city(app: FastAPI, desk: Desk) -> None:
    @app.get("/presentments/{number}")
    def presentment(number: int) -> Response:
        return _offered(desk, "presentments", number)

    @app.get("/results/{number}")
    def result(number: int) -> Response:
        return _offered(desk, "results", number)

    @app.put("/files/{name}")
    async def take(name: str, request: Request) -> JSONResponse:
        content = await request.body()
        status, message = await run_in_threadpool(desk.take, name, content)
        told = {"name": name, "sha256": sha256(content).hexdigest()}
        return JSONResponse(told | ({"message": message} if message else {}), status)

    @app.get("/days/{business_date}")
    def day(business_date: date) -> dict[str, Any]:
        return desk.journal.day(business_date)


def _take_orders(app: FastAPI, desk: Desk) -> None:
    @app.put("/control/behaviour")
    def behave(behaviour: Behaviour) -> JSONResponse:
        desk.behaviour = behaviour
        return JSONResponse({})

    @app.post("/control/rides")
    def ride(records: list[str]) -> JSONResponse:
        desk.journal.ride([bytes.fromhex(record) for record in records])
        return JSONResponse({})

    @app.post("/control/present/{business_date}")
    def present(business_date: date) -> JSONResponse:
        return JSONResponse({"number": desk.present(business_date)})

    @app.post("/control/results")
    def say(spoken: Spoken) -> JSONResponse:
        return JSONResponse({"number": desk.say(spoken)})

    @app.post("/control/again/{kind}/{number}")
    def again(kind: str, number: int) -> JSONResponse:
        content = desk.journal.offered(kind, number)
        if content is None:
            return JSONResponse({"code": "no_such_file"}, 404)
        following = desk.journal.next_number(kind)
        desk.journal.offer(kind, following, content)
        return JSONResponse({"number": following})

    @app.post("/control/blunders")
    def blunder(body: Blunder) -> JSONResponse:
        line = Line(body.side, body.number, body.place, 0, 0, body.business_date)
        desk.journal.blunder(line, body.amount_fen)
        return JSONResponse({})

    @app.delete("/control/blunders")
    def repair() -> JSONResponse:
        desk.journal.repair()
        return JSONResponse({})

    @app.get("/control/codes")
    def codes() -> dict[str, list[list[int]]]:
        return desk.journal.codes()


def _offered(desk: Desk, kind: str, number: int) -> Response:
    content = desk.journal.offered(kind, number)
    if content is None:
        return JSONResponse({"code": "no_such_file"}, 404)
    return Response(content, media_type="application/octet-stream")


def _lines(side: str, lines: Sequence[ResultLine], business_date: date) -> list[Line]:
    return [Line(side, one.number, one.place, one.amount_fen, one.code, business_date) for one in lines]


@dataclass(frozen=True, slots=True)
class RunningCentre:
    """Where a centre listens; `process` may be killed, and another started on the same home."""

    url: str
    process: Program

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Order something under `/control`, or ask; what it answers."""
        answer = httpx.request(method, f"{self.url}/control{path}", json=body, trust_env=False, verify=False)
        return answer.raise_for_status().json()


@contextmanager
def running_centre(home: Path, code: str, hsm: str) -> Iterator[RunningCentre]:
    """Start a centre on a free loopback port, with its journal in `home`; it ends with the block.

    `hsm` is host:port of an HSM with the keys that it shares with the city.
    """
    with running_program("city.centre", home, "--code", code, "--hsm", hsm) as (port, process):
        yield RunningCentre(f"http://127.0.0.1:{port}", process)


def serve(
    code: Annotated[str, typer.Option(help="the code that the city knows it by")],
    hsm: Annotated[str, typer.Option(help="host:port of its HSM")],
    home: Annotated[Path, typer.Option(help="folder of its journal")],
    port: Annotated[int, typer.Option(help="port on the loopback; 0: any free one")] = 0,
    port_file: Annotated[Path | None, typer.Option(help="file to write the port to")] = None,
) -> None:
    """Serve the simulated centre until stopped."""
    home.mkdir(parents=True, exist_ok=True)
    with Hsm.at(parse_addresses(hsm)) as client:
        serve_app(make_centre(Desk(code, CentreJournal(home / "centre.db"), client)), port, port_file)


if __name__ == "__main__":
    typer.run(serve)
