"""Where bulk work waits for one of the worker processes, which are started when first needed."""

import asyncio
import mmap
import os
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hsm_sim.bulk_work import ROW_BYTES, ROWS_BOUND, BulkWork


@dataclass(frozen=True, slots=True)
class Worker:
    """A process and the memory shared with it, in which it finds the columns: no pipe is wide enough for them."""

    process: Process
    shared: mmap.mmap

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> "Worker":
        """Start a worker, telling it as its last word the number of the shared memory. May raise OSError."""
        memory = os.memfd_create("hsm-sim bulk")
        try:
            os.ftruncate(memory, ROWS_BOUND * ROW_BYTES)
            shared = mmap.mmap(memory, 0)
            process = await create_subprocess_exec(
                *command, str(memory), stdin=PIPE, stdout=PIPE, env=environment, pass_fds=(memory,)
            )
        finally:
            os.close(memory)
        return cls(process, shared)

    async def verify(self, work: BulkWork) -> bytes:
        """A bit a row. May raise OSError or asyncio.IncompleteReadError; the worker is then of no more use."""
        work_out, verdicts_in = self.process.stdin, self.process.stdout
        if work_out is None or verdicts_in is None:
            raise ChildProcessError("it has no pipes")
        self.shared[: len(work.columns)] = work.columns
        work_out.write(work.head())
        await work_out.drain()
        return await verdicts_in.readexactly(work.verdict_bytes)

    def kill(self) -> None:
        """End it at once."""
        if self.process.returncode is None:
            self.process.kill()


class BulkDesk:
    """Hands bulk work to at most `workers` processes, first come first served, and keeps them."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, workers: int) -> None:
        self._command = tuple(command)
        self._environment = dict(environment)
        self._turns = asyncio.Semaphore(workers)
        self._started: list[Worker] = []
        self._idle: list[Worker] = []

    async def verify(self, work: BulkWork) -> bytes:
        """A bit a row, most significant first. Raises OSError where the worker cannot be had or fails."""
        async with self._turns:
            worker = self._take_idle() or await self._start()
            try:
                verdicts = await worker.verify(work)
            except (OSError, asyncio.IncompleteReadError) as error:
                worker.kill()
                raise ChildProcessError(f"bulk worker {worker.process.pid} failed: {error}") from error
            except asyncio.CancelledError:
                # A worker stopped in mid-work would answer the next asker with this one's verdicts.
                worker.kill()
                raise
            self._idle.append(worker)
            return verdicts

    async def close(self) -> None:
        """End the workers; to be called when nobody waits for them any more."""
        for worker in self._started:
            worker.kill()
            await worker.process.wait()
            worker.shared.close()
        self._started.clear()
        self._idle.clear()

    def _take_idle(self) -> Worker | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.returncode is None:
                return worker
        return None

    async def _start(self) -> Worker:
        worker = await Worker.start(self._command, self._environment)
        self._started.append(worker)
        return worker
