"""What a counter's screen has done: by the load counter, the purchase terminal, and the back office of cards."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from api.card_commands import done, sorting
from api.doors import Refused
from api.receipt_files import keep_pdf, keep_text
from card.closing import hand_in, refund, replace_card
from card.hsm.errors import HsmError
from card.issue import Terms, activate_card, block_card, issue_card, unblock_card
from card.life import Act, state_of
from card.loss import LossRefused, lift_loss, report_loss
from city.world import City
from clearing.online.migration import move_balance
from ledger.day import current_day
from ledger.db import reading, writing
from terminals.counter import LoadCounter, LoadOutcome, LoadRefusal
from terminals.counter_forms import FORMS, NAMES, Action, typed_fen
from terminals.counter_screen import Order, SeenCard
from terminals.counter_texts import CounterText, shown
from terminals.pos import Pos
from terminals.pos_journal import PosJournal
from terminals.pos_texts import shown as shown_pos
from terminals.pos_texts import yuan
from terminals.reader import CardGone, Transmits
from terminals.receipts import CARD_NUMBER, Receipt, masked_card

BALANCE = CounterText("余额", "Balance")
Purchasing = Callable[[], AbstractContextManager[tuple[Pos, PosJournal]]]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an order: what to say, the card as it is now, and whether there is a receipt."""

    text: CounterText
    card: SeenCard | None
    has_receipt: bool = False


class CounterDesk:
    """A counter with its clerk. `reader` gives the card on the reader, `purchasing` the terminal for purchases."""

    def __init__(
        self,
        city: City,
        counter: LoadCounter,
        reader: Callable[[], AbstractContextManager[Transmits]],
        *,
        terminal: str,
        agent: str,
        clerk: str,
        receipts: Path,
        now: Callable[[], datetime],
        purchasing: Purchasing | None = None,
    ) -> None:
        self._city, self._counter, self._reader, self._now = city, counter, reader, now
        self._terminal, self._agent, self._clerk = terminal, agent, clerk
        self._receipts, self._purchasing = receipts, purchasing
        self._receipt: Receipt | None = None

    def do(self, order: Order, card: SeenCard | None) -> Done:
        """Do one thing; what cannot be done is said with its remedy, and changes nothing."""
        try:
            return self._do(order, card)
        except (Refused, CardGone) as refused:
            text = CounterText("未办理", str(refused))
        except (HsmError, OperationalError) as gone:
            text = CounterText("后台无应答，未办理", f"Not done, the office does not answer: {gone}")
        return Done(text, card, has_receipt=self._receipt is not None)

    def _do(self, order: Order, card: SeenCard | None) -> Done:
        if order.action is Action.READ:
            return self._read(CounterText("已读卡", "Card read", good=True))
        if order.action is Action.PRINT:
            return Done(self._print(), card, has_receipt=True)
        text = self._with_card(order) if order.action in _ON_CARD else self._serve(order, card)
        if text.good:
            self._write_receipt(order, text, card)
        # The card is read anew where there was one; what was done stays said whatever the reader says then.
        seen = self._read(text).card if card is not None else None
        return Done(text, seen, has_receipt=self._receipt is not None)

    def _read(self, text: CounterText) -> Done:
        try:
            with self._reader() as card:
                found = self._counter.look(card, at=self._now())
        except (Refused, CardGone) as refused:
            return Done(CounterText("读不到卡", str(refused)), None, self._receipt is not None)
        if found.public is None or found.refusal is not None:
            unread = LoadOutcome(found.refusal or LoadRefusal.UNREADABLE, detail=found.detail)
            return Done(shown(unread), None, self._receipt is not None)
        with reading(self._city.engine) as conn:
            state = state_of(conn, found.public.card_no)
        seen = SeenCard(found.public.card_no, found.balance_fen, state or "", found.waiting)
        return Done(text, seen, self._receipt is not None)

    def _with_card(self, order: Order) -> CounterText:
        with self._reader() as card:
            match order.action:
                case Action.LOAD:
                    fen = typed_fen(order.values[0]) or 0
                    return shown(self._counter.load(card, fen, at=self._now()))
                case Action.COMPLETE:
                    return shown(self._counter.complete(card, order.values[0], at=self._now()))
                case _:
                    return shown(self._counter.give_back(card, order.values[0], at=self._now()))

    def _serve(self, order: Order, card: SeenCard | None) -> CounterText:
        if order.action in (Action.PURCHASE, Action.REFUND):
            return self._purchase(order, card)
        act = Act(self._clerk, self._now(), _why(order), self._agent)
        with sorting(), writing(self._city.engine) as conn:
            said = _SERVICES[order.action](conn, _card_of(card), order.values, act, self._agent)
        return CounterText(f"{NAMES[order.action].chinese}：{said.chinese}", said.english, good=True)

    def _purchase(self, order: Order, card: SeenCard | None) -> CounterText:
        if self._purchasing is None:
            raise Refused("this counter has no purchase terminal; start it with --pos TERMINAL and --gateway")
        with self._purchasing() as (pos, journal):
            if order.action is Action.PURCHASE:
                fen = typed_fen(order.values[0]) or 0
                return shown_pos(pos.purchase(_card_of(card), fen, at=self._now()))
            original = journal.ticket(int(order.values[0]))
            if original is None or original.card_no != _card_of(card):
                raise Refused(f"this counter sold nothing under ticket {order.values[0]} to this card")
            return shown_pos(pos.refund(original, typed_fen(order.values[1]) or 0, at=self._now()))

    def _write_receipt(self, order: Order, text: CounterText, card: SeenCard | None) -> None:
        at = self._now()
        lines = [] if card is None else [(CARD_NUMBER, masked_card(card.card_no))]
        for asked, value in zip(FORMS[order.action], order.values, strict=False):
            amount = typed_fen(value) if asked.is_amount else None
            lines.append((asked.label, value if amount is None else f"{yuan(amount)} 元"))
        lines.append((CounterText("结果", "Result"), text.chinese))
        number = f"{self._terminal}-{at:%y%m%d%H%M%S}{at.microsecond // 1000:03d}"
        self._receipt = Receipt(number, NAMES[order.action], at, self._terminal, self._clerk, lines)
        keep_text(self._receipt, self._receipts)

    def _print(self) -> CounterText:
        if self._receipt is None:
            return CounterText("没有可打印的凭条", "There is no receipt yet")
        path = keep_pdf(self._receipt, self._receipts)
        return CounterText(f"凭条已生成 {path}", "Receipt printed to that file", good=True)


