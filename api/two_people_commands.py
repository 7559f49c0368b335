"""`approve`, `refuse` and `withdraw`: what a second person, or whoever proposed, says to a proposal in any room."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import typer
from sqlalchemy import Connection, Engine

from api.doors import Refused, books, now
from api.queue_commands import By, Why, named
from clearing.context import StepRefused
from ledger.day import DayOrderError
from ledger.db import writing
from settlement.night_lock import NightRunning
from settlement.two_people import DecisionRefused, Word

P = TypeVar("P")
Number = Annotated[int, typer.Argument(help="the proposal's number, as `proposals` shows it")]


@dataclass(frozen=True, slots=True)
class Deciding(Generic[P]):
    """How the proposals of a room are decided, how one that is decided is said, and what refusing it means there."""

    approve: Callable[[Engine, Word], P | DecisionRefused]
    turn_down: Callable[[Connection, Word], P | DecisionRefused]
    withdraw: Callable[[Connection, Word], P | DecisionRefused]
    say: Callable[[Engine, P], None]
    approved: str
    stays: str


def deciding_commands(
    room: Deciding[P],
) -> tuple[Callable[..., None], Callable[..., None], Callable[..., None]]:
    """The commands `approve`, `refuse` and `withdraw` of a room.

    A refusal is raised as Refused; what was written before it is kept.
    """

    def approve(number: Number, by: By) -> None:
        word = Word(number, named(by), now())
        with books() as engine:
            try:
                answer = room.approve(engine, word)
            except NightRunning as running:
                raise Refused(f"a night is running: {running}; wait until it ends") from running
            except (StepRefused, DayOrderError) as stop:
                raise Refused(str(stop)) from stop
            room.say(engine, _decided(answer))

    def refuse(number: Number, by: By, why: Why) -> None:
        end(room.turn_down, Word(number, named(by), now(), why))

    def withdraw(number: Number, by: By) -> None:
        end(room.withdraw, Word(number, named(by), now()))

    def end(said: Callable[[Connection, Word], P | DecisionRefused], word: Word) -> None:
        with books() as engine:
            with writing(engine) as conn:
                answer = said(conn, word)
            room.say(engine, _decided(answer))

    approve.__doc__ = f"Approve another person's proposal: {room.approved}."
    refuse.__doc__ = f"Turn another person's proposal down: {room.stays}."
    withdraw.__doc__ = f"Take your own proposal back while it waits: {room.stays}."
    return approve, refuse, withdraw


def _decided(answer: P | DecisionRefused) -> P:
    if isinstance(answer, DecisionRefused):
        raise Refused(f"{answer.message}; {answer.remedy}")
    return answer
