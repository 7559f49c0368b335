"""The gateway without its sockets: a terminal's message in, the answer out."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from api.gateway.answers import answer_to, balance_field
from api.gateway.booking import Booking, book_in_turn
from api.gateway.codes import Code
from api.gateway.facts import Citizen, look_up
from api.gateway.network import NETWORK_MTI, Network, admitted
from api.gateway.requests import Flaw, Request, Task, read_request
from api.gateway.terminals import find_terminal
from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from clearing.wire.iso8583 import (
    Message,
    MessageError,
    Specification,
    answering_tpdu,
    decode,
    encode,
    encode_with_mac,
    mac_parts,
    split_tpdu,
    spoken,
)
from ledger.db import reading
from ledger.group import Busy, Closed, GroupCommit
from ledger.sharing import PATIENCE_S

ANSWERED = (NETWORK_MTI, "0200", "0220", "0400")
TOGETHER = 64
"""Bookings in one transaction; each terminal has one at a time, so more come only from a crowd."""
T = TypeVar("T")
log: structlog.stdlib.BoundLogger = structlog.get_logger("onecard.gateway")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message is not dealt with; `key` signs the answer where the message was authentic."""

    code: Code
    key: bytes | None = None
    field: int | None = None


@dataclass(frozen=True, slots=True)
class Authentic:
    """A request that its terminal made, and what was looked up about it.

    `key` is the working key that it used, `first_use` whether that had been on offer until now.
    """

    request: Request
    key: bytes
    first_use: bool
    found: Citizen | Code | int | None


class Gateway:
    """Answers messages for many connections at once. Database and HSM are asked on threads of its own.

    `now` is the clock; `patience_s` is how long a booking may wait for its turn. Must be used from one event
    loop; `close` ends its threads.
    """

    def __init__(
        self,
        engine: Engine,
        hsm: Hsm,
        now: Callable[[], datetime],
        *,
        threads: int = 8,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._engine = engine
        self._hsm = hsm
        self._now = now
        self._threads = ThreadPoolExecutor(threads, "gateway")
        self._desk = GroupCommit(engine, self._book, most=TOGETHER, patience_s=patience_s)
        self._network = Network(engine, hsm, now)

    async def close(self) -> None:
        """Finish what is in hand and let the threads go."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._desk.close)
        await loop.run_in_executor(None, self._threads.shutdown)

    async def answer(self, body: bytes) -> bytes | None:
        """The answer to one message, with its transport header turned round; None ends the connection.

        None is for what names no terminal and trace number that could be answered.
        """
        tpdu, data = split_tpdu(body)
        try:
            spec = spoken(data)
            message = decode(data, spec)
        except MessageError as error:
            said = self._unreadable(data, error)
        else:
            if message.get(11) and message.get(41):
                said = await self._dealt_with(data, message, spec)
            else:
                log.warning("a message names no terminal or trace number", mti=message.mti)
                said = None
        return None if said is None else answering_tpdu(tpdu) + said

    def _unreadable(self, data: bytes, error: MessageError) -> bytes | None:
        """Say which field is wrong, where there is anybody to say it to."""
        log.warning("a message cannot be read", reason=str(error), terminal=error.readable.get(41))
        if error.mti not in ANSWERED or not (error.readable.get(11) and error.readable.get(41)):
            return None
        readable = Message(error.mti, error.readable)
        return encode(answer_to(readable, Code.FORMAT_ERROR, f44=str(error.field)), spoken(data))

    async def _dealt_with(self, data: bytes, message: Message, spec: Specification) -> bytes | None:
        if message.mti not in ANSWERED:
            log.warning("a message of a type that nobody answers", mti=message.mti, terminal=message.get(41))
            return None
        try:
            if message.mti == NETWORK_MTI:
                return encode(await self._in_thread(self._network.answer, message, spec), spec)
            return await self._requested(data, message, spec)
        except (SQLAlchemyError, HsmError, Busy, Closed) as error:
            # Whether it was booked is not known here, nor does the terminal know: it will reverse. Where too
            # many wait it surely was not, and the terminal is told the same: ask again.
            log.error("a message was not dealt with", mti=message.mti, reason=str(error))
            return encode(answer_to(message, Code.NOT_NOW), spec)

    async def _requested(self, data: bytes, message: Message, spec: Specification) -> bytes:
        made = await self._in_thread(self._authentic, data, message, spec)
        if isinstance(made, Refusal):
            more = {} if made.field is None else {"f44": str(made.field)}
            said, key = answer_to(message, made.code, **more), made.key
        elif made.request.task is Task.BALANCE:
            said, key = _balance(message, made.found), made.key
        else:
            citizen = None if isinstance(made.found, int) else made.found
            new_key = made.key if made.first_use else None
            said = await self._desk.answer(Booking(made.request, message, citizen, new_key))
            key = made.key
        if key is None:
            return encode(said, spec)
        return await self._in_thread(self._signed, said, spec, key)

    def _authentic(self, data: bytes, message: Message, spec: Specification) -> Authentic | Refusal:
        """Read a request, if the terminal that it names made it."""
        with reading(self._engine) as conn:
            terminal = admitted(find_terminal(conn, message.get(41)), spec)
        if isinstance(terminal, Code):
            return Refusal(terminal)
        parts = mac_parts(data, message, spec)
        keys = () if parts is None else terminal.keys
        key = next((key for key in keys if parts and self._hsm.verify_terminal_mac(key, *parts)), None)
        if key is None:
            return Refusal(Code.MAC_WRONG)
        request = read_request(message, now=self._now())
        if isinstance(request, Flaw):
            return Refusal(request.code, key, request.field)
        if request.merchant != terminal.merchant:
            return Refusal(Code.MERCHANT_WRONG, key, 42)
        with reading(self._engine) as conn:
            return Authentic(request, key, key == terminal.offered_key, look_up(conn, request))

    def _signed(self, said: Message, spec: Specification, key: bytes) -> bytes:
        return encode_with_mac(said, spec, lambda covered: self._hsm.terminal_mac(key, covered))

    def _book(self, conn: Connection, bookings: Sequence[Booking]) -> list[Message]:
        return book_in_turn(conn, bookings, at=self._now())

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _balance(message: Message, found: Citizen | Code | int | None) -> Message:
    if isinstance(found, int):
        return answer_to(message, Code.APPROVED, f54=balance_field(found))
    return answer_to(message, found if isinstance(found, Code) else Code.NOT_NOW)
