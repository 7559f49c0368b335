"""What a counter's screen has done: by the load counter, the purchase terminal, and the back office of cards."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import OperationalError

from api.doors import Refused
from api.receipt_files import keep_pdf, keep_text
from card.hsm.errors import HsmError
from terminals.card_service import CardOffice, NotServed, Service, ServiceAsked, served_text
from terminals.counter import LoadCounter, LoadOutcome, LoadRefusal
from terminals.counter_forms import FORMS, NAMES, Action, Sort, typed_fen
from terminals.counter_screen import Order, SeenCard
from terminals.counter_texts import OFFICE_GONE, CounterText, shown
from terminals.loads import OfficeGone
from terminals.outbox import Outbox
from terminals.pos import Pos
from terminals.pos_journal import PosJournal
from terminals.pos_texts import shown as shown_pos
from terminals.pos_texts import yuan
from terminals.reader import CardGone, Transmits
from terminals.receipts import CARD_NUMBER, Receipt, masked_card
from terminals.till import sale, shown_sale
from terminals.validator import Validator

BALANCE = CounterText("余额", "Balance")
Purchasing = Callable[[], AbstractContextManager[tuple[Pos, PosJournal]]]
Selling = Callable[[], AbstractContextManager[tuple[Validator, Outbox]]]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an order: what to say, the card as it is now, and whether there is a receipt."""

    text: CounterText
    card: SeenCard | None
    has_receipt: bool = False


class CounterDesk:
    """A counter with its clerk.

    `reader` gives the card on the reader, `selling` the till for its purse, `purchasing` the terminal for the wallet.
    """

    def __init__(
        self,
        office: CardOffice,
        counter: LoadCounter,
        reader: Callable[[], AbstractContextManager[Transmits]],
        *,
        terminal: str,
        clerk: str,
        receipts: Path,
        now: Callable[[], datetime],
        selling: Selling,
        purchasing: Purchasing | None = None,
    ) -> None:
        self._office, self._counter, self._reader, self._now = office, counter, reader, now
        self._selling = selling
        self._terminal, self._clerk = terminal, clerk
        self._receipts, self._purchasing = receipts, purchasing
        self._receipt: Receipt | None = None

    def do(self, order: Order, card: SeenCard | None) -> Done:
        """Do one thing; what cannot be done is said with its remedy, and changes nothing."""
        try:
            return self._do(order, card)
        except (Refused, CardGone) as refused:
            text = CounterText("未办理", str(refused))
        except OfficeGone as gone:
            text = CounterText(OFFICE_GONE.chinese, f"{OFFICE_GONE.english} ({gone})")
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
            state = "" if found.public is None else self._office.standing(found.public.card_no).state
        except (Refused, CardGone) as refused:
            return Done(CounterText("读不到卡", str(refused)), None, self._receipt is not None)
        except OfficeGone as gone:
            unseen = shown(LoadOutcome(LoadRefusal.OFFICE_GONE, detail=str(gone)))
            return Done(unseen, None, self._receipt is not None)
        if found.public is None or found.refusal is not None:
            unread = LoadOutcome(found.refusal or LoadRefusal.UNREADABLE, detail=found.detail)
            return Done(shown(unread), None, self._receipt is not None)
        seen = SeenCard(found.public.card_no, found.balance_fen, state, found.waiting)
        return Done(text, seen, self._receipt is not None)

    def _with_card(self, order: Order) -> CounterText:
        with self._reader() as card:
            match order.action:
                case Action.LOAD:
                    fen = typed_fen(order.values[0]) or 0
                    return shown(self._counter.load(card, fen, at=self._now()))
                case Action.SELL:
                    fen = typed_fen(order.values[0]) or 0
                    with self._selling() as (till, _):
                        return shown_sale(till.tap(card, sale(fen), at=self._now()))
                case Action.COMPLETE:
                    return shown(self._counter.complete(card, order.values[0], at=self._now()))
                case _:
                    return shown(self._counter.give_back(card, order.values[0], at=self._now()))

    def _serve(self, order: Order, card: SeenCard | None) -> CounterText:
        if not isinstance(order.action, Service):
            return self._purchase(order, card)
        said = self._office.serve(asked_of(order.action, order.values, _card_of(card), self._clerk))
        if isinstance(said, NotServed):
            return CounterText("未办理", said.message)
        text = served_text(said)
        return CounterText(f"{NAMES[order.action].chinese}：{text.chinese}", text.english, text.good)

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


_ON_CARD = frozenset({Action.LOAD, Action.SELL, Action.COMPLETE, Action.GIVE_BACK})


def _card_of(card: SeenCard | None) -> str:
    return "" if card is None else card.card_no


def asked_of(service: Service, values: Sequence[str], on_reader: str, clerk: str) -> ServiceAsked:
    """What a confirmed form asks of the back office, of the card that it names or that lies on the reader."""
    typed = list(zip(FORMS[service], values, strict=True))
    cards = [value for asked, value in typed if asked.sort is Sort.CARD]
    amounts = [typed_fen(value) or 0 for asked, value in typed if asked.is_amount]
    words = [value for asked, value in typed if asked.sort is Sort.WORDS]
    return ServiceAsked(
        service, (cards or [on_reader])[0], clerk, (words or [NAMES[service].english])[0],
        amount_fen=sum(amounts), new_card=cards[1] if len(cards) > 1 else "",
    )  # fmt: skip
