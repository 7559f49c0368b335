"""The counter's screen as a machine without I/O: keys in, what to show and what to do out.

A key is one printable character, or one of ENTER, ESC and BACK. What is to be done leaves as an `Order`; whoever
did it comes back with `told`. Nothing is asked of card or office before the clerk has confirmed it.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from terminals.card_service import Service
from terminals.counter_forms import FORMS, Action, Errand, Field
from terminals.counter_texts import CounterText
from terminals.loads import Waiting

ENTER, ESC, BACK = "\r", "\x1b", "\x7f"
MOST_TYPED = 64


class View(StrEnum):
    """What is on the screen."""

    READY = "ready"
    CARD = "card"
    WAITING = "waiting"
    SERVICE = "service"
    FORM = "form"
    CONFIRM = "confirm"
    RESULT = "result"
    HELP = "help"


class Language(StrEnum):
    """Which language comes first; the clerk's choice."""

    CHINESE = "zh"
    ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class SeenCard:
    """The card on the reader, as it is shown."""

    card_no: str
    balance_fen: int
    state: str
    waiting: tuple[Waiting, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What the clerk wants done: the values are those of the action's form, in its order, as they were typed."""

    action: Errand
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Screen:
    """Everything the screen knows; a value, so that every key makes another."""

    view: View = View.READY
    language: Language = Language.CHINESE
    card: SeenCard | None = None
    action: Errand | None = None
    values: tuple[str, ...] = ()
    typed: str = ""
    message: CounterText | None = None
    has_receipt: bool = False
    over: bool = False
    before_help: View = View.READY
    picked: Waiting | None = field(default=None)

    @property
    def asks(self) -> Field | None:
        """The field of the form that is being typed."""
        if self.view is not View.FORM or self.action is None:
            return None
        return FORMS[self.action][len(self.values)]


MENU: dict[View, dict[str, Errand]] = {
    View.READY: {
        "n": Service.ISSUE,
        "g": Service.LOSE,
        "f": Service.FIND,
        "x": Service.REPLACE,
        "m": Service.MOVE_BALANCE,
        "u": Service.PAY_OUT,
    },
    View.CARD: {"1": Action.LOAD, "3": Action.PURCHASE, "4": Action.REFUND, "6": Action.SELL},
    View.SERVICE: {"1": Service.ACTIVATE, "2": Service.BLOCK, "3": Service.UNBLOCK, "4": Service.HAND_IN},
}
"""Which key begins what: without a card on the reader, with one, and with one in card service."""


def press(screen: Screen, key: str) -> tuple[Screen, Order | None]:
    """One key: the screen after it, and what is to be done now, if anything."""
    if screen.view in (View.FORM, View.CONFIRM):
        return _in_form(screen, key)
    letter = key.lower()
    if letter == "l":
        other = Language.ENGLISH if screen.language is Language.CHINESE else Language.CHINESE
        return replace(screen, language=other), None
    if screen.view is View.HELP:
        return replace(screen, view=screen.before_help), None
    if key == "?":
        return replace(screen, view=View.HELP, before_help=screen.view), None
    if letter == "q" and screen.view is View.READY:
        return replace(screen, over=True), None
    if letter == "p" and screen.has_receipt:
        return screen, Order(Action.PRINT)
    if letter == "r" or (screen.view is View.READY and key == ENTER):
        return replace(screen, message=None), Order(Action.READ)
    if screen.view is View.WAITING:
        return _in_list(screen, key)
    return _in_menu(screen, key)


def told(screen: Screen, text: CounterText, card: SeenCard | None, *, has_receipt: bool = False) -> Screen:
    """An order was done, or not: `text` says which; `card` is the card as it is now, None where there is none."""
    view = View.RESULT if screen.action is not None else View.CARD if card is not None else View.READY
    return replace(
        _home(screen), view=view, card=card, message=text, has_receipt=has_receipt or screen.has_receipt
    )


def _in_menu(screen: Screen, key: str) -> tuple[Screen, Order | None]:
    """READY, CARD, SERVICE and RESULT: a key begins an action, opens a list, or goes back."""
    action = MENU.get(screen.view, {}).get(key.lower())
    if action is not None:
        return _begun(screen, action), None
    if screen.view is View.CARD and key == "2" and screen.card is not None:
        return replace(screen, view=View.WAITING, message=None), None
    if screen.view is View.CARD and key == "5":
        return replace(screen, view=View.SERVICE, message=None), None
    if key == ESC and screen.view is View.CARD:
        return replace(screen, view=View.READY, card=None, message=None), None
    if key in (ESC, ENTER) and screen.view in (View.SERVICE, View.RESULT):
        return replace(screen, view=View.READY if screen.card is None else View.CARD, message=None), None
    return screen, None


def _in_list(screen: Screen, key: str) -> tuple[Screen, Order | None]:
    """Loads that wait: a number picks one, then C completes it and T returns it."""
    waiting = screen.card.waiting if screen.card is not None else ()
    if key == ESC:
        return replace(screen, view=View.CARD, picked=None), None
    if key.isdecimal() and 0 < int(key) <= len(waiting):
        return replace(screen, picked=waiting[int(key) - 1]), None
    picked = screen.picked or (waiting[0] if len(waiting) == 1 else None)
    action = {"c": Action.COMPLETE, "t": Action.GIVE_BACK}.get(key.lower())
    if picked is None or action is None:
        return screen, None
    begun = replace(screen, view=View.CONFIRM, action=action, values=(picked.reference,), picked=picked)
    return begun, None


def _begun(screen: Screen, action: Errand) -> Screen:
    view = View.FORM if FORMS[action] else View.CONFIRM
    return replace(screen, view=view, action=action, values=(), typed="", message=None)


def _in_form(screen: Screen, key: str) -> tuple[Screen, Order | None]:
    if key == ESC:
        return _home(screen), None
    if screen.view is View.CONFIRM:
        assert screen.action is not None, "only an action is confirmed"
        return (screen, Order(screen.action, screen.values)) if key == ENTER else (screen, None)
    asked = screen.asks
    assert asked is not None, "a form asks for a field until it is full"
    if key == BACK:
        return replace(screen, typed=screen.typed[:-1], message=None), None
    if key != ENTER:
        fits = key.isprintable() and len(screen.typed) < MOST_TYPED
        return (replace(screen, typed=screen.typed + key, message=None) if fits else screen), None
    flaw = asked.flaw(screen.typed.strip())
    if flaw is not None:
        return replace(screen, message=flaw), None
    values = (*screen.values, screen.typed.strip())
    assert screen.action is not None, "a form is an action's"
    full = len(values) == len(FORMS[screen.action])
    return replace(
        screen, values=values, typed="", view=View.CONFIRM if full else View.FORM, message=None
    ), None


def _home(screen: Screen) -> Screen:
    """Back to the card, or to an empty reader, with nothing begun."""
    view = View.READY if screen.card is None else View.CARD
    return replace(screen, view=view, action=None, values=(), typed="", picked=None, message=None)
