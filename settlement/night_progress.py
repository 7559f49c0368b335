"""A night while it runs: what it is at, how fast, and when it will be done; told to a file that others read.

The file lies beside the nights' folders and not in the database, which is the night's own to write while it books.
It is no record: a night that is taken up again asks the database what is done.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from clearing.atomic_files import write_bytes
from clearing.context import StepResult
from settlement.night_pace import UNKNOWN, Pace

PROGRESS_FILE: Final = "progress.json"
TELL_EVERY: Final = timedelta(milliseconds=500)
"""The file is renewed so often at the most, and at each step's beginning and end."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a night stands. `done` of `total` rows of `what`; no total: the step does not say how far it is."""

    business_date: date
    step: str
    steps_done: int
    steps: int
    what: str
    done: int
    total: int
    began_at: datetime  # the night, as this process took it up
    step_began_at: datetime
    told_at: datetime
    step_ends_at: datetime
    night_ends_at: datetime

    @property
    def per_s(self) -> int:
        """Rows a second since the step began."""
        passed_ms = (self.told_at - self.step_began_at) // timedelta(milliseconds=1)
        return self.done * 1_000 // passed_ms if passed_ms else 0


class Watch:
    """Follows one night: hand `progress` to the Night and `observe` to the runner.

    `clock` tells the instant; `pace` and `taps` are what the night is expected to take, until it has counted
    its taps itself; `show` is called with every new Progress, and with the result of each step that is done.
    """

    def __init__(
        self,
        business_date: date,
        steps: Sequence[str],
        pace: Mapping[str, Pace],
        taps: int,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        show: Callable[[Progress, StepResult | None], None],
    ) -> None:
        self._day, self._steps, self._pace, self._taps = business_date, list(steps), pace, taps
        self._path, self._clock, self._show = folder / PROGRESS_FILE, clock, show
        self._began_at = self._step_began_at = self._told_at = clock()
        self._at = 0
        self._expected_ms = self._took_ms = 0
        self._counted: tuple[str, int, int] | None = None

    def progress(self, what: str, done: int, total: int) -> None:
        """So many rows of the running step are done."""
        self._counted = (what, done, total)
        if done == total or self._clock() - self._told_at >= TELL_EVERY:
            self._tell(None)

    def observe(self, step: str, state: str, result: StepResult | None) -> None:
        """A step of the night began, ended, or had ended before."""
        self._at = self._steps.index(step)
        if state == "started":
            self._step_began_at, self._counted = self._clock(), None
            self._tell(None)
        elif state == "done" and result is not None:
            self._expected_ms += self._expected(step)
            self._took_ms += _ms(self._clock() - self._step_began_at)
            if step == "collect":
                self._taps = result.counts["taps"]
            self._at += 1
            self._tell(result)

    def _tell(self, result: StepResult | None) -> None:
        now = self._clock()
        step_left_ms = self._step_left_ms(now) if result is None else 0
        ahead = self._steps[self._at + (result is None) :]
        night_left_ms = step_left_ms + sum(self._scaled(self._expected(step)) for step in ahead)
        what, done, total = self._counted or ("taps", 0, 0)
        told = Progress(
            self._day, self._steps[self._at - (result is not None)], self._at, len(self._steps), what, done, total,
            self._began_at, self._step_began_at, now,
            now + timedelta(milliseconds=step_left_ms), now + timedelta(milliseconds=night_left_ms),
        )  # fmt: skip
        self._told_at = now
        # A disk too full for these few bytes must not stop a step that needs none of it.
        with suppress(OSError):
            write_bytes(self._path, progress_json(told))
        self._show(told, result)

    def _step_left_ms(self, now: datetime) -> int:
        passed_ms = _ms(now - self._step_began_at)
        if self._counted is not None:
            _, done, total = self._counted
            if done:
                return passed_ms * (total - done) // done
        return max(0, self._scaled(self._expected(self._steps[self._at])) - passed_ms)

    def _expected(self, step: str) -> int:
        return self._pace.get(step, UNKNOWN).expected_ms(self._taps)

    def _scaled(self, ms: int) -> int:
        """What is expected, as this night has kept to it so far: a busy machine is busy to the end."""
        if self._took_ms < 1_000 or not self._expected_ms:
            return ms
        return (
            ms * min(max(self._took_ms, self._expected_ms // 4), self._expected_ms * 4) // self._expected_ms
        )


def progress_json(told: Progress) -> bytes:
    """A Progress as the file's bytes."""
    return json.dumps(asdict(told), default=lambda value: value.isoformat(), indent=1).encode() + b"\n"


def read_progress(folder: Path) -> Progress | None:
    """What the night that ran last below `folder` told last; None where none ever told anything.

    Raises ValueError where the file is not one that a night of this release wrote.
    """
    try:
        said = json.loads((folder / PROGRESS_FILE).read_bytes())
    except FileNotFoundError:
        return None
    instants = ("began_at", "step_began_at", "told_at", "step_ends_at", "night_ends_at")
    try:
        said |= {name: datetime.fromisoformat(said[name]) for name in instants}
        return Progress(**{**said, "business_date": date.fromisoformat(said["business_date"])})
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / PROGRESS_FILE} is not a night's; remove it, the next night writes it anew"
        ) from error


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
