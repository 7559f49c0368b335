"""Work that writes, of a program that answers many at once: what comes together shares a transaction.

A piece of work is a function of a connection. It stands under a savepoint of its own, so that what it raises undoes
its own part and nobody else's, and it is answered when the transaction is committed. A piece of work must not
end the transaction, wait for a peer, or write in another way meanwhile: everybody waits for it. It may be
done twice where a commit's outcome is unknown, so that it goes by natural keys.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ledger.db import writing
from ledger.group import Busy, Closed, GroupCommit

T = TypeVar("T")
Work = Callable[[Connection], Any]

MOST_TOGETHER: Final = 32
"""Pieces of work in one transaction: each with a savepoint inside its own, PostgreSQL still keeps all of them
in shared memory, where it has room for 64 of a transaction."""

PATIENCE_S: Final = 10.0
"""How long a piece of work may wait for its turn, behind a night that posts as well as behind others."""


class Writer(Protocol):
    """How a program writes: each piece of work in a transaction alone, or shared with what comes together."""

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do a piece of work and give its answer once it is durable; raises what the work raised.

        Raises Busy where the work was not begun: too many wait, they wait too long, or the program is ending.
        """

    def finish(self, work: Callable[[Connection], T]) -> T:
        """The same for work that follows on what is done already, such as a peer's answer: it is never Busy."""


@dataclass(frozen=True, slots=True)
class Alone:
    """Each piece of work in a transaction of its own, as in a program that does one thing at a time."""

    engine: Engine

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work and commit; it waits for other writers as long as it must."""
        with writing(self.engine) as conn:
            return work(conn)

    def finish(self, work: Callable[[Connection], T]) -> T:
        """The same."""
        return self.write(work)


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a piece of work raised; its part of the transaction is undone."""

    error: BaseException


class Shared:
    """The one writer of a program, for all its threads; begun in the order asked. Close it when nobody asks more."""

    def __init__(
        self, engine: Engine, *, most_together: int = MOST_TOGETHER, patience_s: float = PATIENCE_S
    ) -> None:
        self._alone = Alone(engine)
        self._inside = threading.local()
        self._group = GroupCommit[Work, Any](
            engine, self._do, most=most_together, capacity=100 * most_together, patience_s=patience_s
        )

    def __enter__(self) -> "Shared":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work with others' and give its answer once it is durable; raises what it raised, or Busy."""
        if getattr(self._inside, "a_transaction", False):
            raise RuntimeError("work asked to write from inside of work; give it the connection instead")
        try:
            answer = self._group.ask(work)
        except Closed as error:
            raise Busy(str(error)) from error
        if isinstance(answer, _Raised):
            raise answer.error
        done: T = answer
        return done

    def finish(self, work: Callable[[Connection], T]) -> T:
        """The same, in a transaction of its own where it would be Busy."""
        try:
            return self.write(work)
        except Busy:
            return self._alone.finish(work)

    def close(self) -> None:
        """Take no more, and answer all that was taken."""
        self._group.close()

    def _do(self, conn: Connection, works: Sequence[Work]) -> Sequence[object]:
        self._inside.a_transaction = True
        try:
            if len(works) == 1:
                return [works[0](conn)]  # alone, the transaction itself is undone
            return [_under_savepoint(conn, work) for work in works]
        finally:
            self._inside.a_transaction = False


def _under_savepoint(conn: Connection, work: Work) -> object:
    """The answer of one piece of work, or what it raised."""
    savepoint = conn.begin_nested()
    answer: object
    try:
        answer = work(conn)
    except BaseException as error:  # it is raised again to whoever asked
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
        answer = _Raised(error)
    if not savepoint.is_active:
        # What the others wrote went with it; the group is asked again one by one.
        raise RuntimeError("work ended the transaction that it shares; leave that to the writer")
    if isinstance(answer, _Raised):
        # Where the database has given the whole transaction up, this raises: nobody's part stands.
        savepoint.rollback()
    else:
        savepoint.commit()
    return answer
