"""The back office of cards behind the counters of one agent: what a clerk asks for, done in one transaction."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine, select

from card.closing import hand_in, refund, replace_card
from card.issue import NotBooked, NotTied, Terms, activate_card, block_card, issue_card, unblock_card
from card.life import Act, LifeRefusal, LifeRefused, state_of
from card.loss import LossRefused, lift_loss, report_loss
from card.tables import hotlist
from city.office import answering
from clearing.online.migration import move_balance
from ledger.accounts import Conflict
from ledger.day import current_day
from ledger.db import reading, writing
from terminals.card_service import CardStanding, NotServed, Served, Service, ServiceAsked


class TurnedAway(Exception):
    """The office does not do it; whoever calls lets the transaction go."""

    def __init__(self, answer: NotServed) -> None:
        super().__init__(answer.message)
        self.answer = answer


class CardDesk:
    """The office of one agent, on the books themselves; `now` is the office's clock."""

    def __init__(self, engine: Engine, agent: str, now: Callable[[], datetime]) -> None:
        self._engine, self._agent, self._now = engine, agent, now

    def standing(self, card_no: str) -> CardStanding:
        """How a card stands now. Raises OfficeGone."""
        with answering(), reading(self._engine) as conn:
            return standing_of(conn, card_no)

    def serve(self, asked: ServiceAsked) -> Served | NotServed:
        """Do it, or nothing of it. Raises OfficeGone."""
        try:
            with answering(), writing(self._engine) as conn:
                return serve(conn, asked, self._agent, at=self._now())
        except TurnedAway as away:
            return away.answer


def standing_of(conn: Connection, card_no: str) -> CardStanding:
    """How a card stands now."""
    listed = conn.scalars(select(hotlist.c.card_no).where(hotlist.c.card_no == card_no)).first()
    return CardStanding(state_of(conn, card_no) or "", listed is not None)


def serve(conn: Connection, asked: ServiceAsked, agent: str, *, at: datetime) -> Served:
    """Do what a clerk of `agent`'s counter asks for. `conn` comes from `ledger.db.writing`.

    Raises TurnedAway, and DayOrderError where no business day is open; then the transaction is to be let go.
    """
    act = Act(asked.clerk, at, asked.why, agent)
    with _turning_away():
        answer = _SERVICES[asked.service](conn, asked, act, agent)
    if isinstance(answer, LifeRefused | LossRefused):
        raise TurnedAway(NotServed(answer.reason.value, answer.message))
    return answer


@contextmanager
def _turning_away() -> Iterator[None]:
    """What holder, books or a value do not let through is an answer to the clerk."""
    try:
        yield
    except NotTied as error:
        raise TurnedAway(NotServed(error.refused.reason.value, str(error))) from error
    except (NotBooked, Conflict) as error:
        raise TurnedAway(NotServed(LifeRefusal.BOOKS_REFUSE.value, str(error))) from error
    except ValueError as error:
        raise TurnedAway(NotServed("malformed", str(error))) from error


_Answer = Served | LifeRefused | LossRefused


def _issue(conn: Connection, asked: ServiceAsked, act: Act, agent: str) -> _Answer:
    """Hand it out; without a deposit it is to replace another card, which puts it into use."""
    answer = issue_card(conn, asked.card_no, Terms(agent, asked.amount_fen, 0, current_day(conn)), act)
    if asked.amount_fen and not isinstance(answer, LifeRefused):
        answer = activate_card(conn, asked.card_no, act)
    return answer if isinstance(answer, LifeRefused) else _served(asked, amount_fen=asked.amount_fen)


def _activate(conn: Connection, asked: ServiceAsked, act: Act, _agent: str) -> _Answer:
    answer = activate_card(conn, asked.card_no, act)
    return answer if isinstance(answer, LifeRefused) else _served(asked)


def _lose(conn: Connection, asked: ServiceAsked, act: Act, _agent: str) -> _Answer:
    answer = report_loss(conn, asked.card_no, at=act.at, by=act.by)
    return answer if isinstance(answer, LossRefused) else _served(asked, cards=len(answer.cards))


def _find(conn: Connection, asked: ServiceAsked, act: Act, _agent: str) -> _Answer:
    answer = lift_loss(conn, asked.card_no, at=act.at, by=act.by)
    return answer if isinstance(answer, LossRefused) else _served(asked, cards=len(answer.cards))


def _block(conn: Connection, asked: ServiceAsked, act: Act, _agent: str) -> _Answer:
    answer = block_card(conn, asked.card_no, act)
    return answer if isinstance(answer, LifeRefused) else _served(asked)


def _unblock(conn: Connection, asked: ServiceAsked, act: Act, _agent: str) -> _Answer:
    answer = unblock_card(conn, asked.card_no, act)
    return answer if isinstance(answer, LifeRefused) else _served(asked)


def _replace(conn: Connection, asked: ServiceAsked, act: Act, _agent: str) -> _Answer:
    answer = replace_card(conn, asked.card_no, asked.new_card, act, business_date=current_day(conn))
    if isinstance(answer, LifeRefused):
        return answer
    return Served(asked.service, asked.card_no, due_on=answer.due_on)


def _move(conn: Connection, asked: ServiceAsked, act: Act, _agent: str) -> _Answer:
    answer = move_balance(conn, asked.card_no, act, business_date=current_day(conn))
    return answer if isinstance(answer, LifeRefused) else _served(asked, amount_fen=answer.moved_fen)


def _hand_in(conn: Connection, asked: ServiceAsked, act: Act, agent: str) -> _Answer:
    answer = hand_in(
        conn, asked.card_no, act, to=f"agent:{agent}", wear_fen=asked.amount_fen,
        business_date=current_day(conn),
    )  # fmt: skip
    return answer if isinstance(answer, LifeRefused) else _served(asked)


def _pay_out(conn: Connection, asked: ServiceAsked, act: Act, agent: str) -> _Answer:
    answer = refund(conn, asked.card_no, act, to=f"agent:{agent}", business_date=current_day(conn))
    return answer if isinstance(answer, LifeRefused) else _served(asked, amount_fen=answer[1])


def _served(asked: ServiceAsked, *, amount_fen: int = 0, cards: int = 0) -> Served:
    return Served(asked.service, asked.card_no, amount_fen, cards)


_SERVICES: Mapping[Service, Callable[[Connection, ServiceAsked, Act, str], _Answer]] = {
    Service.ISSUE: _issue,
    Service.ACTIVATE: _activate,
    Service.LOSE: _lose,
    Service.FIND: _find,
    Service.BLOCK: _block,
    Service.UNBLOCK: _unblock,
    Service.REPLACE: _replace,
    Service.MOVE_BALANCE: _move,
    Service.HAND_IN: _hand_in,
    Service.PAY_OUT: _pay_out,
}
