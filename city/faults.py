"""How a simulated institution's answers go wrong, as it is ordered: by the address that is asked, so many times."""

import asyncio
from enum import StrEnum
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field


class Fault(StrEnum):
    """How the next answers go wrong."""

    UNDONE = "undone"
    """Nothing is done, and the answer is an error of the server."""
    LOST = "lost"
    """It is done, and the answer is an error of the server."""
    LATE = "late"
    """It is done, and the answer comes after more than anyone waits for."""
    GARBAGE = "garbage"
    """It is done, and the answer cannot be read."""


class FaultOrder(BaseModel):
    """A fault for the next `times` requests to addresses that begin with `path`."""

    path: str
    fault: Fault
    times: int = Field(ge=1)
    late_s: float = 1.0


def misbehave_as_ordered(app: FastAPI, faults: list[FaultOrder], *, token: str = "") -> None:
    """Let an application's answers go wrong by the orders in `faults`; with a token it answers only who brings it."""

    @app.middleware("http")
    async def misbehave(request: Request, call_next: Any) -> Response:
        if token and request.headers.get("Authorization") != f"Bearer {token}":
            return JSONResponse({"code": "unauthorised"}, 401)
        order = next((one for one in faults if request.url.path.startswith(one.path)), None)
        if order is None:
            answer: Response = await call_next(request)
            return answer
        order.times -= 1
        if order.times == 0:
            faults.remove(order)
        if order.fault is Fault.UNDONE:
            return JSONResponse({"code": "out_of_order"}, 503)
        answer = await call_next(request)
        return await _spoilt(answer, order)

    @app.post("/control/faults")
    def order_fault(order: FaultOrder) -> JSONResponse:
        faults.append(order)
        return JSONResponse({})

    @app.delete("/control/faults")
    def behave() -> JSONResponse:
        faults.clear()
        return JSONResponse({})


async def _spoilt(answer: Response, order: FaultOrder) -> Response:
    if order.fault is Fault.LATE:
        await asyncio.sleep(order.late_s)
        return answer
    if order.fault is Fault.GARBAGE:
        return Response(b"\x00{not json", 200, media_type="application/json")
    return JSONResponse({"code": "answer_lost"}, 502)