_ON_CARD = frozenset({Action.LOAD, Action.COMPLETE, Action.GIVE_BACK})


def _card_of(card: SeenCard | None) -> str:
    return "" if card is None else card.card_no


def _why(order: Order) -> str:
    """What the clerk wrote, where the form asks for words; else what was done."""
    words = [
        value
        for asked, value in zip(FORMS[order.action], order.values, strict=False)
        if not asked.is_amount and not value.isdecimal()
    ]
    return words[-1] if words else NAMES[order.action].english


Values = tuple[str, ...]
Service = Callable[[Connection, str, Values, Act, str], CounterText]


def _issue(conn: Connection, _card: str, values: Values, act: Act, agent: str) -> CounterText:
    deposit_fen = typed_fen(values[1]) or 0
    done(issue_card(conn, values[0], Terms(agent, deposit_fen, 0, current_day(conn)), act))
    if not deposit_fen:
        return CounterText("已售出，未启用", "Issued, not activated")
    done(activate_card(conn, values[0], act))
    return CounterText(
        f"收押金{yuan(deposit_fen)}元，已启用", f"Issued for a deposit of ¥{yuan(deposit_fen)}, in use"
    )


def _activate(conn: Connection, card: str, _values: Values, act: Act, _agent: str) -> CounterText:
    done(activate_card(conn, card, act))
    return CounterText("已启用", "In use")


def _lose(conn: Connection, _card: str, values: Values, act: Act, _agent: str) -> CounterText:
    said = report_loss(conn, values[0], at=act.at, by=act.by)
    if isinstance(said, LossRefused):
        raise Refused(said.message)
    return CounterText(f"已锁定{len(said.cards)}张卡", f"Locked: {len(said.cards)} cards")


def _find(conn: Connection, _card: str, values: Values, act: Act, _agent: str) -> CounterText:
    said = lift_loss(conn, values[0], at=act.at, by=act.by)
    if isinstance(said, LossRefused):
        raise Refused(said.message)
    return CounterText(f"已恢复{len(said.cards)}张卡", f"In use again: {len(said.cards)} cards")


def _block(conn: Connection, card: str, _values: Values, act: Act, _agent: str) -> CounterText:
    done(block_card(conn, card, act))
    return CounterText("已停用并列入黑名单", "Blocked and on the hotlist")


def _unblock(conn: Connection, card: str, _values: Values, act: Act, _agent: str) -> CounterText:
    done(unblock_card(conn, card, act))
    return CounterText("已解锁", "Unblocked")


def _replace(conn: Connection, _card: str, values: Values, act: Act, _agent: str) -> CounterText:
    made = done(replace_card(conn, values[0], values[1], act, business_date=current_day(conn)))
    return CounterText(
        f"余额可于{made.due_on}起转移", f"Replaced; the balance can be moved from {made.due_on} on"
    )


def _move(conn: Connection, _card: str, values: Values, act: Act, _agent: str) -> CounterText:
    made = done(move_balance(conn, values[0], act, business_date=current_day(conn)))
    return CounterText(
        f"{yuan(made.moved_fen)}元待补登", f"¥{yuan(made.moved_fen)} wait to be written to the new card"
    )


def _hand_in(conn: Connection, card: str, values: Values, act: Act, agent: str) -> CounterText:
    wear_fen, to = typed_fen(values[0]) or 0, f"agent:{agent}"
    done(hand_in(conn, card, act, to=to, wear_fen=wear_fen, business_date=current_day(conn)))
    return CounterText("已收卡，押金已退", "Handed in; the deposit is paid back")


def _pay_out(conn: Connection, _card: str, values: Values, act: Act, agent: str) -> CounterText:
    _, paid_fen = done(refund(conn, values[0], act, to=f"agent:{agent}", business_date=current_day(conn)))
    return CounterText(f"退余额{yuan(paid_fen)}元，已销卡", f"¥{yuan(paid_fen)} paid out; the card is closed")


_SERVICES: Mapping[Action, Service] = {
    Action.ISSUE: _issue,
    Action.ACTIVATE: _activate,
    Action.LOSE: _lose,
    Action.FIND: _find,
    Action.BLOCK: _block,
    Action.UNBLOCK: _unblock,
    Action.REPLACE: _replace,
    Action.MOVE_BALANCE: _move,
    Action.HAND_IN: _hand_in,
    Action.PAY_OUT: _pay_out,
}
"""The back office's part, by action: each in the transaction that it is given."""
