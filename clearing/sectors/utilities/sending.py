"""Telling billers what they have yet to be told: outside any transaction, each biller at its own pace."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine

from clearing.context import Night, StepResult
from clearing.peers import SILENT_IN_A_ROW
from clearing.sectors.utilities.moves import happen
from clearing.sectors.utilities.notices import (
    ClosedNotice,
    Closing,
    DueNotice,
    close_notices,
    due_notices,
    put_off_notices,
)
from clearing.sectors.utilities.peer import Answer, BillerClient, BillerClients, NoAnswer, shortened
from clearing.sectors.utilities.states import heard
from ledger.db import reading, writing

MOST_AT_ONCE: Final = 8
"""Billers told at the same time."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a round of notices: answers of either kind, silence, money the books kept, not tried."""

    taken: int = 0
    refused: int = 0
    silent: int = 0
    stuck: int = 0
    untried: int = 0

    def __add__(self, other: "Sent") -> "Sent":
        return Sent(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Told:
    """A notice that was sent, and the answer; where there is none, `silence` says why."""

    due: DueNotice
    answer: Answer | None
    silence: str = ""


def send_notices(
    engine: Engine, clients: BillerClients, at: datetime, *, limit: int = 500, put_off_too: bool = False
) -> Sent:
    """Send what is due by `at`, at most `limit` a biller, and apply the answers.

    `put_off_too` sends also what a silent biller had put off to a later try, as when it is known to be back.
    A kill at any instant loses nothing: what was sent and not recorded is sent again. Raises
    ledger.day.DayOrderError where money is to go back and no business day is open.
    """
    with reading(engine) as conn:
        rounds = {
            biller: due
            for biller in sorted(clients)
            if (due := due_notices(conn, biller=biller, by=None if put_off_too else at, limit=limit))
        }
    sent = Sent()
    for _, told, untried in tell_billers_at_once(clients, rounds):
        with writing(engine) as conn:
            sent += record_answers(conn, told, at=at) + Sent(untried=untried)
    return sent


def tell_billers(engine: Engine, night: Night) -> StepResult:
    """Tell every biller, as a step of the night, what it has yet to be told, whenever it was tried last.

    A bill paid today and told now is in the biller's file of today. What the billers answered is written in
    the runner's one transaction; a kill before it forgets the answers, and the billers are told again.
    """
    with reading(engine) as conn:
        due = due_notices(conn)
    rounds: dict[str, list[DueNotice]] = {}
    for one in due:
        rounds.setdefault(one.notice.biller, []).append(one)
    reached = {biller: rounds[biller] for biller in sorted(rounds.keys() & night.peers.billers.keys())}
    told = sorted(tell_billers_at_once(night.peers.billers, reached), key=lambda finished: finished[0])

    def write(conn: Connection) -> None:
        for _, answers, _ in told:
            record_answers(conn, answers, at=night.at)

    answers = [one.answer for _, those, _ in told for one in those]
    counts = {
        "notices": len(due),
        "taken": sum(answer is not None and answer.taken for answer in answers),
        "refused": sum(answer is not None and not answer.taken for answer in answers),
        "silent": answers.count(None),
        "untried": len(due) - len(answers),
    }
    return StepResult(counts, write=write)


def tell_billers_at_once(
    clients: BillerClients, rounds: Mapping[str, Sequence[DueNotice]]
) -> Iterator[tuple[str, list[Told], int]]:
    """Tell billers, several at a time; each with what it answered and how many were not tried, as it ends."""
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        waiting = {pool.submit(tell_each, clients[biller], due): biller for biller, due in rounds.items()}
        for finished in as_completed(waiting):
            told, untried = finished.result()
            yield waiting[finished], told, untried


def tell_each(client: BillerClient, due: Sequence[DueNotice]) -> tuple[list[Told], int]:
    """Tell one biller, notice by notice; what it answered, and how many were not tried as it is silent."""
    told: list[Told] = []
    silent = 0
    for one in due:
        try:
            told.append(Told(one, client.tell(one.notice)))
            silent = 0
        except NoAnswer as error:
            told.append(Told(one, None, shortened(str(error))))
            silent += 1
            if silent == SILENT_IN_A_ROW:
                break
    return told, len(due) - len(told)


def record_answers(conn: Connection, told: Sequence[Told], *, at: datetime) -> Sent:
    """Apply what billers answered and put off what they did not; `conn` comes from `ledger.db.writing`."""
    answered = [(one.due, one.answer) for one in told if one.answer is not None]
    moved = happen(
        conn,
        {due.notice.reference: heard(due.notice.act, taken=answer.taken) for due, answer in answered},
        at=at,
    )
    closed, put_off = [], [(one.due, one.silence) for one in told if one.answer is None]
    for due, answer in answered:
        reference, act = due.notice.reference, due.notice.act
        if reference in moved.stuck:
            put_off.append((due, shortened(f"the money cannot go back yet: {moved.stuck[reference]}")))
        else:
            closed.append(ClosedNotice(reference, act, *_in_words(answer)))
    close_notices(conn, closed, at=at)
    put_off_notices(conn, put_off, at=at)
    return Sent(
        taken=sum(answer.taken for _, answer in answered),
        refused=sum(not answer.taken for _, answer in answered),
        silent=len(told) - len(answered),
        stuck=len(moved.stuck),
    )


def _in_words(answer: Answer) -> tuple[Closing, str]:
    if answer.taken:
        return Closing.TAKEN, ""
    return Closing.REFUSED, shortened(": ".join(one for one in (answer.reason, answer.message) if one))
