"""Where bulk work waits for one of the worker processes, which are started when first needed."""

import asyncio
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import Mapping, Sequence

from hsm_sim.bulk_work import BulkWork


class BulkDesk:
    """Hands bulk work to at most `workers` processes, first come first served, and keeps them."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, workers: int) -> None:
        self._command = tuple(command)
        self._environment = dict(environment)
        self._turns = asyncio.Semaphore(workers)
        self._started: list[Process] = []
        self._idle: list[Process] = []

    async def verify(self, work: BulkWork) -> bytes:
        """A bit a row, most significant first. Raises OSError where the worker cannot be had or fails."""
        async with self._turns:
            process = self._take_idle() or await self._start()
            try:
                verdicts = await _ask(process, work)
            except (OSError, asyncio.IncompleteReadError) as error:
                _kill(process)
                raise ChildProcessError(f"bulk worker {process.pid} failed: {error}") from error
            except asyncio.CancelledError:
                # A worker stopped in mid-work would answer the next asker with this one's verdicts.
                _kill(process)
                raise
            self._idle.append(process)
            return verdicts

    async def close(self) -> None:
        """End the workers; to be called when nobody waits for them any more."""
        for process in self._started:
            _kill(process)
            await process.wait()
        self._started.clear()
        self._idle.clear()

    def _take_idle(self) -> Process | None:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        return None

    async def _start(self) -> Process:
        process = await create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE, env=self._environment)
        self._started.append(process)
        return process


async def _ask(process: Process, work: BulkWork) -> bytes:
    work_out, verdicts_in = _pipes(process)
    work_out.write(work.head())
    work_out.write(work.columns)
    await work_out.drain()
    return await verdicts_in.readexactly(work.verdict_bytes)


def _pipes(process: Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    if process.stdin is None or process.stdout is None:
        raise ChildProcessError(f"bulk worker {process.pid} has no pipes")
    return process.stdin, process.stdout


def _kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
