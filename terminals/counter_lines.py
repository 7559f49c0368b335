"""The counter's screen as lines of text: what is on the reader, what can be done, what was typed."""

from terminals.counter_forms import FORMS, NAMES, Action
from terminals.counter_screen import MENU, Language, Screen, View
from terminals.counter_texts import CounterText, waiting_line
from terminals.pos_texts import yuan

TITLE = CounterText("城市一卡通 柜台终端", "City one card: counter")
READY = CounterText("请放卡，按回车读卡", "Put a card on the reader and press Enter")
NO_WAITING = CounterText("没有待补登的充值", "No load waits for this card")
PICK = CounterText(
    "按数字选择，C 补登，T 退回付款人", "Pick by number; C writes it, T returns it to who paid"
)
SURE = CounterText("回车确认，Esc 取消", "Enter does it, Esc does not")
TYPE = CounterText("输入后按回车，Esc 取消", "Type, then Enter; Esc cancels")
KEYS = CounterText("L 语言  ? 帮助  R 读卡", "L language  ? help  R read again")
PRINT = CounterText("P 打印凭条", "P print the receipt")
LEAVE = CounterText("Q 退出", "Q quit")
GO_ON = CounterText("Esc 返回", "Esc back")
STATES = {
    "active": CounterText("正常", "in use"),
    "issued": CounterText("未启用", "not activated"),
    "lost": CounterText("已挂失", "lost"),
    "blocked": CounterText("已停用", "blocked"),
    "replaced": CounterText("已换卡", "replaced"),
    "returned": CounterText("已退卡", "handed in"),
    "closed": CounterText("已销卡", "closed"),
}
HELP = (
    CounterText(
        "充值以卡片凭证为准；中断后请重放此卡",
        "A load counts when the card proves it; put it on again",
    ),
    CounterText("中断的充值在“补登”中，任何柜台可办", "A load cut off waits under 2, at every counter"),
    CounterText(
        "未写卡的充值可退回，须放上此卡", "A load not written can be returned, with the card on the reader"
    ),
    CounterText("补换卡：先售新卡（押金0），再按 X", "Replace: issue the new card with deposit 0, then X"),
    CounterText("旧卡余额待迟到交易期满后转移", "An old card's balance moves when no late tap can come"),
)


def lines_of(screen: Screen) -> list[str]:
    """What the screen shows, a line an item."""

    def say(text: CounterText) -> str:
        first, second = text.chinese, text.english
        return f"{first}  {second}" if screen.language is Language.CHINESE else f"{second}  {first}"

    lines = [say(TITLE), ""]
    if screen.card is not None:
        state = STATES.get(screen.card.state, CounterText("非本市卡", "not of this city"))
        lines += [
            f"{screen.card.card_no}  {say(state)}",
            say(
                CounterText(
                    f"余额 {yuan(screen.card.balance_fen)} 元", f"Balance ¥{yuan(screen.card.balance_fen)}"
                )
            ),
        ]
        if screen.card.waiting:
            fen = sum(one.amount_fen for one in screen.card.waiting)
            count = len(screen.card.waiting)
            lines.append(
                say(
                    CounterText(
                        f"待补登 {count} 笔共 {yuan(fen)} 元", f"{count} waiting, ¥{yuan(fen)}: press 2"
                    )
                )
            )
        lines.append("")
    lines += [say(text) for text in _body(screen)]
    if screen.asks is not None:
        lines.append(f"> {screen.typed}_")
    if screen.message is not None:
        lines += ["", ("✓ " if screen.message.good else "✗ ") + say(screen.message)]
    return [*lines, "", "  ".join(say(text) for text in _keys(screen))]


def _body(screen: Screen) -> list[CounterText]:
    match screen.view:
        case View.READY:
            return [READY, *_menu(View.READY)]
        case View.CARD:
            waits = CounterText("2 补登", "2 Waiting loads")
            service = CounterText("5 卡务", "5 Card service")
            return sorted([*_menu(View.CARD), waits, service], key=lambda line: line.chinese)
        case View.SERVICE:
            return _menu(View.SERVICE)
        case View.WAITING:
            return _waiting(screen)
        case View.HELP:
            return list(HELP)
        case View.FORM | View.CONFIRM:
            return _form(screen)
        case View.RESULT:
            return []


def _menu(view: View) -> list[CounterText]:
    return [
        CounterText(f"{key.upper()} {NAMES[action].chinese}", f"{key.upper()} {NAMES[action].english}")
        for key, action in MENU[view].items()
    ]


def _waiting(screen: Screen) -> list[CounterText]:
    waiting = screen.card.waiting if screen.card is not None else ()
    if not waiting:
        return [NO_WAITING]
    lines = [PICK]
    for number, one in enumerate(waiting, 1):
        text, mark = waiting_line(one), "*" if one == screen.picked else " "
        lines.append(CounterText(f"{mark}{number} {text.chinese}", text.english))
    return lines


def _form(screen: Screen) -> list[CounterText]:
    assert screen.action is not None, "a form is an action's"
    lines = [NAMES[screen.action]]
    if screen.picked is not None:
        lines.append(waiting_line(screen.picked))
    for field, value in zip(FORMS[screen.action], screen.values, strict=False):
        lines.append(CounterText(f"{field.label.chinese}: {value}", field.label.english))
    if screen.asks is not None:
        return [*lines, screen.asks.label, TYPE]
    return [*lines, SURE]


def _keys(screen: Screen) -> list[CounterText]:
    if screen.view in (View.FORM, View.CONFIRM):
        return [GO_ON]
    keys = [KEYS, PRINT] if screen.has_receipt else [KEYS]
    return [*keys, LEAVE if screen.view is View.READY else GO_ON]


ACTIONS_WITH_A_KEY = frozenset(
    {action for view in MENU.values() for action in view.values()} | {Action.COMPLETE, Action.GIVE_BACK}
)
"""What a clerk can reach by keys, beside reading and printing."""
