"""Asked once or many times, done once: the first answer to an `Idempotency-Key` is every later answer."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from api.http import tables
from api.http.problems import Problem, problem, render
from api.http.state import Deps, deps
from ledger.group import Busy

KEY_PATTERN: Final = r"^[!-~]{1,64}$"
CONFLICTS: Final = ("idempotency_key_missing", "idempotency_conflict", "idempotency_in_progress")
"""The problems of every endpoint that takes a key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answers: the status of success and its body."""

    status: int
    body: BaseModel


@dataclass(frozen=True, slots=True)
class Once:
    """One request with its key; `fingerprint` covers method, address and body."""

    doors: Deps
    key: str
    fingerprint: bytes

    def in_transaction(self, subject: str, work: Callable[[Connection], Answer | Problem]) -> Response:
        """Do `work` and keep its answer in one transaction, or give the answer kept before.

        A Problem below 500 is kept like any answer: raised, it undoes the work; returned, what the work wrote
        about it stays. A Problem of 500 and above, and any other exception, keeps nothing, so that the request
        may be tried again. `subject` is Caller's or Session's.
        """

        def once_only(conn: Connection) -> Response:
            if (kept := self._kept(conn, subject)) is not None:
                return kept
            response = _done(conn, work)
            self._keep(conn, subject, response)
            return response

        return self.doors.writer.write(once_only)

    def around(self, subject: str, work: Callable[[], Answer | Problem]) -> Response:
        """Do `work`, which has its own transactions and may wait for peers in between, once at a time.

        The key is taken first; whoever comes while the work goes on is told so. Work cut off is done again by
        the next request with the key once the lease is over, so its own steps go by natural keys.
        """
        if (kept := self.doors.writer.write(lambda conn: self._begun(conn, subject))) is not None:
            return kept
        try:
            response = _rendered(work())
        except (Problem, Busy) as refusal:
            if isinstance(refusal, Busy) or refusal.status >= 500:
                self.doors.writer.finish(
                    lambda conn: conn.execute(delete(tables.answer).where(self._here(subject)))
                )
                raise
            response = render(refusal)
        self.doors.writer.finish(lambda conn: self._keep(conn, subject, response))
        return response

    def _begun(self, conn: Connection, subject: str) -> Response | None:
        """The answer kept before; where there is none, the key is taken."""
        kept = self._kept(conn, subject)
        if kept is None:
            self._take(conn, subject)
        return kept

    def _here(self, subject: str) -> ColumnElement[bool]:
        columns = tables.answer.c
        return and_(columns.subject == subject, columns.idempotency_key == self.key)

    def _kept(self, conn: Connection, subject: str) -> Response | None:
        row = conn.execute(select(tables.answer).where(self._here(subject))).one_or_none()
        if row is None:
            return None
        if row.fingerprint != self.fingerprint:
            raise problem(
                "idempotency_conflict",
                f"Idempotency-Key {self.key} came before with another request; use a new key for this one",
            )
        if row.status is not None:
            replay = Response(row.body, row.status, media_type=row.media_type)
            replay.headers["Idempotency-Replayed"] = "true"
            return replay
        if row.begun_at + self.doors.lease > self.doors.now():
            raise problem(
                "idempotency_in_progress",
                f"the request with Idempotency-Key {self.key} is being answered; ask again in a moment",
            )
        return None

    def _take(self, conn: Connection, subject: str) -> None:
        conn.execute(delete(tables.answer).where(self._here(subject)))
        conn.execute(
            insert(tables.answer).values(
                subject=subject,
                idempotency_key=self.key,
                fingerprint=self.fingerprint,
                begun_at=self.doors.now(),
            )
        )

    def _keep(self, conn: Connection, subject: str, response: Response) -> None:
        held = conn.execute(select(tables.answer.c.begun_at).where(self._here(subject))).one_or_none()
        if held is None:
            self._take(conn, subject)
        body = bytes(response.body).decode()
        conn.execute(
            update(tables.answer)
            .where(self._here(subject))
            .values(status=response.status_code, media_type=response.media_type, body=body)
        )


async def once(
    request: Request,
    doors: Annotated[Deps, Depends(deps)],
    idempotency_key: Annotated[
        str,
        Header(alias="Idempotency-Key", pattern=KEY_PATTERN, description="1 to 64 visible ASCII characters"),
    ],
) -> Once:
    """The dependency of POSTs that move money: the request's key, required."""
    return Once(
        doors, idempotency_key, fingerprint(request.method, str(request.url.path), await request.body())
    )


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """SHA-256 of what is asked; a JSON body counts by content, not by spaces or the order of members."""
    try:
        content = json.dumps(json.loads(body), sort_keys=True).encode() if body else b""
    except (ValueError, RecursionError):
        content = body  # the endpoint refuses it in a moment; here it only needs to be told apart
    return hashlib.sha256(b"\n".join([method.encode(), path.encode(), content])).digest()


def _done(conn: Connection, work: Callable[[Connection], Answer | Problem]) -> Response:
    """The answer to the work; what a refused work had written before it was refused is undone."""
    savepoint = conn.begin_nested()
    try:
        given = work(conn)
    except Problem as refusal:
        if refusal.status >= 500:
            raise
        savepoint.rollback()
        return render(refusal)
    savepoint.commit()
    return _rendered(given)


def _rendered(given: Answer | Problem) -> Response:
    if isinstance(given, Problem):
        return render(given)
    return Response(given.body.model_dump_json(), given.status, media_type="application/json")
