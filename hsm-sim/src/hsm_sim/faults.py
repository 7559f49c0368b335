"""An HSM that is unwell, to play with: a program that stands before a real one and spoils what it answers.

`python -m hsm_sim.faults --to 127.0.0.1:1500 --port 1501 --fault slow`. It is no part of the HSM, so that no
option can ever make the HSM itself unwell.
"""

import asyncio
import os
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hsm_sim.wire import FrameDecoder, FrameError, Request

RECEIVE_BYTES = 65_536


class Fault(StrEnum):
    """What befalls an answer."""

    SLOW = "slow"
    """It comes later."""
    SILENT = "silent"
    """It does not come; neither do those behind it."""
    DROPPING = "dropping"
    """The connection ends in the middle of it."""
    REFUSING = "refusing"
    """The command is disabled: `68`."""
    WRONG_VERSION = "wrong-version"
    """There is no key of that version: `12`."""
    ALARM = "alarm"
    """The HSM was tampered with: `13`."""


ERRORS = {Fault.REFUSING: b"68", Fault.WRONG_VERSION: b"12", Fault.ALARM: b"13"}


class Unwell:
    """Carries conversations to an HSM and back; every `every`th answer, over all of them, meets with the fault."""

    def __init__(self, host: str, port: int, fault: Fault, *, every: int, delay_s: float) -> None:
        self._host, self._port = host, port
        self._fault, self._every, self._delay_s = fault, every, delay_s
        self._answers = 0

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it, the HSM or the fault ends the conversation."""
        try:
            from_hsm, to_hsm = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.ensure_future(_carry(reader, to_hsm)),
            asyncio.ensure_future(self._carry_answers(from_hsm, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.close()
            to_hsm.close()

    async def _carry_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameDecoder()
        while data := await reader.read(RECEIVE_BYTES):
            frames.feed(data)
            # An answer is framed as a request is; its error stands where a request's fields begin.
            while (answer := frames.next_request()) is not None:
                self._answers += 1
                if self._answers % self._every:
                    writer.write(_framed(answer, answer.fields))
                else:
                    await self._spoil(answer, writer)
            await writer.drain()

    async def _spoil(self, answer: Request, writer: asyncio.StreamWriter) -> None:
        """Send what is left of an answer. Raises FrameError where the conversation is to end with it."""
        whole = _framed(answer, answer.fields)
        match self._fault:
            case Fault.SLOW:
                await asyncio.sleep(self._delay_s)
                writer.write(whole)
            case Fault.SILENT:
                await asyncio.Event().wait()
            case Fault.DROPPING:
                writer.write(whole[: len(whole) // 2])
                await writer.drain()
                raise FrameError("dropped in mid-answer")
            case Fault.REFUSING | Fault.WRONG_VERSION | Fault.ALARM:
                # Whoever asks NC hears how the HSM is; it answers that to the last.
                kept = answer.command == b"ND"
                writer.write(whole if kept else _framed(answer, ERRORS[self._fault]))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(RECEIVE_BYTES):
        writer.write(data)
        await writer.drain()


def _framed(answer: Request, fields: bytes | memoryview) -> bytes:
    body = answer.header + answer.command + fields
    if len(body) < 0xFFFF:
        return len(body).to_bytes(2) + body
    return b"\xff\xff" + len(body).to_bytes(4) + body


async def _serve(unwell: Unwell, port: int, listening: Callable[[int], None]) -> None:
    server = await asyncio.start_server(unwell.converse, "127.0.0.1", port)
    listening(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


def _write_port(port_file: Path | None, port: int) -> None:
    if port_file is not None:
        draft = port_file.with_name(f".{port_file.name}.{os.getpid()}")
        draft.write_text(f"{port}\n")
        draft.replace(port_file)


def main(
    to: Annotated[str, typer.Option(help="host:port of the HSM that answers behind it.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")],
    fault: Annotated[Fault, typer.Option(help="What befalls answers.")],
    every: Annotated[int, typer.Option(min=1, help="Spoil one answer in so many.")] = 1,
    delay_s: Annotated[float, typer.Option(min=0, help="How much later a slow answer comes.")] = 1.0,
    port_file: Annotated[Path | None, typer.Option(help="Where to write the port once it listens.")] = None,
) -> None:
    """Stand before an HSM, on the loopback, and spoil its answers until stopped."""
    host, _, number = to.rpartition(":")
    if not host or not number.isdigit():
        typer.echo(f"hsm_sim.faults: --to is {to!r}; give host:port of an HSM", err=True)
        raise typer.Exit(2)
    typer.echo(f"UNWELL ON PURPOSE: {fault} before the HSM at {to}", err=True)
    unwell = Unwell(host, int(number), fault, every=every, delay_s=delay_s)
    try:
        asyncio.run(_serve(unwell, port, partial(_write_port, port_file)))
    except OSError as error:
        typer.echo(f"hsm_sim.faults: cannot listen on port {port}: {error}; choose another", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
