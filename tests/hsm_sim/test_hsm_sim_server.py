"""Conversations over real sockets, on an event loop of the test: bounds, stalls, turns."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hsm_sim.box import Box
from hsm_sim.bulk_desk import BulkDesk
from hsm_sim.keys import demo_keys
from hsm_sim.server import TURN_REQUESTS, Bounds, Conversation, Hall

from tests.hsm_sim.raw_peer import frame

WORKER = [sys.executable, "-m", "hsm_sim.bulk_worker"]
ECHO = frame(b"B2", b"0003abc")
ECHOED = bytes.fromhex("000b 00000001") + b"B300abc"

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[], Coroutine[Any, Any, Peer]]


@asynccontextmanager
async def hall(bounds: Bounds, worker: list[str] = WORKER) -> AsyncIterator[tuple[Hall, Dial]]:
    """A hall that serves on a free port, and how to enter it."""
    box = Box(demo_keys(), bytes, "0" * 16, "test")
    served = Hall(box, BulkDesk(worker, os.environ, workers=1), bounds)
    server = await asyncio.get_running_loop().create_server(lambda: Conversation(served), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    watch = asyncio.create_task(served.watch())
    peers: list[Peer] = []

    async def dial() -> Peer:
        peers.append(await asyncio.open_connection("127.0.0.1", port))
        return peers[-1]

    try:
        yield served, dial
    finally:
        server.close()
        watch.cancel()
        await served.close()
        for _, writer in peers:
            writer.transport.abort()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True


def test_one_client_too_many_is_turned_away_and_the_others_stay() -> None:
    async def scenario() -> None:
        async with hall(Bounds(connections=2)) as (_, dial):
            first, second = await dial(), await dial()
            for reader, writer in (first, second):
                writer.write(ECHO)
                assert await reader.readexactly(len(ECHOED)) == ECHOED
            third = await dial()
            assert await ended(third[0])
            first[1].close()
            await first[1].wait_closed()
            await asyncio.sleep(0.05)
            reader, writer = await dial()
            writer.write(ECHO)
            assert await reader.readexactly(len(ECHOED)) == ECHOED

    run(scenario())


def test_a_client_that_stops_inside_a_frame_is_cut_off_and_an_idle_one_is_not() -> None:
    async def scenario() -> None:
        async with hall(Bounds(stall_s=0.2)) as (served, dial):
            idle, stalled = await dial(), await dial()
            idle[1].write(ECHO)
            stalled[1].write(ECHO + ECHO[:-1])
            assert await stalled[0].readexactly(len(ECHOED)) == ECHOED
            assert await ended(stalled[0])
            assert len(served.conversations) == 1
            assert await idle[0].readexactly(len(ECHOED)) == ECHOED
            idle[1].write(ECHO)
            assert await idle[0].readexactly(len(ECHOED)) == ECHOED

    run(scenario())


def test_a_client_that_takes_no_answers_is_cut_off_and_fills_no_memory() -> None:
    async def scenario() -> None:
        async with hall(Bounds(stall_s=0.3)) as (served, dial):
            greedy, other = await dial(), await dial()
            cast(asyncio.Transport, greedy[1].transport).pause_reading()
            big = frame(b"B2", b"FFFF" + bytes(0xFFFF)) * 400
            greedy[1].write(big)
            while len(served.conversations) == 2:
                other[1].write(ECHO)
                assert await other[0].readexactly(len(ECHOED)) == ECHOED
                for conversation in served.conversations:
                    assert conversation._transport.get_write_buffer_size() < 8_000_000
                await asyncio.sleep(0.01)

    run(scenario())


def test_a_client_with_much_to_ask_lets_another_in_between() -> None:
    async def scenario() -> None:
        async with hall(Bounds()) as (_, dial):
            busy, other = await dial(), await dial()
            asked = 200 * TURN_REQUESTS
            order: list[str] = []

            async def collect(peer: Peer, name: str, count: int) -> None:
                await peer[0].readexactly(count * len(ECHOED))
                order.append(name)

            busy[1].write(ECHO * asked)
            other[1].write(ECHO)
            await asyncio.gather(collect(busy, "busy", asked), collect(other, "other", 1))
            assert order == ["other", "busy"]

    run(scenario())


def test_answers_already_due_reach_a_client_whose_next_frame_is_wrong() -> None:
    async def scenario() -> None:
        async with hall(Bounds()) as (_, dial):
            reader, writer = await dial()
            writer.write(ECHO * 3 + b"\x00\x01x" + ECHO)
            assert await reader.read(-1) == ECHOED * 3

    run(scenario())


def test_a_client_that_has_said_all_still_gets_every_answer() -> None:
    async def scenario() -> None:
        async with hall(Bounds()) as (_, dial):
            reader, writer = await dial()
            writer.write(ECHO * 100 + frame(b"F0", (9).to_bytes(4) + bytes(9 * 44)) + ECHO)
            writer.write_eof()
            answers = await reader.read(-1)
            assert (
                answers
                == ECHOED * 100 + bytes.fromhex("000e 00000001") + b"F100" + b"\0\0\0\x09\0\0" + ECHOED
            )

    run(scenario())


def test_a_worker_that_fails_costs_its_asker_the_connection_and_nobody_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        broken = [sys.executable, "-c", "import sys; sys.stdin.buffer.read(1)"]
        for worker in (broken, [str(tmp_path / "there is no such program")]):
            async with hall(Bounds(), worker) as (_, dial):
                asker, other = await dial(), await dial()
                asker[1].write(frame(b"F0", (1).to_bytes(4) + bytes(44)))
                assert await ended(asker[0])
                other[1].write(ECHO)
                assert await other[0].readexactly(len(ECHOED)) == ECHOED

    run(scenario())


@pytest.mark.parametrize("rows", [0, 1, 8, 9])
def test_bulk_answers_have_a_bit_a_row(rows: int) -> None:
    async def scenario() -> None:
        async with hall(Bounds()) as (_, dial):
            reader, writer = await dial()
            writer.write(frame(b"F0", rows.to_bytes(4) + bytes(44 * rows)))
            bits = -(-rows // 8)
            answer = await reader.readexactly(2 + 8 + 4 + bits)
            assert answer[2:] == b"\0\0\0\1F100" + rows.to_bytes(4) + bytes(bits)

    run(scenario())
