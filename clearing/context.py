"""What a step of the night is given, and what it hands back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from threading import Event, Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from clearing.peers import NOBODY, Peers
from ledger.db import nothing_to_write, writing, writing_ahead

if TYPE_CHECKING:  # many know what a step hands back, and few run a night
    from card.hsm.client import Hsm
    from clearing.engine.rules import RuleEngine
    from clearing.sectors.transit.fare_tariff import FareTariff
    from clearing.wire.tariff import Tariff
    from ledger.archive import Archive as LedgerArchive


@dataclass(frozen=True, slots=True)
class Night:
    """One business day's clearing: which day, when it is booked, where its files are, who helps.

    `at` is the booking instant, kept by the runner so that a resumed night books the same; `progress`
    is told (what, done, total). `peers` are asked outside any transaction; none of them stops a night.
    `archive` keeps every byte ever received, `ledger_archive` the lines of months that have left the books;
    `rules` is the engine that decides.
    """

    business_date: date
    at: datetime
    folder: Path
    inbox: Path
    archive: Path
    hsm: "Hsm"
    tariffs: "tuple[Tariff | FareTariff, ...]"
    progress: Callable[[str, int, int], None]
    rules: "RuleEngine"
    peers: Peers = NOBODY
    ledger_archive: "LedgerArchive | None" = None

    @property
    def work(self) -> Path:
        """The folder of the files that one step leaves for the next."""
        return self.folder / "work"


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step found and made; `write` puts it into the database in the runner's one transaction.

    What `first` does is kept whatever comes of the rest, in a short transaction of its own; again, it changes nothing.
    Where `write` may begin `ahead` of the writer's lock, it asks for that itself, and until then books on the night's
    business date only. Then `bring` is the part that is long and concerns the night alone: it goes on beside, as
    `ledger.db.writing_ahead` has it, and does nothing where it finds that it was done; at its end `brought` is set.
    `more` gives a part whose counts and files are known only then: it is found while something else is waited for.
    """

    counts: Mapping[str, int]
    files: tuple[Path, ...] = ()
    write: Callable[[Connection], None] = nothing_to_write
    first: Callable[[Connection], None] = nothing_to_write
    bring: Callable[[Connection], None] = nothing_to_write
    brought: Event | None = None
    ahead: bool = False
    more: "Callable[[], StepResult] | None" = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", MappingProxyType(dict(self.counts)))

    def written(self, conn: Connection) -> "StepResult":
        """Write, and give what the step found and made, `more` and all."""
        self.write(conn)
        if self.more is None:
            return self
        more = self.more()
        return replace(
            self, counts={**self.counts, **more.counts}, files=(*self.files, *more.files), more=None
        )

    @contextmanager
    def transaction(self, engine: Engine) -> Iterator[Connection]:
        """The one in which it is to be written, with what goes on beside it, when what comes first is done."""
        if self.first is not nothing_to_write:
            with writing(engine) as conn:
                self.first(conn)
        if self.ahead:
            opened = writing_ahead(engine, beside=self.bring, ended=self.brought)
        else:
            opened = writing(engine)
        with opened as conn:
            yield conn


class StepProgress:
    """Tells how far a step is with `total` of `what`, some of which may be done at the same time as others."""

    def __init__(self, night: Night, what: str, total: int) -> None:
        self._night, self._what, self._total, self._done = night, what, total, 0
        self._alone = Lock()
        self.add(0)

    def add(self, count: int) -> None:
        """So many more are done; what is done a second time was counted before."""
        with self._alone:
            self._done += count
            self._night.progress(self._what, min(self._done, self._total), self._total)


class StepRefused(Exception):
    """A step that cannot go on: which, why, and what to do about it."""

    def __init__(self, step: str, reason: str, remedy: str) -> None:
        super().__init__(f"{step}: {reason}; {remedy}")
        self.step, self.reason, self.remedy = step, reason, remedy


Step = Callable[[Engine, Night], StepResult]
"""Reads a snapshot, computes, leaves files; writes nothing to the database before `StepResult.bring`."""
