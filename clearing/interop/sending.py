"""Telling centres: every file of ours that a centre does not have yet, until it says that it does."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select, update

from clearing.archive import fetch
from clearing.context import Night, StepResult
from clearing.interop.files import FRAMES, Kind
from clearing.interop.peer import CentreClient, NoAnswer, shortened
from clearing.interop.results import clear_results
from clearing.interop.tables import centre_file
from clearing.peers import SILENT_IN_A_ROW
from ledger.db import reading


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A file of ours that its centre has not said to have; `last_word` is what came of the last attempt."""

    centre: str
    kind: Kind
    number: int
    digest: str
    attempts: int
    last_word: str


def tell_centres(engine: Engine, night: Night) -> StepResult:
    """Send every file that is not delivered to the centres that are connected; silence stops nothing.

    Killed before it is written down, a file is sent again, and the centre knows it.
    """
    with reading(engine) as conn:
        clear_results(conn, night)
        due = undelivered(conn)
    told: list[tuple[Undelivered, bool, str]] = []
    silent: dict[str, int] = {}
    for one in due:
        client = night.peers.centres.get(one.centre)
        if client is None or silent.get(one.centre, 0) == SILENT_IN_A_ROW:
            continue
        delivered, word = _send(night, client, one)
        silent[one.centre] = 0 if delivered or word.startswith("refused") else silent.get(one.centre, 0) + 1
        told.append((one, delivered, word))

    def write(conn: Connection) -> None:
        for one, delivered, word in told:
            _note(conn, night, one, delivered=delivered, word=word)

    counts = {
        "files": len(due),
        "delivered": sum(delivered for _, delivered, _ in told),
        "refused": sum(word.startswith("refused") for _, _, word in told),
        "silent": sum(word.startswith("no answer") for _, _, word in told),
        "untried": len(due) - len(told),
    }
    return StepResult(counts, write=write)


def undelivered(conn: Connection) -> list[Undelivered]:
    """Our files that their centres do not have, by centre, kind and number."""
    columns = centre_file.c
    query = (
        select(
            columns.centre, columns.kind, columns.number, columns.digest, columns.attempts, columns.last_word
        )
        .where(columns.delivered_at.is_(None), columns.kind != Kind.RESULT.value)
        .order_by(columns.centre, columns.kind, columns.number)
    )
    return [Undelivered(row.centre, Kind(row.kind), *row[2:]) for row in conn.execute(query)]


def _send(night: Night, client: CentreClient, one: Undelivered) -> tuple[bool, str]:
    try:
        answer = client.send(FRAMES[one.kind].name(one.centre, one.number), fetch(night.archive, one.digest))
    except NoAnswer as error:
        return False, shortened(f"no answer: {error}")
    return answer.taken, "" if answer.taken else shortened(f"refused: {answer.message}")


def _note(conn: Connection, night: Night, one: Undelivered, *, delivered: bool, word: str) -> None:
    columns = centre_file.c
    conn.execute(
        update(centre_file)
        .where(columns.centre == one.centre, columns.kind == one.kind.value, columns.number == one.number)
        .values(attempts=one.attempts + 1, last_word=word, delivered_at=night.at if delivered else None)
    )
