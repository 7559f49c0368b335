"""Operators' batch files: sent under their own name, looked at on the way in, decided by the night."""

from tempfile import TemporaryFile
from typing import Annotated, Any, BinaryIO, Final

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, StringConstraints
from starlette.concurrency import run_in_threadpool

from api.http.access import Caller, institution
from api.http.problems import Problem, documented, problem
from api.http.state import Deps, deps
from clearing.landing import DoorRefusal, Landing, Sent, TurnedAway, parse_name, receive, standing
from clearing.receipts import Receipt, Status
from ledger.day import current_day
from ledger.db import reading

router = APIRouter(prefix="/v1/batches", tags=["batches"])

Operator = Annotated[Caller, Depends(institution("batches:write"))]
Doors = Annotated[Deps, Depends(deps)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class BatchView(BaseModel):
    """Where a file stands. `reason`, `offset`, `message` and `remedy` say of a rejected one what was wrong."""

    name: str
    sha256: str
    status: Status
    reason: str | None = None
    offset: int | None = None
    message: str | None = None
    remedy: str | None = None


@router.put(
    "/{name}",
    status_code=202,
    response_model=BatchView,
    response_model_exclude_unset=True,
    responses=documented(DoorRefusal, "not_found"),
    openapi_extra=FILE,
)
async def send(name: Name, request: Request, caller: Operator, doors: Doors) -> BatchView:
    """Send one of the caller's own files. The same file again is answered alike; the night decides about it."""
    landing = _landing(doors)
    landing.inbox.mkdir(parents=True, exist_ok=True)
    # The file has no name while it comes in, so that nothing is left of one that is cut off.
    with TemporaryFile(dir=landing.inbox) as spool:
        async for chunk in request.stream():
            await run_in_threadpool(spool.write, chunk)
        return await run_in_threadpool(_take, doors, landing, caller, name, spool)


@router.get(
    "/{name}",
    response_model=BatchView,
    response_model_exclude_unset=True,
    responses=documented("batch_name_malformed", "other_operator", "batch_unknown", "not_found"),
)
def look(name: Name, caller: Operator, doors: Doors) -> BatchView:
    """What became of one of the caller's files; beyond `waiting` it is what its `.ack` says."""
    landing = _landing(doors)
    if (parsed := parse_name(name)) is None:
        raise problem("batch_name_malformed", f"{name!r} is no batch's name; ask as METRO-1-00000042.ocb")
    if parsed[1] != caller.participant:
        raise problem("other_operator", f"{name} is a file of {parsed[1]}; ask about your own")
    with reading(doors.engine) as conn:
        found = standing(conn, landing, name)
    if found is None:
        raise problem("batch_unknown", f"no file named {name} has come; send it")
    return _view(found)


def _landing(doors: Deps) -> Landing:
    if doors.landing is None:
        raise problem("not_found", "this service takes no batch files; ask operations where to send them")
    return doors.landing


def _take(doors: Deps, landing: Landing, caller: Caller, name: str, spool: BinaryIO) -> BatchView:
    spool.seek(0)
    file = Sent(caller.participant, name, spool.read())
    with reading(doors.engine) as conn:
        business_date = current_day(conn)
    answer = receive(doors.engine, doors.writer, landing, file, business_date)
    if isinstance(answer, TurnedAway):
        raise _refused(answer)
    return _view(answer)


def _refused(answer: TurnedAway) -> Problem:
    """The problem of a file turned away; its members say what the `.ack` would."""
    said = answer.receipt.content
    message, remedy = str(said["message"]), str(said["remedy"])
    detail = message if message.endswith(remedy) else f"{message}; {remedy}"
    # `status` is the problem's own member, the HTTP status.
    return problem(answer.refusal.value, detail, **{name: said[name] for name in said if name != "status"})


def _view(receipt: Receipt) -> BatchView:
    return BatchView.model_validate(receipt.content)
